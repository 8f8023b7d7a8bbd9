package postroad

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// Version is this package's, as its User-Agent says.
const Version = "0.1.0"

// What holds where no option says otherwise.
const (
	DefaultBaseURL     = "http://127.0.0.1:8080"
	DefaultMaxAttempts = 5                // of one call, the first included
	DefaultTimeout     = 30 * time.Second // of one attempt
	bigTimeout         = 60 * time.Second // of one attempt with a body over bigBody
	bigBody            = 1 << 20
)

// Client speaks to one server with one key. Its methods and those of its fields may be
// called by many goroutines.
type Client struct {
	Messages     *Messages
	Templates    *Templates
	Domains      *Domains
	Suppressions *Suppressions
	Unsubscribes *Unsubscribes
	Jobs         *Jobs
	Webhooks     *Webhooks
	Events       *Events
	APIKeys      *APIKeys
	Project      *ProjectSettings
	Projects     *Projects
	Audit        *Audit
	Sandbox      *Sandbox
	Erasures     *Erasures
	Health       *Health

	base        string
	key         string
	http        *http.Client
	agent       string
	maxAttempts int
	timeout     time.Duration // 0: by the size of the body
	hook        func(Attempt)
}

// Option changes how a client works.
type Option func(*Client)

// WithAPIKey is for a key that does not stand in POSTROAD_API_KEY.
func WithAPIKey(key string) Option { return func(c *Client) { c.key = key } }

// WithBaseURL names the server: https://HOST, with or without /v1.
func WithBaseURL(base string) Option { return func(c *Client) { c.base = base } }

// WithHTTPClient brings a transport of one's own (a proxy, certificates, postroadtest).
// Its redirects are never followed: a key must not travel to where somebody points.
func WithHTTPClient(h *http.Client) Option { return func(c *Client) { c.http = h } }

// WithMaxAttempts is how often one call is tried in all; 1 is never again.
func WithMaxAttempts(n int) Option { return func(c *Client) { c.maxAttempts = n } }

// WithTimeout bounds one attempt, also a big one. The whole call is bounded by its context.
func WithTimeout(d time.Duration) Option { return func(c *Client) { c.timeout = d } }

// WithUserAgent puts the name of a program before our own.
func WithUserAgent(name string) Option {
	return func(c *Client) { c.agent = name + " " + c.agent }
}

// WithHook has every attempt told to hook when it ended, from the goroutine of the call.
func WithHook(hook func(Attempt)) Option { return func(c *Client) { c.hook = hook } }

// Attempt is one try of one call, for logs and counters. It holds no body and no key, but
// a path may hold an address or an id.
type Attempt struct {
	Method    string
	Path      string
	Number    int // from 1
	Status    int // 0: there was no answer
	RequestID string
	Duration  time.Duration
	Err       error         // nil: it succeeded
	Retry     bool          // it will be tried again
	Wait      time.Duration // before that
}

// New makes a client from POSTROAD_API_KEY and POSTROAD_BASE_URL (default
// [DefaultBaseURL]); options go before. It makes no request. Health and Version can be
// asked without a key.
func New(options ...Option) (*Client, error) {
	c := &Client{base: os.Getenv("POSTROAD_BASE_URL"), key: os.Getenv("POSTROAD_API_KEY"), agent: "postroad-go/" + Version,
		maxAttempts: DefaultMaxAttempts}
	for _, option := range options {
		option(c)
	}
	base, err := baseOf(c.base)
	if err != nil {
		return nil, err
	}
	c.base = base
	c.key = strings.TrimSpace(c.key)
	if strings.ContainsFunc(c.key, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil, errors.New("postroad: the API key holds a character that no key has")
	}
	if c.maxAttempts < 1 {
		return nil, fmt.Errorf("postroad: %d attempts: at least one is needed", c.maxAttempts)
	}
	if c.timeout < 0 {
		return nil, fmt.Errorf("postroad: a time-out of %v is none", c.timeout)
	}
	c.http = withoutRedirects(c.http)
	c.bind()
	return c, nil
}

func (c *Client) bind() {
	c.Messages, c.Templates, c.Domains = &Messages{c}, &Templates{c}, &Domains{c}
	c.Suppressions, c.Unsubscribes, c.Jobs = &Suppressions{c}, &Unsubscribes{c}, &Jobs{c}
	c.Webhooks, c.Events, c.APIKeys = &Webhooks{c}, &Events{c}, &APIKeys{c}
	c.Project, c.Projects, c.Audit = &ProjectSettings{c}, &Projects{c}, &Audit{c}
	c.Sandbox, c.Erasures, c.Health = &Sandbox{c}, &Erasures{c}, &Health{c}
}

// baseOf is the server's address without a slash at its end.
func baseOf(given string) (string, error) {
	if given == "" {
		return DefaultBaseURL, nil
	}
	u, err := url.Parse(given)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("postroad: the base URL %q is not an address like https://mail.example.com", redacted(given, u))
	}
	return strings.TrimSuffix(strings.TrimRight(given, "/"), "/v1"), nil
}

// redacted keeps a password out of an error.
func redacted(given string, u *url.URL) string {
	if u == nil || u.User != nil {
		return "…"
	}
	return given
}

func withoutRedirects(given *http.Client) *http.Client {
	h := &http.Client{}
	if given != nil {
		*h = *given
	} else {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost = 64
		h.Transport = transport
	}
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return h
}

// String shows where the client speaks to and which key it has, not its secret.
func (c *Client) String() string {
	return "postroad.Client{" + c.base + ", " + maskKey(c.key) + "}"
}

// GoString is for %#v, which would print the secret.
func (c *Client) GoString() string { return c.String() }

// Format would be needed for no verb that String and GoString do not serve.
var (
	_ fmt.Stringer   = (*Client)(nil)
	_ fmt.GoStringer = (*Client)(nil)
)

// maskKey keeps what may be shown of a key: sk_live_k7f2q9xm_…
func maskKey(key string) string {
	if key == "" {
		return "no key"
	}
	parts := strings.SplitN(key, "_", 4)
	if len(parts) == 4 && parts[0] == "sk" && len(parts[2]) == 8 {
		return strings.Join(parts[:3], "_") + "_…"
	}
	return "…" // keys handed in by configuration may have any shape
}
