package submission

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postroad/postroad/test/harness"
)

const (
	silentAddresses = 105 // of 127.0.0.0/8, 100 connections from each: what one address may have
	silentEach      = 100
	// silentMemory is what one of them may cost the process in bytes of resident memory, the
	// Go heap's room to grow included.
	silentMemory = 32 << 10
	// standing is how long they have all stood at most: after a minute the door ends who has
	// not said who he is.
	standing = 40 * time.Second
)

// crowd are connections that never speak.
type crowd struct {
	t     *testing.T
	conns []net.Conn
	full  int // told that there are too many
}

// gather opens so many connections from each of 105 addresses and reads what each is told.
func gather(t *testing.T, addr string, each int) *crowd {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs all of 127.0.0.0/8 as addresses of this host")
	}
	c := &crowd{t: t}
	t.Cleanup(c.leave)
	greeting := make([]byte, 512)
	for n := range silentAddresses * each {
		from := net.Dialer{Timeout: time.Minute, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+n%silentAddresses))}}
		conn, err := from.Dial("tcp", addr)
		if err != nil {
			t.Fatalf("after %d: %v", n, err)
		}
		c.conns = append(c.conns, conn)
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		m, err := conn.Read(greeting)
		switch told := string(greeting[:m]); {
		case strings.HasPrefix(told, "220 "):
		case strings.HasPrefix(told, "421 4.7.0 "), err != nil && refused(err):
			c.full++
		default:
			t.Fatalf("connection %d was told %q, %v", n, told, err)
		}
	}
	return c
}

// refused tells of a connection that was closed: its last word may be lost with it.
func refused(err error) bool { return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) }

func (c *crowd) leave() {
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
}

// needFiles skips where this process, or the one started, cannot have so many files.
func needFiles(t *testing.T, n uint64) {
	t.Helper()
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Max < n {
		t.Skipf("a process may have %d files here, %d are needed (ulimit -Hn)", files.Max, n)
	}
}

// files is how many a process has open.
func files(t *testing.T, pid int) int {
	t.Helper()
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// awaitFiles waits until a process has at most so many.
func awaitFiles(t *testing.T, pid, most int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); files(t, pid) > most; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d files are open, want at most %d", files(t, pid), most)
		}
	}
}

// message sends one and gives its id, or what was said instead.
func (c *client) message(key string) string {
	c.t.Helper()
	c.say("MAIL FROM:<>", "250")
	c.say("RCPT TO:<ada@customer.io>", "250")
	c.say("DATA", "354")
	c.write(fmt.Appendf(nil, "From: hello@acme.test\r\nTo: ada@customer.io\r\nSubject: %s\r\n\r\nx\r\n.\r\n", key))
	return strings.Fields(c.expect("250 2.0.0 msg_"))[2]
}

// Two crowds one after the other: what the first cost is there again for the second. Not
// parallel, as its neighbour: together they would need twice the files.
func TestTenThousandThatNeverSpeakDelayNobodyAndAreForgotten(t *testing.T) {
	needFiles(t, silentAddresses*silentEach+1000)
	p := harness.Start(t, harness.Options{Env: map[string]string{"POSTROAD_SUBMISSION_CONNECTIONS": "12000"}})
	known(t, p.SMTP, harness.TestKey).message("before")
	n, idle := silentAddresses*silentEach, files(t, p.Pid())
	harness.ForgetPeak(p.Pid())
	before, once := harness.PeakMemory(p.Pid()), int64(0)
	for round := range 2 {
		began := time.Now()
		first := began
		c := gather(t, p.SMTP, silentEach)
		if took := time.Since(began); took > standing {
			t.Skipf("to open %d connections took %v: the first are gone before the last are there", n, took)
		}
		if c.full > 0 || files(t, p.Pid()) < n && time.Since(first) < standing {
			t.Fatalf("%d were refused; the process has %d files open", c.full, files(t, p.Pid()))
		}
		opened := time.Since(began)
		began = time.Now()
		id := known(t, p.SMTP, harness.TestKey).message("among them")
		took := time.Since(began)
		if got := files(t, p.Pid()); got < n && time.Since(first) < standing {
			t.Fatalf("the process has %d files open while %d should stand", got, n)
		}
		p.ExpectEvents(t, harness.TestKey, id, "", "queued accepted delivered", time.Minute)
		peak := harness.PeakMemory(p.Pid())
		t.Logf("%d silent connections opened in %v; a message among them took %v; resident at most %d MB, %d MB before: %d bytes for each", n,
			opened.Round(time.Millisecond), took.Round(time.Millisecond), peak>>20, before>>20, (peak-before)/int64(n))
		if peak-before > int64(n)*silentMemory && !harness.Raced() {
			t.Errorf("%d bytes for each", (peak-before)/int64(n))
		}
		if round == 0 {
			once = peak - before
		} else if peak-before > 2*once && !harness.Raced() {
			t.Errorf("the second crowd took %d MB, the first %d MB", (peak-before)>>20, once>>20)
		}
		c.leave()
		awaitFiles(t, p.Pid(), idle+20) // what the API's clients keep
	}
	known(t, p.SMTP, harness.TestKey).message("afterwards")
}

// The same with the door as it is without settings: a thousand places.
func TestTenThousandThatNeverSpeakDoNotKeepOutWhoHasAKey(t *testing.T) {
	needFiles(t, silentAddresses*silentEach+1000)
	p := harness.Start(t, harness.Options{})
	before := harness.PeakMemory(p.Pid())
	c := gather(t, p.SMTP, silentEach)
	if got := files(t, p.Pid()); got > 1100 {
		t.Errorf("the process has %d files open for 1000 places", got)
	}
	began := time.Now()
	id := ""
	for end := began.Add(time.Minute); id == ""; time.Sleep(50 * time.Millisecond) {
		// Those there are may be too young to lose their place: two seconds are theirs.
		one := dial(t, p.SMTP)
		if line, err := one.reply(); err != nil || !strings.HasPrefix(line, "220") {
			if time.Now().After(end) {
				t.Fatalf("kept out for a minute: %q, %v", line, err)
			}
			continue
		}
		one.introduce(harness.TestKey)
		id = one.message("among them")
	}
	t.Logf("%d connections, %d of them refused; whoever has a key was in after %v; resident %d MB more", len(c.conns), c.full,
		time.Since(began).Round(time.Millisecond), (harness.PeakMemory(p.Pid())-before)>>20)
	p.ExpectEvents(t, harness.TestKey, id, "", "queued accepted delivered", time.Minute)
}
