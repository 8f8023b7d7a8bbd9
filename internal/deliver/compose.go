package deliver

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/postroad/postroad/internal/mail"
)

// maxHeader bounds in bytes how far a content is read in search of its header's end.
const maxHeader = 1 << 20

// compose gets the content and signs it.
func (t *trip) compose(ctx context.Context) bool {
	if !t.fetch(ctx) || !t.stamp() {
		return false
	}
	tx := &t.s.tx
	utf8, err := headerNeedsUTF8(t.content)
	if err != nil {
		return t.ours("read the header", err)
	}
	tx.Content, tx.Header, t.utf8 = t.content, nil, utf8
	return t.sign()
}

// fetch gets the content from the work, or from where it is kept. Content that is gone is
// a failure for good.
func (t *trip) fetch(ctx context.Context) bool {
	for _, w := range t.job.Works {
		if w.Content != nil {
			t.content = w.Content
			return true
		}
	}
	if t.s.carrier.o.Contents == nil {
		return t.lost()
	}
	content, err := t.s.carrier.o.Contents.Content(ctx, t.job.Message.Row)
	if errors.Is(err, mail.ErrNoContent) {
		return t.lost()
	}
	if err != nil {
		return t.ours("get the content", err)
	}
	t.content = content
	return true
}

// stamp makes the content the copy of the one recipient of this trip.
func (t *trip) stamp() bool {
	m := t.job.Message
	if m.Stamp == "" {
		return true
	}
	stamps := t.s.carrier.o.Stamps
	if stamps == nil || len(t.job.Works) != 1 {
		return t.ours("stamp", errors.New("a message with placeholders goes to one recipient at a time"))
	}
	t.content = stamps.Stamp(t.content, m.Stamp, t.job.Works[0].Delivery.Row)
	return true
}

func (t *trip) lost() bool {
	t.all(mail.OutcomeFailed, trouble{reply: mail.Reply{Text: "the content of the message is lost"}})
	return false
}

// sign makes the DKIM-Signature fields. A domain with keys never sends unsigned: what cannot
// be signed waits.
func (t *trip) sign() bool {
	c := t.s.carrier
	if c.o.Sign == nil || len(t.signing.Keys) == 0 {
		return true
	}
	header, err := c.o.Sign(t.content, t.signing.Keys, c.o.Now())
	if err != nil {
		return t.ours("sign", err)
	}
	t.s.tx.Header = header
	t.signed = make([]string, len(t.signing.Keys))
	for i, k := range t.signing.Keys {
		t.signed[i] = k.Selector
	}
	return true
}

// returnPath is the envelope sender. A transaction has one, so for several recipients its
// token is that of the first; the report names the recipient it is about.
func (t *trip) returnPath() string {
	c := t.s.carrier
	// A smart host takes mail of senders it knows, and bounces are its business.
	if c.o.ReturnPaths == nil || t.job.Route.Source.Smart != nil {
		return t.job.Message.From.Email
	}
	first := &t.job.Works[t.open[0]].Delivery
	return c.o.ReturnPaths.ReturnPath(cmp.Or(t.signing.ReturnPath, c.o.Hostname), t.job.Message, first)
}

// fits writes the envelope and bounces what the site cannot take, as it said in its EHLO, without sending it. It
// gives whether any work is left.
func (t *trip) fits() bool {
	tx, offers := &t.s.tx, t.s.client.Offers()
	size := tx.Content.Size() + int64(len(tx.Header))
	if offers.Size > 0 && size > offers.Size {
		t.all(mail.OutcomeBounced, t.about(mail.Reply{
			Enhanced: "5.3.4",
			Text:     fmt.Sprintf("the message has %d bytes and %s takes at most %d", size, t.s.peer.host, offers.Size),
		}, mail.ClassSize))
		return false
	}
	tx.From = t.returnPath()
	tx.UTF8 = t.utf8 || !ascii(tx.From)
	needed := tx.UTF8
	left := t.open[:0]
	for _, i := range t.open {
		own := !ascii(t.job.Works[i].Delivery.Address)
		if (needed || own) && !offers.UTF8 {
			t.decide(i, mail.OutcomeBounced, t.about(mail.Reply{
				Enhanced: "5.6.7", Text: "the address or a header field is not ASCII and " + t.s.peer.host + " does not offer SMTPUTF8",
			}, mail.ClassProtocol))
			continue
		}
		tx.UTF8 = tx.UTF8 || own
		left = append(left, i)
	}
	t.open = left
	return len(left) > 0
}

// about is trouble with the host we talk to.
func (t *trip) about(reply mail.Reply, class mail.Class) trouble {
	return trouble{reply: reply, class: class, host: t.s.peer.host, ip: t.s.peer.ip}
}

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

var endOfHeader = []byte("\r\n\r\n")

// headerNeedsUTF8 tells whether a header field holds anything but ASCII (RFC 6532).
func headerNeedsUTF8(content mail.Content) (bool, error) {
	if b, ok := content.(mail.Bytes); ok {
		header, _, _ := bytes.Cut(b, endOfHeader)
		return notASCII(header), nil
	}
	file, err := content.Open()
	if err != nil {
		return false, err
	}
	defer func() { _ = file.Close() }()
	in := bufio.NewReader(io.LimitReader(file, maxHeader))
	for {
		line, err := in.ReadSlice('\n')
		switch {
		case notASCII(line):
			return true, nil
		case err == io.EOF, err == nil && len(bytes.TrimRight(line, "\r\n")) == 0:
			return false, nil
		case err != nil && err != bufio.ErrBufferFull:
			return false, err
		}
	}
}

func notASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return true
		}
	}
	return false
}
