package smtpd_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/smtpd"
)

// Connections that never speak: this process holds both ends, so each takes two files.
func TestConnectionsThatNeverSpeakCostLittleAndKeepNobodyOut(t *testing.T) {
	n := 10_000
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil && files.Cur < uint64(2*n+200) {
		n = int(files.Cur-200) / 2
	}
	if testing.Short() {
		n = min(n, 1000)
	}
	h := build(t, 0, func(o *smtpd.Options) { o.Connections, o.PerAddress, o.Unknown = n, n+10, time.Minute })
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	silent := make([]net.Conn, 0, n)
	defer func() {
		for _, c := range silent {
			_ = c.Close()
		}
	}()
	for range n {
		c, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatalf("after %d: %v", len(silent), err)
		}
		silent = append(silent, c)
	}
	for end := time.Now().Add(time.Minute); h.Stats().Connected < n && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	if got := h.Stats().Connected; got != n {
		t.Fatalf("%d connected of %d", got, n)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := int64(after.HeapAlloc+after.StackInuse-before.HeapAlloc-before.StackInuse) / int64(n)
	t.Logf("%d silent connections: %d bytes each, both ends", n, each)
	if each > 24<<10 {
		t.Errorf("%d bytes each", each)
	}
	time.Sleep(2100 * time.Millisecond) // the grace of those who came first
	began := time.Now()
	c := h.known(liveKey) // takes the place of the oldest
	c.want250(c.transaction(hello(), "ada@customer.io"))
	t.Logf("a message among them took %v", time.Since(began).Round(time.Millisecond))
	_ = silent[0].SetDeadline(time.Now().Add(time.Minute))
	if b, _ := io.ReadAll(silent[0]); !strings.Contains(string(b), "\r\n421 4.7.0 ") {
		t.Errorf("the oldest was told %q", b)
	}
}

func TestOneAddressCannotTakeAllPlaces(t *testing.T) {
	t.Parallel()
	h := build(t, 0, func(o *smtpd.Options) { o.Connections, o.PerAddress = 5, 3 })
	var mine []*client
	for range 3 {
		mine = append(mine, h.known(liveKey))
	}
	late := h.dial()
	late.want("421 4.7.0")
	late.wantEnd()
	h.addr = h.listen(false, afar)
	h.dial().want("220")
	h.dial().want("220")
	h.dial().want("421 4.7.0") // all five are taken, and nobody has been silent for long
	mine[0].say("QUIT", "221")
	mine[0].wantEnd()
	for end := time.Now().Add(time.Minute); h.Stats().Connected > 4 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	h.dial().want("220")
	if s := h.Stats(); s.Refused != 2 || s.Connections != 6 {
		t.Errorf("%+v", s)
	}
}

func TestWhoIsSlowIsSentAway(t *testing.T) {
	t.Parallel()
	// Only the time of the step that is slow is short: a machine that stalls makes the others slow, too.
	unknown := func(o *smtpd.Options) { o.Unknown = 300 * time.Millisecond }
	idle := func(o *smtpd.Options) { o.Idle = 2 * time.Second }
	pace := func(o *smtpd.Options) { o.Pace = 200 * time.Millisecond }
	content := func(o *smtpd.Options) { o.Content = 500 * time.Millisecond }
	// drip sends one octet after another until somebody hangs up.
	drip := func(c *client, text string) {
		go func() {
			for {
				for i := range len(text) {
					if _, err := io.WriteString(c.conn, text[i:i+1]); err != nil {
						return
					}
					time.Sleep(20 * time.Millisecond)
				}
			}
		}()
	}
	for name, slow := range map[string]struct {
		short func(*smtpd.Options)
		begin func(*house) *client
	}{
		"who says nothing":        {unknown, func(h *house) *client { c := h.dial(); c.want("220"); return c }},
		"who never authenticates": {unknown, func(h *house) *client { c := h.dial(); c.want("220"); drip(c, "NOOP\r\n"); return c }},
		"a command that drips":    {idle, func(h *house) *client { c := h.known(liveKey); drip(c, "N"); return c }},
		"who says nothing later":  {idle, func(h *house) *client { return h.known(liveKey) }},
		"who stops in the content": {pace, func(h *house) *client {
			c := h.known(liveKey)
			c.say("MAIL FROM:<>", "250")
			c.say("RCPT TO:<a@customer.io>", "250")
			c.say("DATA", "354")
			c.send("From: a")
			return c
		}},
		"content that drips": {content, func(h *house) *client {
			c := h.known(liveKey)
			c.say("MAIL FROM:<>", "250")
			c.say("RCPT TO:<a@customer.io>", "250")
			c.say("DATA", "354")
			drip(c, "From: a\r\n")
			return c
		}},
		"a chunk that drips": {content, func(h *house) *client {
			c := h.known(liveKey)
			c.say("MAIL FROM:<>", "250")
			c.say("RCPT TO:<a@customer.io>", "250")
			c.send("BDAT 1000000 LAST\r\n")
			drip(c, "From: a\r\n")
			return c
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := build(t, 0, slow.short)
			h.t = t
			c := slow.begin(h)
			began, last := time.Now(), ""
			for {
				reply, err := readReply(c.r)
				if err != nil {
					break
				}
				last = reply
			}
			if took := time.Since(began); !strings.HasPrefix(last, "421 4.4.2 ") || took > time.Minute {
				t.Errorf("after %v: %q", took, last)
			}
		})
	}
}

// Content that does not end: cut off soon behind the limit, and never in memory.
func TestContentWithoutEndIsCutOff(t *testing.T) {
	for _, chunked := range []bool{false, true} {
		h := build(t, 0, nil)
		c := h.known(liveKey)
		c.say("MAIL FROM:<>", "250")
		c.say("RCPT TO:<ada@customer.io>", "250")
		if chunked {
			c.send("BDAT 2147483648 LAST\r\n")
		} else {
			c.say("DATA", "354")
		}
		c.send("From: hello@acme.test\r\n\r\n")
		var before, peak runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		block := bytes.Repeat([]byte(strings.Repeat("x", 70)+"\r\n"), 1000)
		sent, began := int64(0), time.Now()
		var highest uint64
		for sent < 2<<30 {
			n, err := c.conn.Write(block)
			sent += int64(n)
			if err != nil {
				break
			}
			if sent%(8<<20) < int64(len(block)) {
				runtime.ReadMemStats(&peak)
				highest = max(highest, peak.HeapAlloc)
			}
		}
		t.Logf("chunked %v: %d MB taken of 2 GB, in %v, heap at most %d MB over that before", chunked, sent>>20, time.Since(began).Round(time.Millisecond), int64(highest-before.HeapAlloc)>>20)
		if sent > 100<<20 {
			t.Errorf("%d MB were taken", sent>>20)
		}
		if grown := int64(highest) - int64(before.HeapAlloc); grown > 16<<20 {
			t.Errorf("the heap grew by %d MB", grown>>20)
		}
		if got := c.reply(); got != "" && !strings.HasPrefix(got, "552 5.3.4") {
			t.Errorf("got %q", got)
		}
		if s := h.Stats(); s.Rejected != 1 || s.Accepted != 0 {
			t.Errorf("%+v", s)
		}
	}
}

func TestALittleTooLargeIsToldAndTheConversationGoesOn(t *testing.T) {
	t.Parallel()
	h := build(t, 0, func(o *smtpd.Options) { o.MaxSize = 100_000 })
	c := h.known(liveKey)
	c.say("MAIL FROM:<> SIZE=100001", "552 5.3.4")
	for extra, want := range map[int]string{-2: "250 2.0.0", 0: "250 2.0.0", 1: "552 5.3.4", 2: "552 5.3.4", 1_000_000: "552 5.3.4"} {
		content := letter("From: hello@acme.test", "")
		content += strings.Repeat("x", 100_000-len(content)-2+extra) + "\r\n"
		if got := c.transaction(content, "ada@customer.io"); !strings.HasPrefix(got, want) {
			t.Errorf("%d: got %q", extra, got)
		}
		c.say("MAIL FROM:<>", "250")
		c.say("RCPT TO:<ada@customer.io>", "250")
		c.send(fmt.Sprintf("BDAT %d LAST\r\n%s", len(content), content))
		c.want(want)
	}
}

func TestWrongKeysGetSlowAnswersAndThenNone(t *testing.T) {
	t.Parallel()
	h := build(t, 0, nil)
	h.addr = h.listen(false)
	began := time.Now()
	c := h.dial()
	c.want("220")
	c.say("EHLO x", "250")
	c.say("AUTH PLAIN "+plain("wrong"), "535 5.7.8")
	c.say("AUTH PLAIN "+plain("wrong"), "535 5.7.8")
	c.say("AUTH PLAIN "+plain("wrong"), "421 4.7.0")
	c.wantEnd()
	if took := time.Since(began); took < 1700*time.Millisecond {
		t.Errorf("three tries took %v", took)
	}
	h.known(liveKey) // who has a key is not kept out by who has none

	// Thirty, as fast as this machine is: an answer takes 2 s or more by now, and 8 are
	// given at a time, so what can have been answered is bounded by the time that passed.
	var refused, wrong atomic.Int64
	var all sync.WaitGroup
	began = time.Now()
	for range 30 {
		c := h.dial()
		c.want("220")
		c.say("EHLO x", "250")
		all.Go(func() {
			c.send("AUTH PLAIN " + plain("wrong") + "\r\n")
			switch reply, _ := readReply(c.r); {
			case strings.HasPrefix(reply, "421 4.7.0"):
				refused.Add(1)
			case strings.HasPrefix(reply, "535 5.7.8"):
				wrong.Add(1)
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	if most := 8 * (1 + int64(took/(2*time.Second))); refused.Load()+wrong.Load() != 30 || wrong.Load() > most {
		t.Errorf("%d refused, %d answered, of at most %d in %v", refused.Load(), wrong.Load(), most, took)
	}
	if s := h.Stats(); s.WrongKeys != 3+wrong.Load() {
		t.Errorf("%+v", s)
	}
}

func TestGarbageEndsTheConversation(t *testing.T) {
	t.Parallel()
	h := build(t, 0, nil)
	for name, text := range map[string]string{
		"words":           strings.Repeat("GET / HTTP/1.1\r\n", 5000),
		"noise":           strings.Repeat("\x16\x03\x01\x02\x00\xfc\xff\r\n", 20000),
		"a line":          strings.Repeat("x", 1<<20),
		"a known verb":    strings.Repeat("NOOP\r\n", 10_000),
		"greetings":       strings.Repeat("EHLO x\r\n", 10_000),
		"colons and dots": strings.Repeat(":.\r\n..\r\n", 10_000),
		"no line at all":  strings.Repeat("\r\n", 10_000),
		"without reading": strings.Repeat("HELP\r\n", 1_000_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := h
			c := dialTo(t, h.addr)
			sent := make(chan struct{})
			go func() { defer close(sent); _, _ = io.WriteString(c.conn, text) }()
			replies := 0
			for {
				_, err := readReply(c.r)
				if err != nil {
					break
				}
				replies++
			}
			if replies > 110 {
				t.Errorf("%d replies", replies)
			}
			_ = c.conn.Close()
			<-sent
		})
	}
}

func TestAStopEndsWhoWaitsAndLetsFinishWhoSends(t *testing.T) {
	t.Parallel()
	h := build(t, 0, nil)
	stranger, waiting, sending := h.dial(), h.known(liveKey), h.known(liveKey)
	stranger.want("220")
	waiting.say("MAIL FROM:<>", "250")
	sending.say("MAIL FROM:<>", "250")
	sending.say("RCPT TO:<ada@customer.io>", "250")
	sending.say("DATA", "354")
	sending.send("From: hello@acme.test\r\n")
	time.Sleep(20 * time.Millisecond)
	stopped := make(chan struct{})
	go func() { defer close(stopped); h.Shutdown(context.Background()) }()
	for _, c := range []*client{stranger, waiting} {
		c.want("421 4.3.2")
		c.wantEnd()
	}
	if _, err := net.Dial("tcp", h.addr); err == nil {
		t.Error("the door is still open")
	}
	select {
	case <-stopped:
		t.Fatal("did not wait")
	case <-time.After(50 * time.Millisecond):
	}
	sending.send("\r\nwhole\r\n.\r\nMAIL FROM:<>\r\n")
	sending.want("250 2.0.0 msg_")
	sending.want("421 4.3.2")
	sending.wantEnd()
	<-stopped
	if err := <-h.ended; err != nil || h.seen.count() != 1 {
		t.Errorf("%v, %d messages", err, h.seen.count())
	}
}

func TestAStopDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	h := build(t, 0, withTLS)
	sending, shaking := h.known(liveKey), h.dial()
	sending.say("MAIL FROM:<>", "250")
	sending.say("RCPT TO:<ada@customer.io>", "250")
	sending.say("DATA", "354")
	shaking.want("220")
	shaking.say("EHLO x", "250")
	shaking.say("STARTTLS", "220")
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	h.Shutdown(ctx)
	if took := time.Since(began); took > time.Minute { // a content has half an hour
		t.Errorf("took %v", took)
	}
	if h.seen.count() != 0 || h.Stats().Connected != 0 {
		t.Errorf("%d messages, %+v", h.seen.count(), h.Stats())
	}
}

func TestALostConnectionIsNoMessage(t *testing.T) {
	t.Parallel()
	h := build(t, 0, nil)
	for _, content := range []string{"", "From: hello@acme.test\r\n\r\nhalf", "From: hello@acme.test\r\n\r\nhalf\r\n.", "From: hello@acme.test\r\n\r\nhalf\r\n.\r", strings.Repeat("X-A: b\r\n", 30_000)} {
		for _, verb := range []string{"DATA\r\n", "BDAT 9000000 LAST\r\n"} {
			c := h.known(liveKey)
			c.send("MAIL FROM:<>\r\nRCPT TO:<ada@customer.io>\r\n" + verb + content)
			c.want("250")
			c.want("250")
			_ = c.conn.(*net.TCPConn).CloseWrite()
			_, _ = io.ReadAll(c.conn)
		}
	}
	if s := h.Stats(); h.seen.count() != 0 || len(h.seen.requests) != 0 || s.Accepted != 0 {
		t.Errorf("%d messages, %+v", h.seen.count(), s)
	}
}
