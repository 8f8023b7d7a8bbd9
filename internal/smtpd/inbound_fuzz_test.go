package smtpd_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/report"
	"github.com/postroad/postroad/internal/smtpd"
)

// FuzzInboundSession: whatever a client says, every reply is one, nothing panics and the
// conversation ends; letters come only for recipients that are welcome, and what came as
// DATA is what stood before its end, no octet more; a letter is told to be taken in after
// Take gave nil, and otherwise never.
func FuzzInboundSession(f *testing.F) {
	const hello, rcpt = "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<bounces+a@mail.acme.test>\r\n", "RCPT TO:<ada@customer.io>\r\n"
	for _, s := range []string{
		hello + "DATA\r\nSubject: x\r\n\r\n..x\r\n.\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<Postmaster>\r\nBDAT 3 LAST\r\nabcQUIT\r\n",
		hello + rcpt + "DATA\r\nfail\r\n.\r\nDATA\r\nQUIT\r\n",
		hello + "BDAT 2\r\na\nBDAT 0 LAST\r\nRSET\r\nMAIL FROM:<> SIZE=99999\r\nAUTH PLAIN\r\nHELP\r\nQUIT\r\n",
		hello + "DATA\r\nx\n.\r\nMAIL FROM:<x@y.z>\r\nQUIT\r\n",
		hello + "DATA\r\nx\ny\rz\r\n.\r\n.\r\nSTARTTLS\r\nQUIT\r\n",
		"EHLO x\r\nMAIL FROM:<>\r\n" + rcpt + "DATA\r\nRCPT TO:<>\r\nRCPT TO:<@a:postmaster>\r\nBDAT 3\r\nabcBDAT x\r\n",
		hello + "DATA\r\n" + strings.Repeat("0123456789abcd\r\n", 4100) + ".\r\nNOOP\r\nQUIT\r\n",
	} {
		f.Add([]byte(s))
	}
	own := ownCertificate()
	f.Fuzz(func(t *testing.T, said []byte) {
		if bytes.Count(bytes.ToUpper(said), []byte("RCPT")) > 4 {
			return // many that are not welcome are answered slowly
		}
		d := &desk{fail: func(l *report.Letter) error {
			if bytes.Contains(l.Content, []byte("fail")) {
				return errors.New("failed")
			}
			return nil
		}}
		in := make(pipes)
		s := smtpd.NewInbound(smtpd.InboundOptions{Reports: d, Hostname: "mail.acme.test", MaxSize: 1 << 16, TLS: own})
		served := make(chan error, 1)
		go func() { served <- s.Serve(in, false) }()
		ours, theirs := net.Pipe()
		in <- localPipe{theirs}
		go func() {
			_, _ = ours.Write(said)
			time.AfterFunc(20*time.Millisecond, func() { _ = ours.Close() })
		}()
		told, last := replies(t, ours, said, d)
		_ = ours.Close()
		close(in)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s.Shutdown(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%q: the conversation does not end", said)
		}
		<-served
		letters := d.taken()
		over := strings.HasPrefix(last, "221") || strings.HasPrefix(last, "421") // all replies were read
		if s.Stats().Panics > 0 || told > len(letters) || over && told < len(letters) {
			t.Fatalf("%q: %d taken in, %d told so, the last reply %q, %+v", said, len(letters), told, last, s.Stats())
		}
		for _, l := range letters {
			checkLetter(t, said, l, d)
		}
	})
}

// replies reads to the end, or until TLS. It counts how many letters were told to be taken in.
func replies(t *testing.T, conn net.Conn, said []byte, d *desk) (told int, last string) {
	r := bufio.NewReader(conn)
	for {
		reply, err := readReply(r)
		if err != nil {
			if !ended(err) && !strings.Contains(err.Error(), "closed pipe") {
				t.Fatalf("%q: %v", said, err)
			}
			return told, last
		}
		last = reply
		if isTaken(reply) {
			if told++; told > len(d.taken()) {
				t.Fatalf("%q: told before it was taken", said)
			}
		}
		for _, c := range []byte(reply) {
			if c != '\n' && (c < ' ' || c > '~') {
				t.Fatalf("%q was answered %q", said, reply)
			}
		}
		if strings.HasPrefix(reply, "220 2.0.0") { // what follows is TLS
			return told, last
		}
	}
}

// checkLetter compares a letter with what was said.
func checkLetter(t *testing.T, said []byte, l *report.Letter, d *desk) {
	for _, to := range l.To {
		if !d.Welcome(mail.Address{Email: to}) {
			t.Fatalf("%q: taken in for %q", said, to)
		}
	}
	if len(l.To) == 0 || l.Size != int64(len(l.Content)) {
		t.Fatalf("%q: %+v", said, l)
	}
	if bytes.Contains(bytes.ToUpper(said), []byte("BDAT")) {
		return // in pieces, which may hold anything
	}
	for rest := said; ; {
		line, behind, more := bytes.Cut(rest, []byte("\r\n"))
		if !more {
			t.Fatalf("%q: the content is %q", said, l.Content)
		}
		rest = behind
		if !bytes.EqualFold(bytes.Trim(line, " "), []byte("DATA")) {
			continue
		}
		text, _, whole := bytes.Cut(append([]byte("\r\n"), behind...), []byte("\r\n.\r\n"))
		if text = bytes.ReplaceAll(append(text, "\r\n"...), []byte("\r\n."), []byte("\r\n")); whole && bytes.Equal(text[2:], l.Content) {
			return // this is what stood between DATA and the next CRLF.CRLF, less its dots
		}
	}
}
