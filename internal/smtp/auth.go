package smtp

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"

	"github.com/postroad/postroad/internal/mail"
)

// ErrNoMechanism says that a site offers no way to authenticate that we know.
var ErrNoMechanism = errors.New("the server offers neither AUTH PLAIN nor AUTH LOGIN")

// Secure shakes hands before anything is said (RFC 8314 §3). Certificates are as in
// [Client.StartTLS].
func (c *Client) Secure(ctx context.Context, cfg *tls.Config) error {
	defer c.watch(ctx)()
	c.arm(c.limits.Command)
	secure := tls.Client(c.raw, withFacts(cfg, &c.tls))
	if err := secure.HandshakeContext(ctx); err != nil {
		c.tls = nil
		return c.broke(StageStartTLS, err)
	}
	c.conn, c.in.src = secure, secure
	c.Log.Note("TLS: " + c.tls.Version + " " + c.tls.Cipher)
	return nil
}

// Auth says who we are (RFC 4954): PLAIN, or LOGIN where that alone is offered. Any reply
// but 235 is a refusal. What is secret is not written down.
func (c *Client) Auth(ctx context.Context, user, password string) (mail.Reply, error) {
	defer c.watch(ctx)()
	switch {
	case c.offers.AuthPlain:
		if f := c.secret("AUTH PLAIN ", "\x00"+user+"\x00"+password); f != nil {
			return mail.Reply{}, f
		}
		return c.got.mail(), nil
	case c.offers.AuthLogin:
		if f := c.ask(StageAuth, "AUTH LOGIN", ""); f != nil {
			return mail.Reply{}, f
		}
		for _, answer := range [...]string{user, password} {
			if c.got.code != 334 {
				break
			}
			if f := c.secret("", answer); f != nil {
				return mail.Reply{}, f
			}
		}
		return c.got.mail(), nil
	}
	return mail.Reply{}, ErrNoMechanism
}

// secret says something in base64 that no transcript shows.
func (c *Client) secret(verb, text string) *Fault {
	c.Log.said('C', 0, []byte(verb+"****"))
	c.out = append(c.out, verb...)
	c.out = base64.StdEncoding.AppendEncode(c.out, []byte(text))
	c.out = append(c.out, '\r', '\n')
	c.arm(c.limits.Command)
	if err := c.flush(); err != nil {
		return c.broke(StageAuth, err)
	}
	return c.read(StageAuth)
}
