package large

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/mail"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/postroad/postroad/test/harness"
)

const (
	limit = 50 << 20 // of a request
	peak  = 300 << 20
)

func TestFiftyMegabytesArriveWholeInLittleMemory(t *testing.T) {
	t.Parallel()
	world := harness.OpenWorld(t)
	site := listen(t, world.At("127.0.0.1"))
	if err := world.Route("site.test", "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	p := harness.Start(t, harness.Options{Env: world.Env()})
	if err := world.Verify(p, "acme.test", ""); err != nil {
		t.Fatal(err)
	}

	request, sum := largestRequest(t)
	start := time.Now()
	a := p.Must(t, http.StatusAccepted, "POST", "/v1/messages", harness.LiveKey, request)
	accepted := time.Since(start)
	id := a.Text(t, "message_id")
	var file string
	select {
	case file = <-site.got:
	case <-time.After(3 * time.Minute): // with the race detector, on a busy machine
		t.Fatalf("not delivered: %v", p.Events(t, harness.LiveKey, id))
	}
	p.ExpectEvents(t, harness.LiveKey, id, "", "queued accepted delivered", 10*time.Second)
	delivered := time.Since(start)
	raw := p.Must(t, http.StatusOK, "GET", "/v1/messages/"+id+"/raw", harness.LiveKey, nil).Body
	high := harness.PeakMemory(p.Pid())
	t.Logf("request of %d bytes: accepted after %v, delivered after %v, %d bytes of mail, peak memory %d MB",
		len(request), accepted.Round(time.Millisecond), delivered.Round(time.Millisecond), len(raw), high>>20)
	if high >= peak && !harness.Raced() {
		t.Errorf("peak memory %d MB, want less than %d MB", high>>20, peak>>20)
	}

	received, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasSuffix(received, raw) {
		t.Errorf("what arrived (%d bytes) does not end with what is kept (%d bytes)", len(received), len(raw))
	}
	if got := attachmentSum(t, raw); got != sum {
		t.Errorf("the attachment changed: SHA-256 %x, want %x", got, sum)
	}
	checks, err := dkim.VerifyWithOptions(bytes.NewReader(received), &dkim.VerifyOptions{LookupTXT: world.LookupTXT})
	if err != nil || len(checks) != 2 {
		t.Fatalf("%d signatures, %v", len(checks), err)
	}
	for _, v := range checks {
		if v.Err != nil || v.Domain != "acme.test" {
			t.Errorf("signature of %s: %v", v.Domain, v.Err)
		}
	}
}

// largestRequest is a request of exactly the limit, and the SHA-256 of the file in it.
func largestRequest(t *testing.T) ([]byte, [32]byte) {
	t.Helper()
	head := `{"from":"sender@acme.test","recipient":"user@site.test","subject":"Large","text":"See the file.","attachments":[{"filename":"noise.bin","content":"`
	const tail = `"}]}`
	room := (limit - len(head) - len(tail)) / 4 * 4
	noise := make([]byte, room/4*3)
	_, _ = rand.Read(noise) // cannot be compressed
	request := make([]byte, 0, limit)
	request = append(request, head...)
	request = base64.StdEncoding.AppendEncode(request, noise)
	request = append(request, tail...)
	request = append(request, strings.Repeat(" ", limit-len(request))...)
	return request, sha256.Sum256(noise)
}

// attachmentSum is the SHA-256 of the first attachment of a message.
func attachmentSum(t *testing.T, raw []byte) [32]byte {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := r.NextPart()
		if err != nil {
			t.Fatalf("no attachment found: %v", err)
		}
		if part.FileName() == "" {
			continue
		}
		h := sha256.New()
		if _, err := io.Copy(h, base64.NewDecoder(base64.StdEncoding, part)); err != nil {
			t.Fatal(err)
		}
		return [32]byte(h.Sum(nil))
	}
}

func TestFiftyOneMegabytesAreRefusedUnread(t *testing.T) {
	t.Parallel()
	p := harness.Start(t, harness.Options{})
	const size = 51 << 20
	head := "POST /v1/messages HTTP/1.1\r\nHost: " + p.Addr + "\r\nAuthorization: Bearer " + harness.TestKey + "\r\nContent-Type: application/json\r\n"

	t.Run("by its Content-Length, before a byte of it is sent", func(t *testing.T) {
		c := dial(t, p.Addr)
		fmt.Fprintf(c, "%sContent-Length: %d\r\n\r\n", head, size)
		expectTooLarge(t, c)
	})
	t.Run("by what came, when it does not say its length", func(t *testing.T) {
		c := dial(t, p.Addr)
		fmt.Fprintf(c, "%sTransfer-Encoding: chunked\r\n\r\n", head)
		go func() { // ends with the connection at the latest
			piece := []byte(strings.Repeat(" ", 64<<10))
			for sent := 0; sent < size; sent += len(piece) {
				if _, err := fmt.Fprintf(c, "%x\r\n%s\r\n", len(piece), piece); err != nil {
					return
				}
			}
			_, _ = io.WriteString(c, "0\r\n\r\n")
		}()
		expectTooLarge(t, c)
	})
	if high := harness.PeakMemory(p.Pid()); high >= peak && !harness.Raced() {
		t.Errorf("peak memory %d MB", high>>20)
	}
	p.Send(t, harness.TestKey, map[string]any{"recipient": "user@site.test", "subject": "x", "text": "still here"})
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(2 * harness.Patience))
	return c
}

func expectTooLarge(t *testing.T, c net.Conn) {
	t.Helper()
	buf := make([]byte, 64<<10)
	n := 0
	for n < len(buf) && !bytes.Contains(buf[:n], []byte(`"limit_bytes"`)) {
		more, err := c.Read(buf[n:])
		n += more
		if err != nil {
			break
		}
	}
	answer := string(buf[:n])
	if !strings.HasPrefix(answer, "HTTP/1.1 413 ") || !strings.Contains(answer, "payload_too_large") || !strings.Contains(answer, "52428800") {
		t.Errorf("answered %.600q", answer)
	}
}
