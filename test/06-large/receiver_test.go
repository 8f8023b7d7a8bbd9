package large

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"
)

// receiver is an SMTP server that writes each message to a file.
type receiver struct {
	dir string
	mu  sync.Mutex
	n   int
	got chan string // file names
}

func listen(t *testing.T, addr string) *receiver {
	t.Helper()
	r := &receiver{dir: t.TempDir(), got: make(chan string, 16)}
	server := smtp.NewServer(r)
	server.Domain = "mx.site.test"
	server.MaxMessageBytes = 100 << 20
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = server.Serve(l); close(done) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return r
}

func (r *receiver) NewSession(*smtp.Conn) (smtp.Session, error) { return session{r}, nil }

type session struct{ *receiver }

func (session) Mail(string, *smtp.MailOptions) error { return nil }
func (session) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (session) Reset()                               {}
func (session) Logout() error                        { return nil }

func (s session) Data(content io.Reader) error {
	s.mu.Lock()
	s.n++
	name := filepath.Join(s.dir, strconv.Itoa(s.n))
	s.mu.Unlock()
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(f, content); err != nil {
		return err
	}
	s.got <- name
	return nil
}
