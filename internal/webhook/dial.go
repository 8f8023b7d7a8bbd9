package webhook

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"github.com/postroad/postroad/internal/route"
)

// What one call may take and bring.
const (
	connectTime = 5 * time.Second
	callTime    = 15 * time.Second
	// idleTime is shorter than the keep-alive of most servers (gunicorn 2 s, Node and
	// Apache 5 s), so that no request meets a connection that is being closed.
	idleTime   = 1500 * time.Millisecond
	maxHeader  = 32 << 10 // of a response, all of it
	maxTargets = 4        // addresses of one name that are tried
)

// Resolver finds the addresses of a host: dns.Resolver.
type Resolver interface {
	Addresses(ctx context.Context, host string) ([]netip.Addr, error)
}

// ClientOptions of a [Client].
type ClientOptions struct {
	Guard    *route.Guard // says which addresses may be dialled; needed
	Resolver Resolver     // nil: the system's, with its hosts file and search list
	Roots    *x509.CertPool
	// PublicURL stands in User-Agent: where a receiver's operator finds out who we are.
	PublicURL string
	Connect   time.Duration // for name, connection and TLS each; default 5 s
	Total     time.Duration // for a whole call; default 15 s
}

// Client makes the calls to addresses that projects name: it follows no redirects, uses no
// proxy, unpacks nothing, reads a bounded part of the answer, and asks the guard about the
// address that is really dialled, at the moment it is: a name that leads elsewhere a
// moment later, or any spelling of an address, changes nothing.
type Client struct {
	o             ClientOptions
	agent         string
	plain, secure *http.Transport
}

// NewClient makes a client. Close it.
func NewClient(o ClientOptions) *Client {
	o.Connect = cmp.Or(o.Connect, connectTime)
	o.Total = cmp.Or(o.Total, callTime)
	if o.Resolver == nil {
		o.Resolver = systemResolver{}
	}
	c := &Client{o: o, agent: "Postroad-Webhooks/1.0"}
	if o.PublicURL != "" {
		c.agent += " (+" + o.PublicURL + "/docs)"
	}
	c.plain, c.secure = c.transport(false), c.transport(true)
	return c
}

// Close ends idle connections.
func (c *Client) Close() {
	c.plain.CloseIdleConnections()
	c.secure.CloseIdleConnections()
}

// transport speaks HTTP/1.1 only: a call that hangs is one connection that is cut, and
// no receiver gets to talk of windows and settings.
func (c *Client) transport(secure bool) *http.Transport {
	return &http.Transport{
		Proxy: nil,
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			return c.dial(ctx, addr, secure)
		},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.o.Roots, ClientSessionCache: tls.NewLRUClientSessionCache(256)},
		TLSHandshakeTimeout:    c.o.Connect,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConns:           500,
		MaxIdleConnsPerHost:    10,
		IdleConnTimeout:        idleTime,
		Protocols:              onlyHTTP1(),
		WriteBufferSize:        8 << 10, // a hook in one write
	}
}

func onlyHTTP1() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}

// dial finds the host's addresses and connects to the first that may be dialled and
// answers. When the guard refuses all, the error is its refusal.
func (c *Client) dial(ctx context.Context, hostport string, secure bool) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Connect)
	defer cancel()
	addrs, err := c.find(ctx, hostport, secure)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		addr, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: %q is not an address", route.ErrGuarded, address)
		}
		return c.allow(addr, secure)
	}}
	var last error
	for i, addr := range addrs {
		deadline, _ := ctx.Deadline()
		attempt, done := context.WithTimeout(ctx, time.Until(deadline)/time.Duration(len(addrs)-i))
		conn, err := d.DialContext(attempt, "tcp", addr.String())
		done()
		if err == nil {
			return conn, nil
		}
		last = err
	}
	return nil, last
}

// find gives the addresses of a host that may be dialled, at least one.
func (c *Client) find(ctx context.Context, hostport string, secure bool) ([]netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	if host, err = hostOf(host); err != nil {
		return nil, fmt.Errorf("%w: %w", route.ErrGuarded, err)
	}
	all, err := c.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	var open []netip.AddrPort
	var refusal error
	for _, a := range all {
		addr := netip.AddrPortFrom(a.Unmap(), uint16(number))
		if err := c.allow(addr, secure); err == nil {
			if open = append(open, addr); len(open) == maxTargets {
				break
			}
		} else if refusal == nil {
			refusal = err
		}
	}
	if len(open) == 0 {
		return nil, refusal
	}
	return open, nil
}

// allow is the guard's word, and for http more than that: nothing proves who answers
// there, so it goes to networks only that the operator named.
func (c *Client) allow(addr netip.AddrPort, secure bool) error {
	if err := c.o.Guard.Allow(addr); err != nil {
		return err
	}
	if !secure && !c.o.Guard.Opened(addr.Addr()) {
		return fmt.Errorf("%w over http: %s is not among the networks of POSTROAD_ALLOW_NETWORKS; use https", route.ErrGuarded, addr.Addr())
	}
	return nil
}

var loopback = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}

// resolve gives a host's addresses. "localhost" is never asked for (RFC 6761 §6.3).
func (c *Client) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	if host == "localhost" || len(host) > 10 && host[len(host)-10:] == ".localhost" {
		return loopback, nil
	}
	addrs, err := c.o.Resolver.Addresses(ctx, host)
	if err != nil {
		return nil, &lookupError{host, err}
	}
	if len(addrs) == 0 {
		return nil, &lookupError{host, errors.New("it has no address")}
	}
	return addrs, nil
}

// lookupError says that a host has no address, or that nobody could tell.
type lookupError struct {
	host string
	err  error
}

func (e *lookupError) Error() string { return "look up " + e.host + ": " + e.err.Error() }
func (e *lookupError) Unwrap() error { return e.err }

// systemResolver asks as the host's other programs do.
type systemResolver struct{}

func (systemResolver) Addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}
