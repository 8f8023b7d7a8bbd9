package stop

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/test/harness"
)

// talk is a conversation by hand, SMTP or HTTP.
type talk struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func dial(t *testing.T, addr string) *talk {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return &talk{t, conn, bufio.NewReader(conn)}
}

func (c *talk) write(text string) {
	c.t.Helper()
	if _, err := c.conn.Write([]byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// expect reads a reply of SMTP and gives its last line.
func (c *talk) expect(want string) string {
	c.t.Helper()
	for {
		line, err := c.r.ReadString('\n')
		if err == nil && len(line) > 3 && line[3] == '-' {
			continue
		}
		if err != nil || !strings.HasPrefix(line, want) {
			c.t.Fatalf("got %q, %v; want %q", line, err, want)
		}
		return strings.TrimSpace(line)
	}
}

// known is an SMTP conversation after AUTH.
func known(t *testing.T, p *harness.Postroad) *talk {
	t.Helper()
	c := dial(t, p.SMTP)
	c.expect("220")
	for _, step := range [][2]string{
		{"EHLO client.test", "250"},
		{"AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00any\x00"+harness.LiveKey)), "235"},
	} {
		c.write(step[0] + "\r\n")
		c.expect(step[1])
	}
	return c
}

// inContent is one whose client has sent half of a message.
func inContent(t *testing.T, p *harness.Postroad, recipient string) *talk {
	t.Helper()
	c := known(t, p)
	for _, step := range [][2]string{{"MAIL FROM:<>", "250"}, {"RCPT TO:<" + recipient + ">", "250"}, {"DATA", "354"}} {
		c.write(step[0] + "\r\n")
		c.expect(step[1])
	}
	c.write("From: hello@acme.test\r\nSubject: Half\r\n\r\nthe first half\r\n")
	return c
}

// upload is an HTTP request of which half the body was sent; rest is the other half. The
// server said "100 Continue", so the request is under way there.
func upload(t *testing.T, p *harness.Postroad, recipient string) (c *talk, rest string) {
	t.Helper()
	body := fmt.Sprintf(`{"from":"hello@acme.test","recipient":%q,"subject":"Upload","text":%q}`, recipient, strings.Repeat("word ", 20_000))
	half := len(body) / 2
	c = dial(t, p.Addr)
	c.write(fmt.Sprintf("POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n",
		harness.LiveKey, len(body)))
	if line, err := c.r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
		t.Fatalf("got %q, %v; want 100", line, err)
	}
	_, _ = c.r.ReadString('\n') // the empty line
	c.write(body[:half])
	return c, body[half:]
}

// answer reads an HTTP answer.
func (c *talk) answer() (*http.Response, error) { return http.ReadResponse(c.r, nil) }
