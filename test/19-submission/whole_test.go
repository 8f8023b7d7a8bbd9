package submission

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/test/harness"
)

// house is a Postroad with both SMTP doors.
type house struct {
	*harness.Postroad
	implicit string
	ca       string // its certificate
	dir      string
}

func open(t *testing.T) *house { return openAs(t, "localhost") }

// openAs opens a house whose certificate is for a name.
func openAs(t *testing.T, hostname string) *house {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &house{implicit: l.Addr().String(), dir: t.TempDir()}
	_ = l.Close()
	h.Postroad = harness.Start(t, harness.Options{Env: map[string]string{"POSTROAD_SUBMISSIONS_ADDR": h.implicit, "POSTROAD_HOSTNAME": hostname}})
	both, err := os.ReadFile(filepath.Join(h.Dir, "data", "submission.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(both)
	if block == nil || block.Type != "CERTIFICATE" {
		t.Fatal("the first block of submission.pem is no certificate")
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		t.Fatal(err)
	}
	h.ca = filepath.Join(h.dir, "ca.pem")
	if err := os.WriteFile(h.ca, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return h
}

// letter is a message that is hard on clients and servers: 8-bit text, lines that begin
// with dots, a line of 5000 octets, an attachment.
func letter(key string, attachment int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Idempotency-Key: %s\r\n", key)
	b.WriteString("Date: Sun, 19 Apr 2026 14:30:00 +0000\r\nMessage-ID: <" + key + "@acme.test>\r\nFrom: =?utf-8?q?Acme_=C2=B7_Gr=C3=BC=C3=9Fe?= <hello@acme.test>\r\n" +
		"To: ada@customer.io\r\nSubject: =?utf-8?q?Bestellung_f=C3=BCr_Zo=C3=AB?=\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b0undary\"\r\n\r\n")
	b.WriteString("--b0undary\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")
	b.WriteString("Grüße, Zoë! 日本語\r\n.\r\n..\r\n.one dot\r\n...three dots\r\n \r\n" + strings.Repeat("long ", 1000) + "\r\nFrom the line start\r\n\r\n.\r\n")
	b.WriteString("--b0undary\r\nContent-Type: application/octet-stream; name=data.bin\r\nContent-Disposition: attachment; filename=data.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	data := make([]byte, attachment)
	noise := rand.NewChaCha8([32]byte{1})
	_, _ = noise.Read(data)
	text := base64.StdEncoding.EncodeToString(data)
	for len(text) > 0 {
		n := min(76, len(text))
		b.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
	b.WriteString("--b0undary--\r\n")
	return b.Bytes()
}

// arrived waits for the message of a key and gives its recipients and its bytes.
func (h *house) arrived(t *testing.T, key string) (recipients int, raw []byte) {
	t.Helper()
	var list struct {
		Data []struct {
			ID string `json:"message_id"`
		} `json:"data"`
	}
	for end := time.Now().Add(harness.Patience); len(list.Data) == 0; time.Sleep(20 * time.Millisecond) {
		a := h.Must(t, http.StatusOK, "GET", "/v1/messages?idempotency_key="+key, harness.TestKey, nil)
		if err := json.Unmarshal(a.Body, &list); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(end) {
			t.Fatalf("no message of %s", key)
		}
	}
	if len(list.Data) != 1 {
		t.Fatalf("%d messages of %s", len(list.Data), key)
	}
	var m struct {
		Via        string `json:"via"`
		Recipients []any  `json:"recipients"`
	}
	a := h.Must(t, http.StatusOK, "GET", "/v1/messages/"+list.Data[0].ID, harness.TestKey, nil)
	if err := json.Unmarshal(a.Body, &m); err != nil {
		t.Fatal(err)
	}
	return len(m.Recipients), h.Must(t, http.StatusOK, "GET", "/v1/messages/"+list.Data[0].ID+"/raw", harness.TestKey, nil).Body
}

// expectWhole compares what is kept with what was sent, less the field that was for us.
func expectWhole(t *testing.T, name string, sent, kept []byte, relayed bool) {
	t.Helper()
	_, want, _ := bytes.Cut(sent, []byte("\r\n"))
	if relayed { // a relay puts its trace in front
		at := bytes.Index(kept, []byte("Date: Sun, 19 Apr 2026"))
		if at < 0 || !bytes.HasPrefix(kept, []byte("Received:")) {
			t.Fatalf("%s: begins with %.300q", name, kept)
		}
		kept = kept[at:]
	}
	if !bytes.Equal(kept, want) {
		at := 0
		for at < min(len(kept), len(want)) && kept[at] == want[at] {
			at++
		}
		t.Errorf("%s: %d octets of %d are kept; they differ from octet %d on: %.80q, want %.80q", name, len(kept), len(want), at, kept[at:], want[at:])
	}
}

func (h *house) parcel(t *testing.T, name, tls string, content []byte, recipients int) *parcel {
	t.Helper()
	file := filepath.Join(t.TempDir(), "message.eml")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	p := &parcel{Host: "127.0.0.1", TLS: tls, Password: harness.TestKey, From: "someone@elsewhere.test", File: file}
	address := h.SMTP
	if tls == "implicit" {
		address = h.implicit
	}
	if tls != "none" {
		p.CA = h.ca
	}
	p.Port, _ = strconv.Atoi(port(address))
	p.To = []string{"ada@customer.io"}
	for i := 1; i < recipients; i++ {
		p.To = append(p.To, fmt.Sprintf("user%d@customer.io", i))
	}
	return p
}

func TestMailOfRealClientsArrivesWhole(t *testing.T) {
	t.Parallel()
	h := open(t)
	for _, s := range senders {
		for _, tls := range s.tls {
			name := s.name + "-" + tls
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				content := letter(name, 100_000)
				s.send(t, h.parcel(t, name, tls, content, 50))
				n, raw := h.arrived(t, name)
				expectWhole(t, name, content, raw, false)
				if n != 50 {
					t.Errorf("%d recipients", n)
				}
			})
		}
	}
	t.Run("postfix", func(t *testing.T) {
		t.Parallel()
		relay := startPostfix(t, h.Postroad)
		content := letter("postfix", 100_000)
		p := h.parcel(t, "postfix", "none", content, 50)
		giveTo(t, relay.Addr, p)
		n, raw := h.arrived(t, "postfix")
		expectWhole(t, "postfix", content, raw, true)
		if n != 50 {
			t.Errorf("%d recipients", n)
		}
	})
}

func TestFortyMegabytesArriveWhole(t *testing.T) {
	if testing.Short() {
		t.Skip("sends 40 MB five times")
	}
	t.Parallel()
	h := open(t)
	tls := map[string]string{"nodemailer": "starttls", "smtplib": "implicit", "swaks": "none", "msmtp": "starttls"}
	harness.ForgetPeak(h.Pid())
	for _, s := range senders {
		t.Run(s.name, func(t *testing.T) {
			name := s.name + "-large"
			content := letter(name, 29_500_000) // 40 MB in base64
			began := time.Now()
			s.send(t, h.parcel(t, name, tls[s.name], content, 1))
			took := time.Since(began)
			_, raw := h.arrived(t, name)
			expectWhole(t, name, content, raw, false)
			t.Logf("%s, %s: %d MB in %v", s.name, tls[s.name], len(content)>>20, took.Round(time.Millisecond))
		})
	}
	t.Run("postfix", func(t *testing.T) {
		relay := startPostfix(t, h.Postroad)
		content := letter("postfix-large", 29_500_000)
		giveTo(t, relay.Addr, h.parcel(t, "postfix", "none", content, 1))
		_, raw := h.arrived(t, "postfix-large")
		expectWhole(t, "postfix-large", content, raw, true)
	})
	t.Logf("Postroad's peak: %d MB", harness.PeakMemory(h.Pid())>>20)
}

// giveTo hands a parcel to a server that asks for no password.
func giveTo(t *testing.T, addr string, p *parcel) {
	t.Helper()
	content, err := os.ReadFile(p.File)
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, addr)
	c.expect("220")
	c.say("EHLO client.test", "250")
	c.say("MAIL FROM:<"+p.From+"> BODY=8BITMIME", "250")
	for _, to := range p.To {
		c.say("RCPT TO:<"+to+">", "250")
	}
	c.say("DATA", "354")
	c.write(bytes.ReplaceAll(content, []byte("\r\n."), []byte("\r\n..")))
	c.say(".", "250")
	c.say("QUIT", "221")
}
