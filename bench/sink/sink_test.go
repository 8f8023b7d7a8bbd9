package sink_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/bench/sink"
)

func open(t *testing.T, b sink.Behaviour) *sink.Sink {
	t.Helper()
	s, err := sink.Listen("127.0.0.1:0", b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// say writes all of text at once in pieces of size and gives the replies until QUIT's.
func say(t *testing.T, s *sink.Sink, text string, size int) string {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	go func() {
		for len(text) > 0 {
			n := min(size, len(text))
			_, _ = c.Write([]byte(text[:n]))
			text = text[n:]
		}
	}()
	var all strings.Builder
	for r := bufio.NewScanner(c); r.Scan(); {
		all.WriteString(r.Text()[:3] + " ")
		if strings.HasPrefix(r.Text(), "221") {
			break
		}
	}
	return all.String()
}

func message(id string, size int) string {
	return "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nDKIM-Signature: v=1;\r\n\tb=x\r\nFrom: a@b.test\r\nMessage-ID: <" + id + ">\r\nSubject: x\r\n\r\n" +
		strings.Repeat("0123456789\r\n", size/12) + "..\r\nMessage-ID: <not@this>\r\n.\r\n"
}

func TestEveryMessageIsCountedHoweverItsBytesArrive(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 7, 1000, 1 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			s := open(t, sink.Behaviour{})
			body := 2000
			if size > 100 {
				body = 300_000
			}
			got := say(t, s, "EHLO x\r\n"+message("one@x", body)+message("two@x", 24)+message("one@x", 24)+"QUIT\r\n", size)
			if n := strings.Count(got, "354"); n != 3 {
				t.Errorf("354 given %d times in %s", n, got)
			}
			counts := s.Counts()
			if len(counts) != 2 || counts["one@x"] != 2 || counts["two@x"] != 1 {
				t.Errorf("counted %v", counts)
			}
			if s.Received() != 3 || s.Repeated() != 1 || s.Distinct() != 2 || s.Signatures() != 3 {
				t.Errorf("received %d, repeated %d, distinct %d, signatures %d", s.Received(), s.Repeated(), s.Distinct(), s.Signatures())
			}
		})
	}
}

func TestWaitGivesUpWhenNothingMoreComes(t *testing.T) {
	t.Parallel()
	s := open(t, sink.Behaviour{})
	say(t, s, "EHLO x\r\n"+message("one@x", 24)+"QUIT\r\n", 1000)
	if err := s.Wait(1, time.Minute); err != nil {
		t.Error(err)
	}
	if err := s.Wait(2, 20*time.Millisecond); !errors.Is(err, sink.ErrTooFew) {
		t.Errorf("got %v", err)
	}
}

func TestAMessageWithoutAnIDOrWithoutContentIsNameless(t *testing.T) {
	t.Parallel()
	s := open(t, sink.Behaviour{})
	say(t, s, "EHLO x\r\nDATA\r\n.\r\nDATA\r\nSubject: x\r\n\r\nbody\r\n.\r\nQUIT\r\n", 1000)
	if s.Nameless() != 2 || s.Received() != 2 {
		t.Errorf("nameless %d of %d", s.Nameless(), s.Received())
	}
}

func TestASilentSinkSaysNothing(t *testing.T) {
	t.Parallel()
	s := open(t, sink.Behaviour{Silent: true})
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("it spoke: %d, %v", n, err)
	}
}

func TestTheRecipientIsToldWithTheID(t *testing.T) {
	t.Parallel()
	told := make(chan string, 1)
	s := open(t, sink.Behaviour{OnMessage: func(r, id []byte) { told <- string(r) + " " + string(id) }})
	say(t, s, "EHLO x\r\n"+message("one@x", 24)+"QUIT\r\n", 1000)
	if got := <-told; got != "c@d.test one@x" {
		t.Errorf("told %q", got)
	}
}
