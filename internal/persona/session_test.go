package persona

import (
	"bytes"
	"net"
	"testing"
	"time"
)

// heard is a connection on which the client has said everything already.
type heard struct {
	net.Conn
	bytes.Reader
}

func (c *heard) Read(p []byte) (int, error)      { return c.Reader.Read(p) }
func (c *heard) Write(p []byte) (int, error)     { return len(p), nil }
func (c *heard) SetReadDeadline(time.Time) error { return nil }
func (c *heard) RemoteAddr() net.Addr            { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func FuzzSession(f *testing.F) {
	f.Add([]byte("EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nMessage-ID: <1>\r\n\r\n..\n.\r\n.\r\nQUIT\r\n"))
	f.Add([]byte("HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<a>\r\nBDAT 5\r\n12345BDAT 99999999999999999999 LAST\r\n"))
	f.Add([]byte("MAIL FROM:\r\nMAIL FROM:>\r\nRCPT TO:<\r\nBDAT -1\r\n"))
	f.Fuzz(func(t *testing.T, said []byte) {
		script, err := Load("mixed")
		if err != nil {
			t.Fatal(err)
		}
		script.offer = nil
		server := &Server{script: script, o: Options{Keep: true, Count: true}, rules: newRules(script.rules), counts: map[string]int{}, done: make(chan struct{})}
		conn := &heard{Reader: *bytes.NewReader(said)}
		newSession(server, conn).run()
		if server.total != len(server.messages) || server.total > bytes.Count(said, []byte("\n")) {
			t.Fatalf("%d messages counted, %d kept", server.total, len(server.messages))
		}
		for _, m := range server.messages {
			if len(m.To) == 0 || int64(len(m.Data)) != m.Size {
				t.Fatalf("%+v", m)
			}
		}
	})
}
