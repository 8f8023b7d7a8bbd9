package links

import (
	"context"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/tracking"
)

// Wishes does what recipients ask: feedback.Service.
type Wishes interface {
	Recipient(ctx context.Context, delivery int64) (feedback.Recipient, error)
	Unsubscribe(ctx context.Context, delivery int64, method string, everything bool) (feedback.Recipient, error)
	Resubscribe(ctx context.Context, delivery int64) (feedback.Recipient, error)
}

// Visitors hears of opens and clicks; it must not block.
type Visitors interface {
	Visit(kind tracking.Kind, delivery int64, url string, v tracking.Visit, at time.Time)
}

// Options are the parts the door is built from. Visitors may be nil: nothing is counted.
type Options struct {
	Tokens   *tracking.Tokens
	Wishes   Wishes
	Visitors Visitors
	Now      func() time.Time
	Log      *slog.Logger
}

// New gives the handler of /u/, /c/ and /o/.
func New(o Options) http.Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &handler{o}
}

// Owns tells whether a path is one of this door's.
func Owns(path string) bool {
	return len(path) > 3 && path[0] == '/' && path[2] == '/' && (path[1] == 'u' || path[1] == 'c' || path[1] == 'o')
}

type handler struct{ o Options }

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("X-Robots-Tag", "noindex")
	path := strings.TrimSuffix(r.URL.Path, "/")
	if !Owns(path) {
		h.notFound(w)
		return
	}
	token := path[3:]
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case path[1] == 'u' && read:
		h.ask(w, r, token)
	case path[1] == 'u' && r.Method == http.MethodPost:
		h.unsubscribe(w, r, token)
	case path[1] == 'c' && read:
		h.follow(w, r, token)
	case path[1] == 'o' && read:
		h.open(w, r, token)
	default:
		allow := "GET, HEAD"
		if path[1] == 'u' {
			allow += ", POST"
		}
		head.Set("Allow", allow)
		h.page(w, http.StatusMethodNotAllowed, pageData{Title: "Not possible", Text: "This link cannot be used in this way."})
	}
}

func (h *handler) notFound(w http.ResponseWriter) {
	h.page(w, http.StatusNotFound, pageData{Title: "Link not known", Text: "This link is not valid, or the message it came with is not kept any more."})
}

// failed answers an error of looking somebody up.
func (h *handler) failed(w http.ResponseWriter, err error) {
	if errors.Is(err, mail.ErrNotFound) {
		h.notFound(w)
		return
	}
	h.o.Log.Error("a recipient's link could not be served", "error", err)
	w.Header().Set("Retry-After", "60")
	h.page(w, http.StatusServiceUnavailable, pageData{Title: "Please try again", Text: "This could not be done just now. Nothing was changed; please try again in a minute."})
}

// ask shows the page with the button. It changes nothing.
func (h *handler) ask(w http.ResponseWriter, r *http.Request, text string) {
	token, ok := h.o.Tokens.Parse(text, tracking.KindUnsubscribe)
	if !ok {
		h.notFound(w)
		return
	}
	to, err := h.o.Wishes.Recipient(r.Context(), token.Delivery)
	if err != nil {
		h.failed(w, err)
		return
	}
	h.page(w, http.StatusOK, asking(&to))
}

// maxForm bounds the body of a POST in bytes: a form of one field.
const maxForm = 4 << 10

// unsubscribe does what the form says. Doing it again does nothing more.
func (h *handler) unsubscribe(w http.ResponseWriter, r *http.Request, text string) {
	token, ok := h.o.Tokens.Parse(text, tracking.KindUnsubscribe)
	if !ok {
		h.notFound(w)
		return
	}
	var to feedback.Recipient
	var err error
	form := readForm(w, r)
	switch {
	case strings.EqualFold(form.Get("List-Unsubscribe"), "One-Click"):
		to, err = h.o.Wishes.Unsubscribe(r.Context(), token.Delivery, "one_click", false)
	case form.Get("do") == "topic":
		to, err = h.o.Wishes.Unsubscribe(r.Context(), token.Delivery, "link", false)
	case form.Get("do") == "everything":
		to, err = h.o.Wishes.Unsubscribe(r.Context(), token.Delivery, "link", true)
	case form.Get("do") == "undo":
		if to, err = h.o.Wishes.Resubscribe(r.Context(), token.Delivery); err == nil {
			h.page(w, http.StatusOK, undone(&to))
			return
		}
	default:
		h.page(w, http.StatusBadRequest, pageData{Title: "Nothing was changed", Text: "The request did not say List-Unsubscribe=One-Click (RFC 8058). Open the link in a browser to unsubscribe."})
		return
	}
	if err != nil {
		h.failed(w, err)
		return
	}
	h.page(w, http.StatusOK, done(&to, form.Get("do") == "everything"))
}

// readForm reads a small form in either of the two encodings RFC 8058 §3.2 allows; what
// is neither is empty.
func readForm(w http.ResponseWriter, r *http.Request) url.Values {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case kind == "multipart/form-data" && r.ParseMultipartForm(maxForm) == nil:
		return r.PostForm
	case kind == "application/x-www-form-urlencoded" && r.ParseForm() == nil:
		return r.PostForm
	}
	return url.Values{}
}

// follow leads on. Where to is in the link and signed, so that it needs no look-up and
// goes on while the store is away; only counting it does.
func (h *handler) follow(w http.ResponseWriter, r *http.Request, text string) {
	token, to, ok := h.o.Tokens.ParseClick(r.Host, text)
	if !ok {
		h.notFound(w)
		return
	}
	h.visited(r, token, to)
	w.Header().Set("Location", ascii(to))
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusFound)
}

// ascii percent-encodes what a header cannot hold.
func ascii(to string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(to); i++ {
		if c := to[i]; c < 0x80 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

// pixel is a transparent GIF of 1×1.
const pixel = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff\x21\xf9\x04\x01\x00\x00\x00\x00\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b"

func (h *handler) open(w http.ResponseWriter, r *http.Request, text string) {
	token, ok := h.o.Tokens.Parse(text, tracking.KindOpen)
	if !ok {
		h.notFound(w)
		return
	}
	h.visited(r, token, "")
	w.Header().Set("Content-Type", "image/gif")
	w.Header().Set("Content-Length", "43")
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(pixel)) // who asked is gone, then
	}
}

const maxAgent = 256 // bytes kept of a User-Agent

func (h *handler) visited(r *http.Request, token tracking.Token, to string) {
	if h.o.Visitors == nil {
		return
	}
	v := tracking.Visit{Method: r.Method, UserAgent: clean(r.UserAgent())}
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		v.Address = from.Addr().Unmap()
	}
	h.o.Visitors.Visit(token.Kind, token.Delivery, to, v, h.o.Now())
}

// clean makes a User-Agent fit to be kept.
func clean(agent string) string {
	if len(agent) > maxAgent {
		agent = agent[:maxAgent]
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return -1
		}
		return c
	}, strings.ToValidUTF8(agent, ""))
}
