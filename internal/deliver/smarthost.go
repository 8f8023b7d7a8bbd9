package deliver

import (
	"context"
	"strings"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/route"
	"github.com/postroad/postroad/internal/smtp"
)

// enter gets as far with a smart host as the first MAIL could be said: TLS with a good
// certificate, in whatever order, then AUTH. What it refuses is about us, so it is tried
// again later and never bounces; see unreachable.
func (h *hunt) enter(ctx context.Context, p peer, client *smtp.Client, smart *route.SmartHost) *smtp.Client {
	if smart.Implicit {
		cfg := h.s.carrier.tls.Clone()
		cfg.ServerName = strings.TrimSuffix(p.host, ".")
		if err := client.Secure(ctx, cfg); err != nil {
			h.report(p, trouble{reply: mail.Reply{Text: err.Error()}, stage: smtp.StageStartTLS, class: mail.ClassTLS})
			return nil
		}
		if !client.TLS().Verified {
			h.refused(p, client, trouble{reply: mail.Reply{Text: "the certificate of " + p.host + " is not good: " + client.TLS().Error},
				stage: smtp.StageStartTLS, class: mail.ClassTLS})
			return nil
		}
	}
	if !h.greet(ctx, p, client) || !h.hello(ctx, p, client) {
		return nil
	}
	if !smart.Implicit {
		if !client.Offers().StartTLS {
			h.refused(p, client, trouble{reply: mail.Reply{Text: p.host + " does not offer TLS, and without it no password is said"}, stage: smtp.StageStartTLS, class: mail.ClassTLS})
			return nil
		}
		if client, _ = h.secure(ctx, p, client); client == nil {
			return nil
		}
	}
	return h.authenticate(ctx, p, client, smart)
}

func (h *hunt) authenticate(ctx context.Context, p peer, client *smtp.Client, smart *route.SmartHost) *smtp.Client {
	if smart.User == "" {
		return client
	}
	answer, err := client.Auth(ctx, smart.User, smart.Password)
	switch {
	case err != nil && client.Usable():
		h.refused(p, client, trouble{reply: mail.Reply{Text: p.host + ": " + err.Error()}, stage: smtp.StageAuth, class: mail.ClassPolicy})
	case err != nil:
		h.broke(p, err)
	case answer.Code != 235:
		h.refused(p, client, trouble{reply: answer, stage: smtp.StageAuth, class: mail.ClassPolicy})
	default:
		return client
	}
	return nil
}
