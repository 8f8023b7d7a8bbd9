package deliver

import (
	"context"
	"errors"
	"net"
	"strings"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/smtp"
)

// try connects to one address and gets as far as the first MAIL could be said. Then the
// session has its client.
func (h *hunt) try(ctx context.Context, p peer) bool {
	_, noTLS := h.s.carrier.failed.since(failure{addr: p.addr, tls: true}, h.s.carrier.o.Now())
	client, again := h.converse(ctx, p, h.required || !noTLS)
	if again { // TLS broke the connection: the same host in clear
		client, _ = h.converse(ctx, p, false)
	}
	if client == nil {
		return false
	}
	h.s.client, h.s.peer, h.s.carried = client, p, 0
	return true
}

// converse dials, greets and secures. again says that TLS failed where it need not
// succeed.
func (h *hunt) converse(ctx context.Context, p peer, useTLS bool) (client *smtp.Client, again bool) {
	c := h.s.carrier
	conn, err := h.dial(ctx, p)
	if err != nil {
		if ctx.Err() == nil {
			c.failed.remember(failure{addr: p.addr}, c.o.Now())
			h.trouble(p, mail.ClassNetwork, smtp.StageConnect, err.Error())
		}
		return nil, false
	}
	h.s.log.Note("connected to " + p.String())
	client = smtp.New(conn, h.ehlo(), c.o.Timeouts, &h.s.log)
	if smart := h.route.Source.Smart; smart != nil {
		return h.enter(ctx, p, client, smart), false
	}
	if !h.greet(ctx, p, client) || !h.hello(ctx, p, client) {
		return nil, false
	}
	if !useTLS || !client.Offers().StartTLS {
		if h.required {
			h.refused(p, client, trouble{reply: mail.Reply{Text: "TLS is required and " + p.host + " does not offer it"}, stage: smtp.StageStartTLS, class: mail.ClassTLS})
			return nil, false
		}
		return client, false
	}
	return h.secure(ctx, p, client)
}

func (h *hunt) ehlo() string {
	if h.route.Source.EHLO != "" {
		return h.route.Source.EHLO
	}
	return h.s.carrier.o.Hostname
}

// greet reads the banner. A refusal sends us to the next host: other addresses of this one
// would only repeat it.
func (h *hunt) greet(ctx context.Context, p peer, client *smtp.Client) bool {
	banner, err := client.Greet(ctx)
	if err != nil {
		if timeout := (net.Error)(nil); errors.As(err, &timeout) && timeout.Timeout() && ctx.Err() == nil {
			h.s.carrier.failed.remember(failure{addr: p.addr}, h.s.carrier.o.Now())
		}
		h.broke(p, err)
		return false
	}
	h.s.carrier.failed.talks(failure{addr: p.addr})
	if banner.Code != 220 {
		h.refused(p, client, trouble{reply: banner, stage: smtp.StageBanner})
		return false
	}
	return true
}

func (h *hunt) hello(ctx context.Context, p peer, client *smtp.Client) bool {
	answer, err := client.Hello(ctx)
	if err != nil {
		h.broke(p, err)
		return false
	}
	if answer.Code != 250 {
		h.refused(p, client, trouble{reply: answer, stage: smtp.StageHello})
		return false
	}
	return true
}

// secure starts TLS. When TLS is not required a refusal leaves the connection in clear, and a
// handshake that broke it asks for another.
func (h *hunt) secure(ctx context.Context, p peer, client *smtp.Client) (_ *smtp.Client, again bool) {
	cfg := h.s.carrier.tls.Clone()
	cfg.ServerName = strings.TrimSuffix(p.host, ".")
	answer, err := client.StartTLS(ctx, cfg)
	if err == nil && answer.Code != 220 {
		if !h.required && client.Usable() {
			return client, false
		}
		h.refused(p, client, trouble{reply: answer, stage: smtp.StageStartTLS, class: mail.ClassTLS})
		return nil, false
	}
	if err == nil && h.required && !client.TLS().Verified {
		h.refused(p, client, trouble{
			reply: mail.Reply{Text: "TLS is required and the certificate of " + p.host + " is not good: " + client.TLS().Error},
			stage: smtp.StageStartTLS, class: mail.ClassTLS,
		})
		return nil, false
	}
	if err == nil {
		answer, err = client.Hello(ctx)
	}
	if err == nil && answer.Code != 250 {
		h.refused(p, client, trouble{reply: answer, stage: smtp.StageHello})
		return nil, false
	}
	if err == nil {
		return client, false
	}
	client.Close()
	if ctx.Err() != nil {
		return nil, false
	}
	h.report(p, trouble{reply: mail.Reply{Text: err.Error()}, stage: smtp.StageStartTLS, class: mail.ClassTLS})
	if h.required {
		h.addrs = nil
		return nil, false
	}
	h.s.carrier.failed.remember(failure{addr: p.addr, tls: true}, h.s.carrier.o.Now())
	h.s.log.Note("going on in clear")
	return nil, true
}

// refused leaves a host that said no, politely.
func (h *hunt) refused(p peer, client *smtp.Client, t trouble) {
	client.Quit()
	h.addrs = nil
	h.report(p, t)
}

// broke leaves an address whose conversation broke.
func (h *hunt) broke(p peer, err error) {
	h.report(p, faultTrouble(err))
}

// faultTrouble puts a broken conversation into the words of an attempt.
func faultTrouble(err error) trouble {
	t := trouble{reply: mail.Reply{Text: err.Error()}, stage: smtp.StageConnect, class: mail.ClassNetwork}
	var fault *smtp.Fault
	if errors.As(err, &fault) {
		t.stage = fault.Stage
	}
	if errors.Is(err, smtp.ErrProtocol) {
		t.class = mail.ClassProtocol
	}
	return t
}
