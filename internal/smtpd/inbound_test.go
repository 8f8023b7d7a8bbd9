package smtpd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/report"
	"github.com/postroad/postroad/internal/smtpd"
)

// office is the door for reports, with somebody behind it who remembers what came.
type office struct {
	*smtpd.Server
	t    testing.TB
	addr string
	desk *desk
}

// desk takes in what goes to postmaster, abuse and addresses that begin with bounces+.
type desk struct {
	mu      sync.Mutex
	letters []*report.Letter
	fail    func(*report.Letter) error // when not nil: asked before a letter is taken
}

func (d *desk) Welcome(to mail.Address) bool {
	return strings.HasPrefix(strings.ToLower(to.Local()), "bounces+") || to.Email == "postmaster@mail.acme.test" || to.Email == "abuse@mail.acme.test"
}

func (d *desk) Take(_ context.Context, l *report.Letter) error {
	if d.fail != nil {
		if err := d.fail(l); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.letters = append(d.letters, l)
	return nil
}

func (d *desk) taken() []*report.Letter {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.letters)
}

func openOffice(t testing.TB, change func(*smtpd.InboundOptions, *desk)) *office {
	t.Helper()
	o := &office{t: t, desk: &desk{}}
	options := smtpd.InboundOptions{Reports: o.desk, Hostname: "mail.acme.test"}
	if change != nil {
		change(&options, o.desk)
	}
	o.Server = smtpd.NewInbound(options)
	o.addr = o.listen()
	return o
}

func (o *office) listen(wrap ...func(net.Listener) net.Listener) string {
	o.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		o.t.Fatal(err)
	}
	addr := l.Addr().String()
	for _, w := range wrap {
		l = w(l)
	}
	ended := make(chan error, 1)
	go func() { ended <- o.Serve(l, false) }()
	o.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		o.Shutdown(ctx)
		if err := <-ended; err != nil {
			o.t.Errorf("serve: %v", err)
		}
	})
	return addr
}

// caller is a conversation after EHLO.
func (o *office) caller() *client {
	o.t.Helper()
	c := dialTo(o.t, o.addr)
	c.want("220 mail.acme.test ESMTP")
	c.say("EHLO mx.far.test", "250")
	return c
}

// reporting is a conversation after DATA of a report.
func (o *office) reporting() *client {
	o.t.Helper()
	c := o.caller()
	c.say("MAIL FROM:<>", "250")
	c.say("RCPT TO:<bounces+one@mail.acme.test>", "250")
	c.say("DATA", "354")
	return c
}

// until waits for something that must come.
func until(t testing.TB, what string, there func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !there(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// TestInboundTalks plays the conversations of testdata/inbound, written as those of
// TestTalks.
func TestInboundTalks(t *testing.T) {
	playAll(t, "testdata/inbound/*", func(t *testing.T, _ string) (addr string) {
		return openOffice(t, func(o *smtpd.InboundOptions, _ *desk) { o.TLS = ownCertificate() }).addr
	})
}

func TestALetterIsHandedOnAsItCame(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	o := openOffice(t, func(o *smtpd.InboundOptions, _ *desk) { o.Now = func() time.Time { return noon } })
	o.addr = o.listen(afar)
	c := o.caller()
	c.send("MAIL FROM:<>\r\nRCPT TO:<Bounces+A@MAIL.acme.test>\r\nRCPT TO:<ada@customer.io>\r\nRCPT TO:<postmaster>\r\nRCPT TO:<postmaster>\r\nDATA\r\n")
	for _, want := range []string{"250", "250", "550", "250", "250", "354"} {
		c.want(want)
	}
	c.send("Subject: one\r\n\r\n..a\rb\nc\xff\r\n.\r\nMAIL FROM:<x@far.test>\r\nRCPT TO:<abuse@mail.acme.test>\r\nBDAT 4\r\na\r\n.BDAT 4 LAST\r\n\n.\nd")
	for range 5 {
		c.want("250")
	}
	client := netip.MustParseAddr("192.0.2.7")
	want := []report.Letter{
		{To: []string{"Bounces+A@mail.acme.test", "postmaster@mail.acme.test"}, Client: client, Helo: "mx.far.test", Arrived: noon, Content: []byte("Subject: one\r\n\r\n.a\rb\nc\xff\r\n"), Size: 25},
		{From: "x@far.test", To: []string{"abuse@mail.acme.test"}, Client: client, Helo: "mx.far.test", Arrived: noon, Content: []byte("a\r\n.\n.\nd"), Size: 8},
	}
	got := o.desk.taken()
	if len(got) != len(want) {
		t.Fatalf("%d letters", len(got))
	}
	for i := range want {
		if !reflect.DeepEqual(*got[i], want[i]) {
			t.Errorf("got  %+v\nwant %+v", *got[i], want[i])
		}
	}
	if s := o.Stats(); s.Accepted != 2 || s.Unwelcome != 1 {
		t.Errorf("%+v", s)
	}
}

// A 250 means that the letter is on disk; any trouble of ours is for now, and another
// transaction knows nothing of it.
func TestALetterThatIsNotRecordedIsKeptByItsSender(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	o := openOffice(t, func(_ *smtpd.InboundOptions, d *desk) {
		d.fail = func(l *report.Letter) error {
			switch {
			case strings.Contains(string(l.Content), "panic"):
				panic("broken")
			case broken.Load():
				return errors.New("disk trouble")
			}
			return nil
		}
	})
	c := o.caller()
	broken.Store(true)
	if got := c.report("first\r\n"); !strings.HasPrefix(got, "451 4.3.0 ") {
		t.Errorf("got %q", got)
	}
	c.send("MAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nBDAT 3 LAST\r\nabcBDAT 3 LAST\r\nabc")
	for _, want := range []string{"250", "250", "451 4.3.0", "503"} {
		c.want(want)
	}
	if len(o.desk.taken()) != 0 {
		t.Fatal("taken all the same")
	}
	broken.Store(false)
	if got := c.report("second\r\n"); !strings.HasPrefix(got, "250 2.0.0") {
		t.Errorf("got %q", got)
	}
	if got := c.report("panic\r\n"); !strings.HasPrefix(got, "421 4.3.0") {
		t.Errorf("got %q", got)
	}
	c.wantEnd()
	if got := o.desk.taken(); len(got) != 1 || string(got[0].Content) != "second\r\n" {
		t.Errorf("%d letters", len(got))
	}
	if s := o.Stats(); s.Accepted != 1 || s.Deferred != 2 || s.Panics != 1 {
		t.Errorf("%+v", s)
	}
}

// report brings a report and gives the last reply.
func (c *client) report(content string) string {
	c.t.Helper()
	c.say("MAIL FROM:<>", "250")
	c.say("RCPT TO:<bounces+one@mail.acme.test>", "250")
	c.say("DATA", "354")
	c.send(content + ".\r\n")
	return c.reply()
}

func TestNoReplyBeforeTheLetterIsRecorded(t *testing.T) {
	t.Parallel()
	record, asked := make(chan struct{}), make(chan struct{})
	o := openOffice(t, func(_ *smtpd.InboundOptions, d *desk) {
		d.fail = func(*report.Letter) error { close(asked); <-record; return nil }
	})
	c := o.reporting()
	c.send("x\r\n.\r\n")
	<-asked
	_ = c.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if b, err := c.r.ReadByte(); err == nil {
		t.Fatalf("something was said: %q", b)
	}
	close(record)
	_ = c.conn.SetReadDeadline(time.Now().Add(60 * time.Second))
	c.want("250 2.0.0")
}

// What is large is kept as far as it is looked at, and counted.
func TestALargeLetterIsCountedWholeAndKeptInPart(t *testing.T) {
	t.Parallel()
	const most = 3 * report.MaxContent
	o := openOffice(t, func(o *smtpd.InboundOptions, _ *desk) { o.MaxSize, o.Contents = most, 1 })
	c := o.caller()
	c.say(fmt.Sprintf("MAIL FROM:<> SIZE=%d", most+1), "552 5.3.4 the mail is larger than any report")
	kept := 0
	for _, size := range []int{0, 1 << 13, 1<<16 - 1, 1 << 16, 1<<16 + 1, report.MaxContent - 1, report.MaxContent, report.MaxContent + 1, most, most + 1, most + 1_000_000} {
		content := strings.Repeat("0123456789abcd\r\n", size/16+1)[:size]
		c.send(fmt.Sprintf("MAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nBDAT %d LAST\r\n%s", size, content))
		c.want("250")
		c.want("250")
		if size > most {
			c.want("552 5.3.4 the mail is larger than any report")
			continue
		}
		c.want("250 2.0.0 taken in")
		kept++
		l := o.desk.taken()[kept-1]
		if l.Size != int64(size) || string(l.Content) != content[:min(size, report.MaxContent)] {
			t.Errorf("%d octets: counted %d, kept %d", size, l.Size, len(l.Content))
		}
		if n := cap(l.Content); n > report.MaxContent+64<<10 {
			t.Errorf("%d octets take %d", size, n)
		}
	}
	if got := c.report(strings.Repeat("0123456789abcd\r\n", most/16+1)); !strings.HasPrefix(got, "552 5.3.4 ") {
		t.Errorf("as DATA: %q", got)
	}
	if s := o.Stats(); s.Rejected != 3 || s.Accepted != int64(kept) || len(o.desk.taken()) != kept {
		t.Errorf("%+v", s)
	}
}

func TestWhileThereIsNoRoomNoReportIsRead(t *testing.T) {
	t.Parallel()
	var short atomic.Bool
	o := openOffice(t, func(o *smtpd.InboundOptions, _ *desk) {
		o.Pressure = func(time.Time) *mail.Error {
			if short.Load() {
				return &mail.Error{Code: "storage_unavailable", Status: 503, Message: "The server's disk is nearly full."}
			}
			return nil
		}
	})
	c := o.caller()
	short.Store(true)
	c.say("MAIL FROM:<>", "451 4.3.0 The server's disk is nearly full. (req_")
	c.say("RCPT TO:<postmaster>", "503")
	short.Store(false)
	if got := c.report("x\r\n"); !strings.HasPrefix(got, "250 2.0.0") {
		t.Errorf("got %q", got)
	}
}

func TestAStopTellsReportersToComeBack(t *testing.T) {
	t.Parallel()
	o := openOffice(t, nil)
	waiting, sending := o.caller(), o.reporting()
	waiting.say("MAIL FROM:<>", "250")
	sending.send("Subject: x\r\n")
	stopped := make(chan struct{})
	go func() { defer close(stopped); o.Shutdown(context.Background()) }()
	waiting.want("421 4.3.2")
	waiting.wantEnd()
	sending.send("\r\nwhole\r\n.\r\nMAIL FROM:<>\r\n")
	sending.want("250 2.0.0")
	sending.want("421 4.3.2")
	sending.wantEnd()
	<-stopped
	if n := len(o.desk.taken()); n != 1 {
		t.Errorf("%d letters", n)
	}
}

// What is no fault of ours is put off without an alarm in the log.
func TestALetterThatIsPutOffIsNoErrorOfOurs(t *testing.T) {
	t.Parallel()
	for _, why := range []error{fmt.Errorf("on the wire: %w", mail.ErrStale), report.ErrTooMany, errors.New("disk full")} {
		var log bytes.Buffer
		var mu sync.Mutex
		o := openOffice(t, func(i *smtpd.InboundOptions, d *desk) {
			d.fail = func(*report.Letter) error { return why }
			i.Log = slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) { mu.Lock(); defer mu.Unlock(); return log.Write(p) }), nil))
		})
		c := o.reporting()
		c.say("Subject: a report\r\n\r\n.", "451")
		c.say("QUIT", "221")
		mu.Lock()
		if ours := log.Len() > 0; ours != (why.Error() == "disk full") {
			t.Errorf("%v: logged %q", why, log.String())
		}
		mu.Unlock()
		if got := o.Stats().Deferred; got != 1 {
			t.Errorf("%v: %d deferred", why, got)
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
