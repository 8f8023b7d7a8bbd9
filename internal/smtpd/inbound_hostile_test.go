package smtpd_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/smtpd"
)

// attempt brings one report as a mail server would, in a connection of its own. It gives
// the last reply; "" when the connection was lost.
func attempt(addr, content string) (last string) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	r := bufio.NewReader(conn)
	for _, step := range []struct{ say, want string }{
		{"", "220"}, {"EHLO mx.far.test", "250"}, {"MAIL FROM:<>", "250"}, {"RCPT TO:<bounces+one@mail.acme.test>", "250"}, {"DATA", "354"}, {content + ".", "250 2.0.0 taken in"},
	} {
		if step.say != "" {
			if _, err := io.WriteString(conn, step.say+"\r\n"); err != nil {
				return ""
			}
		}
		if last, err = readReply(r); err != nil || !strings.HasPrefix(last, step.want) {
			return last
		}
	}
	return last
}

func isTaken(reply string) bool { return strings.HasPrefix(reply, "250 2.0.0 taken in") }

// The attack goes on while reports come: who never speaks gives way to who does.
func TestConnectionsThatNeverSpeakKeepNoReporterOut(t *testing.T) {
	n := 10_000 // of which the file limit may allow fewer
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil && files.Cur < uint64(n+1000) {
		n = max(int(files.Cur)-1000, 400)
	}
	if testing.Short() {
		n = min(n, 1000)
	}
	o := openOffice(t, func(o *smtpd.InboundOptions, _ *desk) {
		o.Connections, o.PerAddress, o.Grace = 200, 1_000_000, 100*time.Millisecond
	})
	attacked := make(chan []net.Conn)
	go func() {
		var silent []net.Conn
		for range n {
			if c, err := net.Dial("tcp", o.addr); err == nil {
				silent = append(silent, c)
			}
		}
		attacked <- silent
	}()
	until(t, "all places taken", func() bool { return o.Stats().Connected == 200 })
	attempts := 0
	for i := range 10 {
		until(t, fmt.Sprintf("report %d taken in", i), func() bool {
			attempts++
			return isTaken(attempt(o.addr, "x\r\n"))
		})
	}
	silent := <-attacked
	defer func() {
		for _, c := range silent {
			_ = c.Close()
		}
	}()
	until(t, "a report after the attack", func() bool { return isTaken(attempt(o.addr, "x\r\n")) })
	s := o.Stats()
	t.Logf("%d silent connections, %d of them taken, 10 reports in %d attempts", len(silent), s.Connections, attempts)
	if s.Connected > 200 || s.Accepted < 11 {
		t.Errorf("%+v", s)
	}
}

// Nobody becomes known here, so whatever a client is in the middle of can be ended for
// somebody else: also a content that never does.
func TestContentsThatNeverEndKeepNoReporterOut(t *testing.T) {
	t.Parallel()
	o := openOffice(t, func(o *smtpd.InboundOptions, _ *desk) { o.Connections, o.Grace = 3, 50*time.Millisecond })
	var slow []*client
	for i := range 3 {
		c := o.reporting()
		c.send(fmt.Sprintf("Subject: %d\r\n", i))
		slow = append(slow, c)
	}
	until(t, "a report taken in", func() bool { return isTaken(attempt(o.addr, "x\r\n")) })
	if got := slow[0].reply(); got != "" && !strings.HasPrefix(got, "421 4.7.0 too many connections") { // "": what it said meanwhile was not read
		t.Errorf("who was there first was told %q", got)
	}
	if got := o.desk.taken(); len(got) != 1 || string(got[0].Content) != "x\r\n" {
		t.Errorf("%d letters", len(got))
	}
}

func TestLargeContentsThatNeverEndKeepNoMemoryFromOthers(t *testing.T) {
	t.Parallel()
	o := openOffice(t, func(o *smtpd.InboundOptions, _ *desk) { o.Contents, o.Grace = 1, 50*time.Millisecond })
	large := strings.Repeat("0123456789abcd\r\n", 5000)
	slow := o.reporting()
	slow.send(large)
	told := make(chan string, 1)
	go func() { reply, _ := readReply(slow.r); told <- reply }()
	said, last, over := "", "", false
	until(t, "the memory given to others", func() bool {
		last = attempt(o.addr, large)
		select {
		case said = <-told:
			over = true
		default:
		}
		return over
	})
	if !isTaken(last) || said != "" && !strings.HasPrefix(said, "421 4.3.0 ") {
		t.Errorf("who waited was told %q, and who did not go on %q", last, said)
	}
	for _, l := range o.desk.taken() {
		if l.Size != int64(len(large)) {
			t.Errorf("a letter of %d octets", l.Size)
		}
	}
}

func TestWhoBringsReportsKeepsThePlaceAndWhoIsSilentLosesIt(t *testing.T) {
	t.Parallel()
	o := openOffice(t, func(o *smtpd.InboundOptions, _ *desk) { o.Connections, o.Grace = 2, 20*time.Millisecond })
	reporter, silent := o.caller(), o.caller()
	if got := reporter.report("x\r\n"); !isTaken(got) {
		t.Fatal(got)
	}
	var third *client
	until(t, "a place for a third", func() bool {
		third = dialTo(t, o.addr)
		return strings.HasPrefix(third.reply(), "220")
	})
	silent.want("421 4.7.0 too many connections")
	if got := reporter.report("y\r\n"); !isTaken(got) {
		t.Error(got)
	}
}

func TestWhoLooksForARelayIsAnsweredSlowlyAndSentAway(t *testing.T) {
	t.Parallel()
	o := openOffice(t, nil)
	c := o.caller()
	for range 5 { // some letters of ours, some of others': a server that bounces forged mail
		for range 4 {
			c.say("MAIL FROM:<>", "250")
			c.say("RCPT TO:<forged@mail.acme.test>", "550 5.7.1")
			c.say("RSET", "250")
		}
		if got := c.report("x\r\n"); !isTaken(got) {
			t.Fatal(got)
		}
	}
	began := time.Now()
	c.say("MAIL FROM:<>", "250")
	c.say("RCPT TO:<postmaster>", "250")
	c.send(strings.Repeat("RCPT TO:<ada@customer.io>\r\n", 30))
	for range 11 {
		c.want("550 5.7.1")
	}
	c.want("421 4.7.0")
	c.wantEnd()
	if took := time.Since(began); took < 7*500*time.Millisecond {
		t.Errorf("took only %v", took)
	}
	if s := o.Stats(); s.Unwelcome != 32 || s.Accepted != 5 {
		t.Errorf("%+v", s)
	}
}

func TestASessionHasAnEnd(t *testing.T) {
	t.Parallel()
	many := func(say string, replies map[string]int) func(*testing.T, *client) {
		return func(t *testing.T, c *client) {
			go func() { _, _ = io.WriteString(c.conn, say) }()
			got := map[string]int{}
			for {
				reply, err := readReply(c.r)
				if err != nil {
					break
				}
				got[reply[:min(9, len(reply))]]++
			}
			for reply, want := range replies {
				if got[reply] != want {
					t.Errorf("%d of %q, want %d: %v", got[reply], reply, want, got)
				}
			}
		}
	}
	for name, play := range map[string]func(*testing.T, *client){
		"transactions": many(strings.Repeat("MAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nBDAT 1 LAST\r\nx", 110),
			map[string]int{"250 2.1.0": 100, "250 2.1.5": 100, "250 2.0.0": 100, "421 4.7.0": 1}),
		"recipients": many("MAIL FROM:<>\r\n"+strings.Repeat("RCPT TO:<postmaster>\r\n", 300),
			map[string]int{"250 2.1.5": 50, "452 4.5.3": 100, "421 4.7.0": 1}),
		"transactions that lead nowhere": many(strings.Repeat("MAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nRSET\r\n", 200), map[string]int{"250 2.1.0": 100, "421 4.7.0": 1}),
		"words":                          many(strings.Repeat("GET / HTTP/1.1\r\n", 500), map[string]int{"421 4.7.0": 1}),
		"AUTH":                           many(strings.Repeat("AUTH PLAIN x\r\n", 500), map[string]int{"502 5.5.1": 100, "421 4.7.0": 1}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, openOffice(t, nil).caller())
		})
	}
}

func TestASlowReporterIsSentAway(t *testing.T) {
	t.Parallel()
	for name, talk := range map[string]struct {
		begin func(*office) *client
		more  string // said again and again
	}{
		"who says nothing":         {func(o *office) *client { return dialTo(o.t, o.addr) }, ""},
		"who only says hello":      {(*office).caller, ""},
		"who chatters":             {(*office).caller, "NOOP\r\n"},
		"a command that drips":     {(*office).caller, "N"},
		"who stops in the content": {(*office).reporting, ""},
		"content that drips":       {(*office).reporting, "x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := openOffice(t, func(o *smtpd.InboundOptions, _ *desk) {
				o.Session, o.Idle, o.Pace, o.Content = 3*time.Second, 2*time.Second, 2*time.Second, 3*time.Second
			})
			c := talk.begin(o)
			_ = c.conn.SetDeadline(time.Now().Add(60 * time.Second)) // the faulty never ends by itself
			go func() {
				for talk.more != "" {
					if _, err := io.WriteString(c.conn, talk.more); err != nil {
						return
					}
					time.Sleep(100 * time.Millisecond)
				}
			}()
			last := ""
			for {
				reply, err := readReply(c.r)
				if err != nil {
					break
				}
				last = reply
			}
			if !strings.HasPrefix(last, "421 4.4.2 ") {
				t.Errorf("the last reply: %q", last)
			}
		})
	}
}

func TestALostConnectionIsNoLetter(t *testing.T) {
	t.Parallel()
	o := openOffice(t, nil)
	for _, content := range []string{"", "half", "half\r\n.", "half\r\n.\r", strings.Repeat("0123456789abcd\r\n", 10_000)} {
		for _, verb := range []string{"DATA\r\n", "BDAT 9000000 LAST\r\n", "BDAT 0\r\nBDAT 9000000\r\n"} {
			c := o.caller()
			c.send("MAIL FROM:<>\r\nRCPT TO:<postmaster>\r\n" + verb + content)
			c.want("250")
			c.want("250")
			_ = c.conn.(*net.TCPConn).CloseWrite()
			_, _ = io.ReadAll(c.conn)
		}
	}
	if s := o.Stats(); len(o.desk.taken()) != 0 || s.Accepted != 0 {
		t.Errorf("%+v", s)
	}
}
