package smtp

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// Timeouts of one conversation; what is 0 is as RFC 5321 §4.5.3.2 asks. Each is for a
// whole step: a site that drips a reply byte by byte does not get more.
type Timeouts struct {
	Connect   time.Duration // one address; used by whoever dials. 30 s
	Banner    time.Duration // 5 min
	Command   time.Duration // EHLO, STARTTLS with its handshake, MAIL, RCPT, RSET. 5 min
	DataInit  time.Duration // the reply to DATA. 2 min
	DataBlock time.Duration // each 64 KB of content. 3 min
	DataDone  time.Duration // the reply after the final dot. 10 min
}

func (t Timeouts) orDefaults() Timeouts {
	t.Connect = cmp.Or(t.Connect, 30*time.Second)
	t.Banner = cmp.Or(t.Banner, 5*time.Minute)
	t.Command = cmp.Or(t.Command, 5*time.Minute)
	t.DataInit = cmp.Or(t.DataInit, 2*time.Minute)
	t.DataBlock = cmp.Or(t.DataBlock, 3*time.Minute)
	t.DataDone = cmp.Or(t.DataDone, 10*time.Minute)
	return t
}

// OrDefaults fills in what is 0.
func (t Timeouts) OrDefaults() Timeouts { return t.orDefaults() }

// maxIdleBuffer bounds in bytes what a conversation that waits holds on to for writing.
const maxIdleBuffer = 16 << 10

// Offers is what a site said it can do, in its reply to EHLO.
type Offers struct {
	Pipelining, EightBit, UTF8, Chunking, StartTLS bool
	AuthPlain, AuthLogin                           bool

	Size int64 // the largest message it takes in bytes (RFC 1870); 0 = it did not say
	size bool  // it knows the SIZE parameter
}

// Client is our end of one conversation. One goroutine uses it at a time.
type Client struct {
	Log *Transcript // where what is said is written down; may change between calls, may be nil

	raw    net.Conn // the TCP connection: closed to cut
	conn   net.Conn // what is talked through: raw, or TLS over it
	in     replyReader
	got    reply
	out    []byte
	name   string
	limits Timeouts
	offers Offers
	tls    *mail.TLSFacts
	result Result
	open   bool // the site may still hold a transaction of ours: RSET comes before the next MAIL
	gone   bool // nothing more can be said
	cut    atomic.Bool
}

// New begins a conversation over a connection. The client owns it from now on. name is
// what it says of itself in EHLO.
func New(conn net.Conn, name string, limits Timeouts, log *Transcript) *Client {
	return &Client{
		Log: log, raw: conn, conn: conn, in: newReplyReader(conn), out: make([]byte, 0, 4096),
		name: name, limits: limits.orDefaults(),
	}
}

// Offers tells what the site can do, as of the last Hello.
func (c *Client) Offers() Offers { return c.offers }

// TLS tells how the conversation is encrypted; nil = in clear.
func (c *Client) TLS() *mail.TLSFacts { return c.tls }

// Usable tells whether another Send makes sense.
func (c *Client) Usable() bool { return !c.gone }

// Greet reads the banner. Any reply but 220 is a refusal.
func (c *Client) Greet(ctx context.Context) (mail.Reply, error) {
	defer c.watch(ctx)()
	c.arm(c.limits.Banner)
	if f := c.read(StageBanner); f != nil {
		return mail.Reply{}, f
	}
	return c.got.mail(), nil
}

// Hello says EHLO, and HELO to a site that does not know EHLO (RFC 5321 §3.2). Any reply
// but 250 is a refusal.
func (c *Client) Hello(ctx context.Context) (mail.Reply, error) {
	defer c.watch(ctx)()
	c.offers = Offers{}
	if f := c.ask(StageHello, "EHLO ", c.name); f != nil {
		return mail.Reply{}, f
	}
	if c.got.code/100 == 5 && !c.gone {
		if f := c.ask(StageHello, "HELO ", c.name); f != nil {
			return mail.Reply{}, f
		}
		return c.got.mail(), nil
	}
	if c.got.code == 250 {
		c.offers = parseOffers(&c.got)
	}
	return c.got.mail(), nil
}

// parseOffers reads the lines of an EHLO reply after the first (RFC 5321 §4.1.1.1).
func parseOffers(r *reply) Offers {
	var o Offers
	first := true
	r.lines(func(line []byte) {
		if first || len(line) < 4 {
			first = false
			return
		}
		word, value, _ := strings.Cut(string(line[4:]), " ")
		switch strings.ToUpper(word) {
		case "PIPELINING":
			o.Pipelining = true
		case "8BITMIME":
			o.EightBit = true
		case "SMTPUTF8":
			o.UTF8 = true
		case "CHUNKING":
			o.Chunking = true
		case "STARTTLS":
			o.StartTLS = true
		case "AUTH":
			for _, mechanism := range strings.Fields(strings.ToUpper(value)) {
				o.AuthPlain = o.AuthPlain || mechanism == "PLAIN"
				o.AuthLogin = o.AuthLogin || mechanism == "LOGIN"
			}
		case "SIZE":
			o.size = true
			if n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64); err == nil && n > 0 {
				o.Size = n
			}
		}
	})
	return o
}

// StartTLS asks for TLS and shakes hands (RFC 3207). A reply other than 220 is a refusal:
// the conversation goes on in clear if the caller wants that. After an error it is over.
// Say Hello again afterwards.
//
// The certificate is checked against cfg.RootCAs and cfg.ServerName but its faults are
// only told, in [mail.TLSFacts]: whether they matter is the caller's decision.
func (c *Client) StartTLS(ctx context.Context, cfg *tls.Config) (mail.Reply, error) {
	defer c.watch(ctx)()
	if f := c.ask(StageStartTLS, "STARTTLS", ""); f != nil {
		return mail.Reply{}, f
	}
	answer := c.got.mail()
	if answer.Code != 220 {
		return answer, nil
	}
	if c.in.buffered() {
		// Said in clear, it would count as said under TLS: somebody in between put it there.
		return answer, c.broke(StageStartTLS, protocolError("text after the reply to STARTTLS"))
	}
	secure := tls.Client(c.raw, withFacts(cfg, &c.tls))
	if err := secure.HandshakeContext(ctx); err != nil {
		c.tls = nil
		return answer, c.broke(StageStartTLS, err)
	}
	c.conn, c.in.src = secure, secure
	c.Log.Note("TLS: " + c.tls.Version + " " + c.tls.Cipher)
	return answer, nil
}

// withFacts makes a configuration that accepts any certificate and tells of it.
func withFacts(cfg *tls.Config, facts **mail.TLSFacts) *tls.Config {
	cfg = cfg.Clone()
	cfg.InsecureSkipVerify = true // verified by hand below, so that the fault can be told
	if cfg.MinVersion < tls.VersionTLS12 {
		cfg.MinVersion = tls.VersionTLS12
	}
	cfg.VerifyConnection = func(s tls.ConnectionState) error {
		f := &mail.TLSFacts{Version: tls.VersionName(s.Version), Cipher: tls.CipherSuiteName(s.CipherSuite)}
		if err := verify(s, cfg); err != nil {
			f.Error = string(truncate(appendClean(nil, []byte(err.Error())), 300))
		} else {
			f.Verified = true
		}
		*facts = f
		return nil
	}
	return cfg
}

// Quit says QUIT and closes without waiting for the answer, which could only be a courtesy.
func (c *Client) Quit() {
	if !c.gone {
		_ = c.raw.SetDeadline(time.Now().Add(time.Second))
		_, _ = c.conn.Write([]byte("QUIT\r\n"))
	}
	c.Close()
}

// Close ends the conversation without a word.
func (c *Client) Close() {
	c.gone = true
	_ = c.raw.Close()
}

// watch closes the connection when ctx ends; what it gives stops watching.
func (c *Client) watch(ctx context.Context) func() {
	if ctx.Done() == nil {
		return func() {}
	}
	stop := context.AfterFunc(ctx, func() {
		c.cut.Store(true)
		_ = c.raw.Close()
	})
	return func() { stop() }
}

// arm gives the next step so much time.
func (c *Client) arm(d time.Duration) { _ = c.raw.SetDeadline(time.Now().Add(d)) }

// ask says one command and reads its reply.
func (c *Client) ask(stage Stage, verb, argument string) *Fault {
	start := c.start()
	c.out = append(append(c.out, verb...), argument...)
	c.endCommand(start)
	c.arm(c.limits.Command)
	if err := c.flush(); err != nil {
		return c.broke(stage, err)
	}
	return c.read(stage)
}

// start tells where a command begins in the write buffer.
func (c *Client) start() int { return len(c.out) }

// endCommand ends the command begun at start and writes it down.
func (c *Client) endCommand(start int) {
	c.Log.said('C', 0, bytes.TrimRight(c.out[start:], " "))
	c.out = append(c.out, '\r', '\n')
}

// flush writes all commands at once.
func (c *Client) flush() error {
	_, err := c.conn.Write(c.out)
	c.out = c.out[:0]
	return err
}

// read reads one reply into c.got and writes it down. After 421 nothing more is said
// (RFC 5321 §3.8).
func (c *Client) read(stage Stage) *Fault {
	err := c.in.next(&c.got)
	if c.Log != nil {
		c.got.lines(func(line []byte) { c.Log.said('S', codeOf(line), line) })
	}
	if err != nil {
		return c.broke(stage, err)
	}
	if c.got.code == 421 {
		c.gone = true
	}
	return nil
}

func codeOf(line []byte) int {
	code, _, _ := splitLine(line)
	return code
}

// broke ends the conversation for a reason.
func (c *Client) broke(stage Stage, err error) *Fault {
	f := &Fault{Stage: stage, Err: err, Cut: c.cut.Load()}
	c.Close()
	c.Log.Note(f.Error())
	return f
}
