package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/dns"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/route"
)

// maxURL is how long an endpoint's URL may be.
const maxURL = 2048

// target is where a URL leads, as far as its text tells.
type target struct {
	url    *url.URL
	secure bool
	host   string // in the form the DNS has it; or an address
	port   uint16
}

// parseTarget judges a URL by its text alone: what it says must be what it means, so
// addresses in odd spellings ("0x7f.1", "2130706433") are refused here already. Whether
// the address behind it may be dialled is decided when it is. Faults are of field "url".
func parseTarget(raw string) (target, *mail.Error) {
	bad := func(message string) (target, *mail.Error) {
		return target{}, &mail.Error{Code: "invalid_value", Field: "url", Pointer: "#/url", Message: message}
	}
	if len(raw) > maxURL {
		return target{}, &mail.Error{Code: "too_long", Field: "url", Pointer: "#/url", Message: "A URL has at most " + strconv.Itoa(maxURL) + " characters."}
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }) {
		return bad("A URL holds no spaces, control characters or backslashes; write them as %20 and so on.")
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return bad("This is not a URL. Write it as in https://app.example.com/hooks/mail.")
	case u.Scheme != "https" && u.Scheme != "http":
		return bad("A URL begins with https://, e.g. https://app.example.com/hooks/mail.")
	case u.Opaque != "" || u.Hostname() == "":
		return bad("The URL names no host. Write it as in https://app.example.com/hooks/mail.")
	case u.User != nil:
		return bad("A user name or password in the URL would stand in logs. Send it in custom_headers, e.g. Authorization.")
	case u.Fragment != "" || strings.HasSuffix(raw, "#"):
		return bad("What follows '#' is never sent. Leave it out.")
	}
	t := target{url: u, secure: u.Scheme == "https"}
	if t.host, err = hostOf(u.Hostname()); err != nil {
		return bad(err.Error())
	}
	if t.port, err = portOf(u); err != nil {
		return bad(err.Error())
	}
	return t, nil
}

// checkTime bounds the look-up while somebody waits for an answer to a form.
const checkTime = 3 * time.Second

// Check gives early the verdict of [Client.Post] on a URL: a *mail.Error of field "url" when
// it would be refused now. That its host has no address yet is none: see [Client.Doubt].
func (c *Client) Check(ctx context.Context, raw string) error {
	err := c.lookAt(ctx, raw)
	var fault *mail.Error
	switch {
	case errors.As(err, &fault):
		return fault
	case errors.Is(err, route.ErrGuarded):
		return &mail.Error{Code: "url_not_allowed", Field: "url", Pointer: "#/url", Message: trouble(err)}
	}
	return nil
}

// Doubt tells what is to be known of a URL that may be used: its host has no address now.
// Nil: nothing.
func (c *Client) Doubt(ctx context.Context, raw string) *mail.Warning {
	if err := c.lookAt(ctx, raw); err != nil && !refused(err) {
		return &mail.Warning{Code: "url_not_resolved", Pointer: "#/url", Message: trouble(err) + " Hooks wait until it has one."}
	}
	return nil
}

func (c *Client) lookAt(ctx context.Context, raw string) error {
	t, fault := parseTarget(raw)
	if fault != nil {
		return fault
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	_, err := c.find(ctx, net.JoinHostPort(t.host, strconv.Itoa(int(t.port))), t.secure)
	return err
}

// unfit says what is wrong with a part of a URL, in a sentence to show.
type unfit string

func (u unfit) Error() string { return string(u) }

// hostOf brings a host into the form it is looked up in. International names are mapped as
// browsers do, which can make an address of them: that is why it is done before judging.
func hostOf(host string) (string, error) {
	if strings.ContainsRune(host, ':') {
		addr, err := netip.ParseAddr(host)
		if err != nil || addr.Zone() != "" {
			return "", unfit(fmt.Sprintf("'%s' is not an IPv6 address. Write it in brackets, without a zone.", host))
		}
		return addr.String(), nil
	}
	if addr, err := netip.ParseAddr(strings.TrimSuffix(host, ".")); err == nil {
		return addr.String(), nil
	}
	name, err := dns.ToASCII(host)
	if err != nil {
		return "", unfit(fmt.Sprintf("'%s' is not a host name: letters, digits and hyphens, with dots between them.", clip(host, 100)))
	}
	if addr, err := netip.ParseAddr(name); err == nil {
		return addr.String(), nil
	}
	if endsInNumber(name) {
		return "", unfit(fmt.Sprintf("'%s' looks like an address in an unusual spelling. Write four decimal numbers, as in 203.0.113.7.", clip(host, 100)))
	}
	return name, nil
}

// endsInNumber tells hosts that programs read as IPv4 addresses though they do not look
// it: the last part is decimal, octal or hexadecimal (WHATWG URL §3.5).
func endsInNumber(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	if strings.Trim(last, "0123456789") == "" {
		return true
	}
	hex, ok := strings.CutPrefix(last, "0x")
	return ok && strings.Trim(hex, "0123456789abcdef") == ""
}

// portOf gives the port of a URL: 443, 80, or one that needs no privilege. The ports
// between are those of mail, names and remote shells, which talk to anybody who connects.
func portOf(u *url.URL) (uint16, error) {
	text := u.Port()
	switch {
	case text == "" && u.Scheme == "https":
		return 443, nil
	case text == "":
		return 80, nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n != 443 && n != 80 && n < 1024 {
		return 0, unfit(fmt.Sprintf("Port %s cannot be used. Hooks go to 443, 80, and 1024 to 65535.", clip(text, 10)))
	}
	return uint16(n), nil
}

// clip keeps what is shown of others' words short.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
