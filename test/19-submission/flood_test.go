package submission

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/test/harness"
)

const (
	floodSize = 2 << 30 // octets that somebody really sends
	// shortFlood is what those send who differ little; POSTROAD_TEST_FULL=1: all send it all.
	shortFlood = 256 << 20
	// floodTaken is what one connection may get rid of before it is cut: 50 MB that are read
	// (of dots alone a third more is sent), at most 24 MB more so that the client sees the
	// reply, and what the sockets hold.
	floodTaken = 120 << 20
	// floodMemory is how much more may be resident meanwhile, floodDisk on disk: the message
	// that is being taken in, and as much again for the database beside it.
	floodMemory = 64 << 20
	floodDisk   = 110 << 20
)

// flood is who sends without end.
type flood struct {
	name string
	// begin sends what stands before the content.
	begin func(c *client)
	// piece is what is sent again and again, so many octets in all.
	piece []byte
	size  int64
}

func floods() []flood {
	one := noise(1 << 20) // a line that does not end
	lines := bytes.Clone(one)
	for i := 70; i < len(lines); i += 72 {
		copy(lines[i:], "\r\n")
	}
	chunk := func(size int) []byte {
		return append(fmt.Appendf(nil, "BDAT %d\r\n", size), noise(size)...)
	}
	data := func(c *client) { c.say("DATA", "354") }
	short := int64(shortFlood)
	if os.Getenv("POSTROAD_TEST_FULL") == "1" {
		short = floodSize
	}
	return []flood{
		{"DATA, lines", data, lines, floodSize},
		{"DATA, one line", data, one, short},
		{"DATA, dots", data, bytes.Repeat([]byte("\r\n.."), 1<<18), short},
		{"BDAT, one chunk of 2 GB", func(c *client) { c.write([]byte("BDAT 2147483648 LAST\r\n")) }, one, short},
		{"BDAT, chunks of 1 MB", func(*client) {}, chunk(1 << 20), floodSize},
		{"BDAT, chunks of 16 MB", func(*client) {}, chunk(16 << 20), short},
	}
}

// noise are octets that no compression makes fewer, none of them a control character.
func noise(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(b)
	for i := range b {
		b[i] = max(b[i], '!')
	}
	return b
}

// once floods one connection until it is cut, and tells how much went out and which codes
// came back to the content.
func (f *flood) once(t *testing.T, addr string) (sent int64, codes map[string]int) {
	t.Helper()
	c := known(t, addr, harness.TestKey)
	c.say("MAIL FROM:<>", "250")
	c.say("RCPT TO:<ada@customer.io>", "250")
	f.begin(c)
	var replies sync.WaitGroup
	codes = map[string]int{}
	replies.Go(func() {
		for {
			line, err := c.reply()
			if err != nil {
				return
			}
			codes[line[:9]]++
		}
	})
	_, _ = c.conn.Write([]byte("From: hello@acme.test\r\n\r\n")[:f.head()]) // it may be cut off already
	for sent < f.size {
		n, err := c.conn.Write(f.piece)
		if sent += int64(n); err != nil {
			break
		}
	}
	_ = c.conn.SetDeadline(time.Now().Add(time.Minute))
	replies.Wait()
	_ = c.conn.Close()
	return sent, codes
}

// head is how much of a header goes before the pieces: chunks begin with their command.
func (f *flood) head() int {
	if bytes.HasPrefix(f.piece, []byte("BDAT")) {
		return 0
	}
	return len("From: hello@acme.test\r\n\r\n")
}

// onDisk is the size of all files below a directory.
func onDisk(t *testing.T, dir string) (sum int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return ignoreGone(err)
		}
		info, err := d.Info()
		if err == nil && info.Mode().IsRegular() {
			sum += info.Size()
		}
		return ignoreGone(err)
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// ignoreGone forgives files that went away meanwhile.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// watch looks at the size of a directory until stop is called, which tells the largest.
func watch(t *testing.T, dir string) (stop func() int64) {
	t.Helper()
	end, largest := make(chan struct{}), make(chan int64)
	go func() {
		most := int64(0)
		for {
			most = max(most, onDisk(t, dir))
			select {
			case <-end:
				largest <- most
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() int64 { close(end); return <-largest }
}

// Two gigabytes from somebody who does not care what he is told: each time he is cut off he
// comes back, until he has sent them.
func TestTwoGigabytesOfContentCostNeitherMemoryNorDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("sends 5 GB")
	}
	for _, f := range floods() {
		t.Run(f.name, func(t *testing.T) {
			p := harness.Start(t, harness.Options{})
			known(t, p.SMTP, harness.TestKey).message("before")
			data := filepath.Join(p.Dir, "data")
			harness.ForgetPeak(p.Pid())
			memory, disk, began := harness.PeakMemory(p.Pid()), onDisk(t, data), time.Now()
			stop := watch(t, data)
			sent, connections, longest, codes := int64(0), 0, int64(0), map[string]int{}
			for sent < f.size {
				n, told := f.once(t, p.SMTP)
				sent, longest, connections = sent+n, max(longest, n), connections+1
				for code, times := range told {
					codes[code] += times
				}
			}
			most, peak := stop(), harness.PeakMemory(p.Pid())
			t.Logf("%d MB sent in %v over %d connections, at most %d MB on one; %d MB more resident, at most %d MB more on disk, %d MB afterwards; told %v", sent>>20,
				time.Since(began).Round(time.Millisecond), connections, longest>>20, (peak-memory)>>20, (most-disk)>>20, (onDisk(t, data)-disk)>>20, codes)
			if longest > floodTaken {
				t.Errorf("%d MB were taken from one connection", longest>>20)
			}
			if peak-memory > floodMemory && !harness.Raced() {
				t.Errorf("%d MB more were resident", (peak-memory)>>20)
			}
			if most-disk > floodDisk {
				t.Errorf("%d MB more were on disk", (most-disk)>>20)
			}
			if codes["552 5.3.4"] == 0 {
				t.Errorf("nobody was told that the message is too large: %v", codes)
			}
			for end := time.Now().Add(time.Minute); onDisk(t, data)-disk > 1<<20; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%d MB more are still on disk", (onDisk(t, data)-disk)>>20)
				}
			}
			id := known(t, p.SMTP, harness.TestKey).message("afterwards")
			p.ExpectEvents(t, harness.TestKey, id, "", "queued accepted delivered", time.Minute)
		})
	}
}

func TestTwoGigabytesThatAreAnnouncedAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	c := known(t, open(t).SMTP, harness.TestKey)
	for _, size := range []string{"2147483648", "52428801", "9223372036854775807", "18446744073709551616", "99999999999999999999"} {
		c.say("MAIL FROM:<> SIZE="+size, "552 5.3.4")
		c.say("RCPT TO:<ada@customer.io>", "503")
	}
	c.say("MAIL FROM:<> SIZE=52428800", "250")
	c.say("RCPT TO:<ada@customer.io>", "250")
}
