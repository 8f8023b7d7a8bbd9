package smtpd_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/certificate"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/smtpd"
	"github.com/postroad/postroad/internal/store/sqlite"
	"github.com/postroad/postroad/internal/submit"
)

const (
	testKey = "test-key-of-the-operator"
	liveKey = "live-key-of-the-operator"
)

// house is the door over real parts: the embedded store and the real way in.
type house struct {
	*smtpd.Server
	t      testing.TB
	addr   string
	store  *sqlite.Store
	access *project.Access
	seen   *observer
	ended  chan error
}

// observer passes everything on to the real way in and remembers what was handed in.
type observer struct {
	smtpd.Submitter
	mu       sync.Mutex
	requests []*submit.RawRequest
	accepted []*submit.Accepted
	trouble  error         // what to fail with instead
	slow     chan struct{} // when not nil: waited for before submitting
	holding  error
}

func (o *observer) Hold(ctx context.Context, r io.Reader, room int64) (mail.Content, error) {
	if o.holding != nil {
		_, _ = io.CopyN(io.Discard, r, 100)
		return nil, o.holding
	}
	return o.Submitter.Hold(ctx, r, room)
}

func (o *observer) SubmitRaw(ctx context.Context, who project.Principal, r *submit.RawRequest) (*submit.Accepted, error) {
	if o.slow != nil {
		<-o.slow
	}
	o.mu.Lock()
	trouble := o.trouble
	o.mu.Unlock()
	if trouble != nil {
		return nil, trouble
	}
	out, err := o.Submitter.SubmitRaw(ctx, who, r)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.requests = append(o.requests, r)
	if err == nil {
		o.accepted = append(o.accepted, out)
	}
	return out, err
}

func (o *observer) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.trouble = err
}

func (o *observer) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.accepted)
}

type domains map[string]string

func (d domains) Domain(_ context.Context, _ int64, name string) (project.Domain, error) {
	if state, ok := d[name]; ok {
		return project.Domain{Name: name, Status: state}, nil
	}
	return project.Domain{}, mail.ErrNotFound
}

// build opens a house on a port of its own; change may set options.
func build(t testing.TB, perMinute int, change func(*smtpd.Options)) *house {
	t.Helper()
	h := &house{t: t, ended: make(chan error, 2)}
	var err error
	if h.store, err = sqlite.Open(sqlite.Options{Dir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.store.Close() })
	if err := h.store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.access = project.NewAccess(project.AccessOptions{Store: h.store, Limits: project.NewLimits(perMinute), BootstrapLive: liveKey, BootstrapTest: testKey})
	if _, err := h.access.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.seen = &observer{Submitter: submit.NewService(submit.Options{Store: h.store, Domains: domains{"acme.test": "verified", "new.test": "pending"}})}
	o := smtpd.Options{Access: h.access, Submitter: h.seen, Memory: h.store, Hostname: "mail.acme.test", Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	h.Server = smtpd.New(o)
	h.addr = h.listen(false)
	return h
}

// listen opens one more door of the house.
func (h *house) listen(implicit bool, wrap ...func(net.Listener) net.Listener) string {
	h.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	addr := l.Addr().String()
	for _, w := range wrap {
		l = w(l)
	}
	go func() { h.ended <- h.Serve(l, implicit) }()
	h.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		h.Shutdown(ctx)
	})
	return addr
}

// afar makes the clients of a listener come from 192.0.2.7.
func afar(l net.Listener) net.Listener { return from{l, "192.0.2.7"} }

type from struct {
	net.Listener
	ip string
}

func (f from) Accept() (net.Conn, error) {
	c, err := f.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return farConn{c.(*net.TCPConn), f.ip}, nil
}

type farConn struct {
	*net.TCPConn
	ip string
}

func (c farConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(c.ip), Port: 1} }

var ownCertificate = sync.OnceValue(func() *tls.Config {
	dir, err := os.MkdirTemp("", "smtpd-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	own, err := certificate.Own(filepath.Join(dir, "certificate.pem"), "mail.acme.test", time.Now(), slog.New(slog.DiscardHandler))
	if err != nil {
		panic(err)
	}
	return &tls.Config{GetCertificate: own.Get, MinVersion: tls.VersionTLS12}
})

func withTLS(o *smtpd.Options) { o.TLS = ownCertificate() }

// client is one conversation.
type client struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

func (h *house) dial() *client { return dialTo(h.t, h.addr) }

func dialTo(t testing.TB, addr string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(3 * time.Minute))
	return &client{t, conn, bufio.NewReader(conn)}
}

// known is a conversation after AUTH.
func (h *house) known(key string) *client {
	h.t.Helper()
	c := h.dial()
	c.want("220 ")
	c.say("EHLO test", "250")
	c.say("AUTH PLAIN "+plain(key), "235 2.7.0")
	return c
}

func plain(key string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00anybody\x00" + key))
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// say sends a line and wants a reply that begins with this.
func (c *client) say(line, want string) string {
	c.t.Helper()
	c.send(line + "\r\n")
	got := c.reply()
	if !strings.HasPrefix(got, want) {
		c.t.Fatalf("%.100q was answered %q, want %q", line, got, want)
	}
	return got
}

func (c *client) want(want string) string {
	c.t.Helper()
	got := c.reply()
	if !strings.HasPrefix(got, want) {
		c.t.Fatalf("got %q, want %q", got, want)
	}
	return got
}

// reply reads one whole reply; "" at the end of the conversation.
func (c *client) reply() string {
	c.t.Helper()
	got, err := readReply(c.r)
	if err != nil && !ended(err) {
		c.t.Fatalf("read a reply: %v", err)
	}
	return got
}

func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || strings.Contains(err.Error(), "reset by peer")
}

// readReply reads the lines of one reply and checks that they are of one code.
func readReply(r *bufio.Reader) (string, error) {
	var all strings.Builder
	code := ""
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return all.String(), err
		}
		if len(line) < 6 || !strings.HasSuffix(line, "\r\n") || len(line) > 512 {
			return "", fmt.Errorf("not a line of a reply: %q", line)
		}
		if n, err := strconv.Atoi(line[:3]); err != nil || n < 200 || n > 599 || code != "" && line[:3] != code {
			return "", fmt.Errorf("not a line of one reply: %q after %q", line, code)
		}
		code = line[:3]
		all.WriteString(strings.TrimSuffix(line, "\r\n"))
		if line[3] == ' ' {
			return all.String(), nil
		}
		all.WriteByte('\n')
	}
}

// wantEnd wants the server to have ended the conversation.
func (c *client) wantEnd() {
	c.t.Helper()
	if line, err := c.r.ReadString('\n'); err == nil || !ended(err) {
		c.t.Fatalf("the conversation goes on: %q, %v", line, err)
	}
}

// secure begins TLS.
func (c *client) secure() {
	c.t.Helper()
	conn := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	if err := conn.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	c.conn, c.r = conn, bufio.NewReader(conn)
}

// transaction sends a message to recipients and gives the last reply.
func (c *client) transaction(content string, to ...string) string {
	c.t.Helper()
	c.say("MAIL FROM:<someone@elsewhere.test>", "250 2.1.0")
	for _, a := range to {
		c.say("RCPT TO:<"+a+">", "250 2.1.5")
	}
	c.say("DATA", "354 ")
	c.send(content + ".\r\n")
	return c.reply()
}

func letter(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n" }

// hello is an ordinary message, with more header fields in front.
func hello(fields ...string) string {
	return letter(append(fields, "From: Acme <hello@acme.test>", "To: Ada <ada@customer.io>", "Subject: Hello", "", "How do you do?")...)
}

// stored is the content of the message a 250 told of.
func (h *house) stored(reply string) string {
	h.t.Helper()
	h.seen.mu.Lock()
	defer h.seen.mu.Unlock()
	for _, a := range h.seen.accepted {
		if !a.Replayed && strings.Contains(reply, a.Message.ID.Text(mail.PrefixMessage)) {
			c, err := h.store.Content(context.Background(), a.Message.Row)
			if err != nil {
				h.t.Fatal(err)
			}
			r, err := c.Open()
			if err != nil {
				h.t.Fatal(err)
			}
			defer r.Close()
			b, err := io.ReadAll(r)
			if err != nil {
				h.t.Fatal(err)
			}
			return string(b)
		}
	}
	h.t.Fatalf("no message in %q", reply)
	return ""
}
