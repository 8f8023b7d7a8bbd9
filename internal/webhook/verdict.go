package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/postroad/postroad/internal/dns"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/route"
)

// trouble says in words, with the fix, why a call brought no answer. It is shown to the
// project: it holds nothing of ours but the address that was dialled.
func trouble(err error) string {
	var fault *mail.Error
	var lookup *lookupError
	var op *net.OpError
	switch {
	case errors.As(err, &fault):
		return "Refused: " + fault.Message
	case errors.Is(err, route.ErrGuarded):
		return guardWords(err)
	case errors.As(err, &lookup):
		return lookupWords(lookup)
	case errors.As(err, &op) && op.Op == "dial":
		return dialWords(op)
	}
	if words := tlsWords(err); words != "" {
		return words
	}
	text := err.Error()
	switch {
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err) && !strings.Contains(text, "handshake"):
		return "There was no answer in time. Answer first (within 15 s), then do the work."
	case isTimeout(err):
		return "The TLS handshake was not finished in time."
	case errors.Is(err, context.Canceled):
		return "The call was cut because this server stops. It is made again."
	case strings.Contains(text, "server response headers exceeded"):
		return "The header of the answer is larger than 32 KB."
	case strings.Contains(text, "malformed HTTP"), strings.Contains(text, "malformed MIME"), strings.Contains(text, "transfer encoding"):
		return "What answered does not speak HTTP/1.1."
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), strings.Contains(text, "closed"):
		return "The connection was closed before an answer came."
	}
	return "The call failed: " + clip(text, 200)
}

// refused tells whether nothing was sent because it must not be.
func refused(err error) bool {
	var fault *mail.Error
	return errors.As(err, &fault) || errors.Is(err, route.ErrGuarded)
}

// guardWords leaves the dialler's own words away.
func guardWords(err error) string {
	text := err.Error()
	if i := strings.Index(text, route.ErrGuarded.Error()); i >= 0 {
		text = text[i:]
	}
	return "Refused: " + text + "."
}

func lookupWords(e *lookupError) string {
	var of *net.DNSError
	if errors.Is(e.err, dns.ErrNotFound) || errors.Is(e.err, dns.ErrNoData) || errors.As(e.err, &of) && of.IsNotFound {
		return "The name " + e.host + " has no address in the DNS."
	}
	return "The name " + e.host + " could not be looked up; the name servers gave no answer."
}

func dialWords(op *net.OpError) string {
	where := "the receiver"
	if op.Addr != nil {
		where = op.Addr.String()
	}
	switch {
	case errors.Is(op, syscall.ECONNREFUSED):
		return "Nobody listens at " + where + "."
	case op.Timeout(), errors.Is(op, context.DeadlineExceeded), errors.Is(op, syscall.ETIMEDOUT):
		return "No connection to " + where + " in time. Does a firewall drop it?"
	case errors.Is(op, syscall.ENETUNREACH), errors.Is(op, syscall.EHOSTUNREACH):
		return "There is no way from here to " + where + "."
	}
	return "No connection to " + where + " could be made."
}

// tlsWords is "" for errors that are not of TLS.
func tlsWords(err error) string {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var verify *tls.CertificateVerificationError
	switch {
	case errors.As(err, &unknown):
		return "The certificate is not signed by an authority this host trusts. Serve the whole chain, or use a public authority."
	case errors.As(err, &name):
		return "The certificate is not of this name: " + clip(name.Error(), 200) + "."
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "The certificate has expired or is not yet valid."
	case errors.As(err, &verify):
		return "The certificate was not accepted: " + clip(verify.Err.Error(), 200) + "."
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "What answered does not speak TLS. Is the port right?"
	case errors.As(err, &alert):
		return "The receiver broke the TLS handshake off: " + clip(alert.Error(), 100) + "."
	}
	return ""
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// verdicts are what a status most often means for one who sets up a receiver.
var verdicts = map[int]string{
	http.StatusBadRequest:            "your endpoint could not read the request; does it expect another body?",
	http.StatusUnauthorized:          "your verifier probably parsed the JSON first, or has another secret. Verify over the raw body",
	http.StatusForbidden:             "something in front of your endpoint refuses us (a firewall, CSRF protection, basic auth), or the signature did not verify. Verify over the raw body",
	http.StatusNotFound:              "nothing is at this path; check the URL",
	http.StatusMethodNotAllowed:      "the path exists but takes no POST",
	http.StatusRequestTimeout:        "your endpoint waited for a body that was there; a proxy may hold it back",
	http.StatusGone:                  "the endpoint says that it is gone: outside of a test this disables it at once",
	http.StatusRequestEntityTooLarge: "a proxy in front of your endpoint takes smaller bodies only; hooks are under 8 KB",
	http.StatusUnsupportedMediaType:  "your endpoint does not take application/json",
	http.StatusUnprocessableEntity:   "your endpoint read the request and did not like it; unknown types and fields must be ignored",
	http.StatusTooManyRequests:       "your endpoint wants fewer requests; lower max_per_second, or answer Retry-After",
	http.StatusBadGateway:            "a proxy did not reach your application",
	http.StatusServiceUnavailable:    "your endpoint is down or starting",
	http.StatusGatewayTimeout:        "your application did not answer the proxy in time. Answer first, then do the work",
}

// Verdict says what came of a try, to one who sets up a receiver.
func (t *Try) Verdict() string {
	if t.Status == 0 {
		return t.Error
	}
	location := ""
	for _, h := range t.ResponseHeaders {
		if h.Name == "Location" {
			location = h.Value
		}
	}
	return statusVerdict(t.Status, location)
}

func statusVerdict(status int, location string) string {
	if status >= 200 && status < 300 {
		return fmt.Sprintf("Delivered: your endpoint answered %d.", status)
	}
	words, known := verdicts[status]
	switch {
	case known:
	case status >= 300 && status < 400 && location != "":
		words = "redirects are not followed. Set the URL to " + clip(location, 200) + " if that is where hooks should go"
	case status >= 300 && status < 400:
		words = "redirects are not followed. Set the URL to where hooks should go"
	case status >= 500:
		words = "your endpoint failed; its own log says why"
	default:
		words = "only a 2xx counts as received"
	}
	return fmt.Sprintf("Your endpoint answered %d: %s.", status, words)
}
