package smtpd_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/smtpd"
	"github.com/postroad/postroad/internal/submit"
)

// taker accepts whatever it is handed and remembers it.
type taker struct {
	mu    sync.Mutex
	taken int
}

func (k *taker) Hold(_ context.Context, r io.Reader, _ int64) (mail.Content, error) {
	b, err := io.ReadAll(r)
	return mail.Bytes(b), err
}

func (k *taker) Drop(mail.Content) {}

func (k *taker) SubmitRaw(_ context.Context, _ project.Principal, r *submit.RawRequest) (*submit.Accepted, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.taken++
	m := &mail.Message{ID: mail.NewID(time.Now())}
	out := &submit.Accepted{Message: m}
	out.Answer = r.Answer(out)
	return out, nil
}

// pipes is a listener whose connections are pipes that say they come from this host.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

type localPipe struct{ net.Conn }

func (localPipe) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9} }

// FuzzSession: whatever a client says, from the first octet or after AUTH, every reply is
// one, nothing panics, the conversation ends when the client leaves, exactly the messages
// that were handed in were answered 250 queued, and no reply holds octets of the client's
// that are not printable.
func FuzzSession(f *testing.F) {
	known := "EHLO x\r\nAUTH PLAIN " + plain(liveKey) + "\r\n"
	whole := "MAIL FROM:<a@b.test>\r\nRCPT TO:<ada@customer.io>\r\nDATA\r\nFrom: hello@acme.test\r\n\r\n..x\r\n.\r\n"
	for _, s := range []string{
		known + whole + whole + "QUIT\r\n",
		known + "MAIL FROM:<> SIZE=10 BODY=8BITMIME SMTPUTF8\r\nRCPT TO:<ada@customer.io>\r\nBDAT 24\r\nFrom: hello@acme.test\r\n\r\nBDAT 0 LAST\r\nRSET\r\n",
		known + "MAIL FROM:<>\r\nRCPT TO:<ada@customer.io>\r\nDATA\r\na: b\r\n\r\nx\n.\r\nMAIL FROM:<x@y.z>\r\n",
		"EHLO x\r\nAUTH LOGIN\r\ncmVsYXk=\r\n*\r\nSTARTTLS\r\n\x16\x03\x01",
		"EHLO x\nHELO y\r\n\r\nVRFY \xff\r\nEXPN a\r\nHELP\r\nNOOP\r\nBDAT 3\r\nabcBDAT x\r\n",
		known + "MAIL FROM:<@a,@b:c@d.test>\r\nRCPT TO:<\"a>b\"@customer.io> NOTIFY=NEVER\r\nRCPT TO:<>\r\nDATA\r\n.\r\nBDAT 2\r\nabDATA\r\n",
		known + "MAIL FROM:<>\r\nDATA\r\nFrom: hello@acme.test\r\n\r\n" + whole,
		known + "MAIL FROM:<>\r\nRCPT TO:<ada@customer.io>\r\nBDAT 99999\r\nBDAT 3\r\nabcBDAT 4 LAST\r\nRSETPOST / HTTP/1.1\r\n\r\n" + whole,
	} {
		f.Add([]byte(s))
	}
	h := build(f, 0, nil)
	own := ownCertificate()
	f.Fuzz(func(t *testing.T, said []byte) {
		if bytes.Contains(said, []byte("AUTH")) && bytes.Count(said, []byte("AUTH")) > 2 {
			return // wrong keys are answered slowly
		}
		k, in := &taker{}, make(pipes)
		s := smtpd.New(smtpd.Options{Access: h.access, Submitter: k, Hostname: "x", MaxSize: 1 << 16, TLS: own})
		served := make(chan error, 1)
		go func() { served <- s.Serve(in, false) }()
		ours, theirs := net.Pipe()
		in <- localPipe{theirs}
		go func() {
			_, _ = ours.Write(said)
			time.AfterFunc(20*time.Millisecond, func() { _ = ours.Close() })
		}()
		queued, r := 0, bufio.NewReader(ours)
		for secure := false; !secure; {
			reply, err := readReply(r)
			if err != nil {
				if !ended(err) && !strings.Contains(err.Error(), "closed pipe") {
					t.Fatalf("%q: %v", said, err)
				}
				break
			}
			if strings.HasSuffix(reply, " queued") && strings.HasPrefix(reply, "250 2.0.0 msg_") {
				queued++
			}
			for _, c := range []byte(reply) {
				if c != '\n' && (c < ' ' || c > '~') {
					t.Fatalf("%q was answered %q", said, reply)
				}
			}
			secure = strings.HasPrefix(reply, "220 2.0.0") // what follows is TLS
		}
		_ = ours.Close()
		close(in)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		s.Shutdown(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%q: the conversation does not end", said)
		}
		<-served
		k.mu.Lock()
		defer k.mu.Unlock()
		if s.Stats().Panics > 0 || k.taken < queued {
			t.Fatalf("%q: %d handed in, %d queued, %+v", said, k.taken, queued, s.Stats())
		}
	})
}
