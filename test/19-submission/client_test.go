package submission

import (
	"bufio"
	"encoding/base64"
	"net"
	"strings"
	"testing"
	"time"
)

// client is an SMTP conversation by hand.
type client struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func dial(t *testing.T, addr string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(3 * time.Minute))
	return &client{t, conn, bufio.NewReader(conn)}
}

// known is a conversation after AUTH.
func known(t *testing.T, addr, key string) *client {
	t.Helper()
	c := dial(t, addr)
	c.expect("220")
	c.introduce(key)
	return c
}

// introduce says who the client is.
func (c *client) introduce(key string) {
	c.t.Helper()
	c.say("EHLO client.test", "250")
	c.say("AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00relay\x00"+key)), "235")
}

func (c *client) write(b []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// reply is the last line of the next one; an error when the connection is gone.
func (c *client) reply() (string, error) {
	for {
		line, err := c.r.ReadString('\n')
		if err != nil || len(line) > 3 && line[3] == ' ' {
			return strings.TrimSpace(line), err
		}
	}
}

func (c *client) expect(want string) string {
	c.t.Helper()
	line, err := c.reply()
	if err != nil || !strings.HasPrefix(line, want) {
		c.t.Fatalf("got %q, %v; want %q", line, err, want)
	}
	return line
}

func (c *client) say(line, want string) string {
	c.t.Helper()
	c.write([]byte(line + "\r\n"))
	return c.expect(want)
}
