package internal_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/httpapi/hyvor"
	v1 "github.com/postroad/postroad/internal/httpapi/v1"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/render"
	"github.com/postroad/postroad/internal/smtpd"
	"github.com/postroad/postroad/internal/store/sqlite"
	"github.com/postroad/postroad/internal/submit"
)

// Every file of testdata/parity is one message as each door takes it, and what is asked of
// the one way in: the same, whichever door it came through. README.md there tells how
// they are written.
func TestEveryDoorAsksTheSame(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/parity/*.txt")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d scenarios, %v", len(files), err)
	}
	doors := openDoors(t)
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			parts := scenario(string(text))
			want, through := parts["asked"], 0
			delete(parts, "asked")
			for _, door := range []string{"v1", "hyvor", "smtp", "raw"} {
				body, given := parts[door]
				if !given {
					continue
				}
				delete(parts, door)
				through++
				if got := doors.ask(t, door, body); got != want {
					t.Errorf("through %s:\n%s\nwanted:\n%s", door, got, want)
				}
			}
			if through < 2 || len(parts) > 0 {
				t.Errorf("%d doors; sections nobody knows: %v", through, parts)
			}
		})
	}
}

var sectionHead = regexp.MustCompile(`(?m)^-- ([a-z0-9]+) --\n`)

func scenario(text string) map[string]string {
	parts := map[string]string{}
	marks := sectionHead.FindAllStringSubmatchIndex(text, -1)
	for i, m := range marks {
		end := len(text)
		if i+1 < len(marks) {
			end = marks[i+1][0]
		}
		parts[text[m[2]:m[3]]] = strings.TrimSpace(text[m[1]:end])
	}
	return parts
}

const parityKey = "0123456789abcdef0123456789abcdef"

// openedDoors are all the doors over one way in.
type openedDoors struct {
	v1, hyvor http.Handler
	smtp      string
	asked     *askedOf
}

// askedOf is the way in, and remembers what it was asked.
type askedOf struct {
	*submit.Service
	mu   sync.Mutex
	last string
}

func (a *askedOf) Submit(ctx context.Context, who project.Principal, r *submit.Request) (*submit.Accepted, error) {
	a.remember(describe(r))
	return a.Service.Submit(ctx, who, r)
}

func (a *askedOf) SubmitRaw(ctx context.Context, who project.Principal, r *submit.RawRequest) (*submit.Accepted, error) {
	asked, err := r.Request()
	if err != nil {
		return nil, err
	}
	a.remember(describe(asked))
	return a.Service.SubmitRaw(ctx, who, r)
}

func (a *askedOf) remember(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = text
}

func (a *askedOf) take() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer func() { a.last = "" }()
	return a.last
}

// anyDomain is verified.
type anyDomain struct{}

func (anyDomain) Domain(_ context.Context, _ int64, name string) (project.Domain, error) {
	return project.Domain{Name: name, Status: project.DomainVerified}, nil
}

func openDoors(t *testing.T) *openedDoors {
	t.Helper()
	store, err := sqlite.Open(sqlite.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	limits := project.NewLimits(0)
	access := project.NewAccess(project.AccessOptions{Store: store, Limits: limits, BootstrapTest: parityKey})
	if _, err := access.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	library := render.NewLibrary(render.LibraryOptions{Store: store})
	d := &openedDoors{asked: &askedOf{Service: submit.NewService(submit.Options{Store: store, Domains: anyDomain{}, Renderer: render.New(library)})}}
	door := httpapi.New(httpapi.Options{Access: access, Memory: store, PublicURL: "https://mail.acme.test"})
	d.v1 = v1.New(v1.Options{Door: door, Access: access, Limits: limits, Submitter: d.asked, Templates: library})
	d.hyvor = hyvor.New(hyvor.Options{Door: door, Access: access, Limits: limits, Submitter: d.asked, Domains: hyvorDomains{}, Store: store})
	server := smtpd.New(smtpd.Options{Access: access, Submitter: d.asked, Memory: store, Hostname: "mail.acme.test"})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l, false) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		server.Shutdown(ctx)
		<-ended
	})
	d.smtp = l.Addr().String()
	d.post(t, d.v1, "/v1/templates", "application/json", `{"alias":"welcome","name":"Welcome","subject":"Hi","text":"Hi {{name}}, you have {{plan}}"}`)
	d.post(t, d.v1, "/v1/templates/welcome/versions/1/publish", "application/json", `{}`)
	return d
}

// hyvorDomains has what that dialect asks before it submits; nothing else of it is used.
type hyvorDomains struct {
	hyvor.Domains
}

func (hyvorDomains) Find(_ context.Context, _ int64, name string) (project.Domain, error) {
	return project.Domain{Name: name, Status: project.DomainVerified}, nil
}

// ask sends a scenario's text through a door and gives what was asked of the way in.
func (d *openedDoors) ask(t *testing.T, door, text string) string {
	t.Helper()
	switch door {
	case "v1":
		d.post(t, d.v1, "/v1/messages", "application/json", text)
	case "hyvor":
		d.post(t, d.hyvor, "/api/console/sends", "application/json", text)
	case "raw":
		d.post(t, d.v1, "/v1/messages/raw", "message/rfc822", crlf(text))
	case "smtp":
		d.talk(t, text)
	}
	return d.asked.take()
}

// post sends header lines, up to an empty one, and a body.
func (d *openedDoors) post(t *testing.T, h http.Handler, path, kind, text string) {
	t.Helper()
	r := httptest.NewRequest("POST", path, nil)
	if kind == "application/json" {
		for strings.HasPrefix(text, "X-") || strings.HasPrefix(text, "Idempotency-Key:") {
			line, rest, _ := strings.Cut(text, "\n")
			name, value, _ := strings.Cut(line, ": ")
			r.Header.Set(name, value)
			text = rest
		}
	}
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Authorization", "Bearer "+parityKey)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code/100 != 2 {
		t.Errorf("%s: %d %s", path, w.Code, w.Body)
	}
}

func crlf(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") + "\r\n" }

// talk speaks SMTP: the text begins with the recipients of the envelope ("RCPT x@y"), one
// a line, then an empty line and the message.
func (d *openedDoors) talk(t *testing.T, text string) {
	t.Helper()
	c, err := net.Dial("tcp", d.smtp)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	r := bufio.NewReader(c)
	expect := func(code string) {
		t.Helper()
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(line, code) {
				t.Fatalf("got %q, want %s", line, code)
			}
			if len(line) > 3 && line[3] == ' ' {
				return
			}
		}
	}
	say := func(line, code string) {
		t.Helper()
		fmt.Fprintf(c, "%s\r\n", line)
		expect(code)
	}
	expect("220")
	say("EHLO client.test", "250")
	say("AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00anybody\x00"+parityKey)), "235")
	say("MAIL FROM:<bounces@acme.test> BODY=8BITMIME", "250")
	envelope, message, _ := strings.Cut(text, "\n\n")
	for line := range strings.SplitSeq(envelope, "\n") {
		say("RCPT TO:<"+strings.TrimPrefix(line, "RCPT ")+">", "250")
	}
	say("DATA", "354")
	for line := range strings.SplitSeq(message, "\n") {
		if strings.HasPrefix(line, ".") {
			line = "." + line
		}
		fmt.Fprintf(c, "%s\r\n", line)
	}
	say(".", "250")
}

// describe writes what is asked, line by line, without what only tells of the door: its
// name, the route and fingerprint of the key, the places of fields.
func describe(r *submit.Request) string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	if r.From != nil {
		line("from", address(*r.From))
	}
	for i, list := range [][]submit.AddressIn{r.To, r.Cc, r.Bcc} {
		for _, a := range list {
			line([]string{"to", "cc", "bcc"}[i], address(a))
		}
	}
	for _, a := range r.ReplyTo {
		line("header", "Reply-To: "+address(a))
	}
	if r.Subject != nil {
		line("subject", *r.Subject)
	}
	for _, h := range r.Headers {
		line("header", h.Name+": "+h.Value)
	}
	line("template", r.Template)
	if r.Template != "" {
		data := jsontext.Value(slices.Clone(r.TemplateData))
		_ = data.Canonicalize() // what is no JSON is shown as it is
		line("data", string(data))
	} else {
		line("html", oneLine(r.HTML))
		line("text", oneLine(r.Text))
	}
	for i := range r.Attachments {
		a := &r.Attachments[i]
		content, err := contentOf(a)
		if err != nil {
			line("file", err.Error())
		}
		line("file", file(a.Filename, a.ContentType, content))
	}
	for _, tag := range r.Tags {
		line("tag", tag)
	}
	for _, m := range r.Metadata {
		line("metadata", m.Name+"="+m.Value)
	}
	line("priority", r.Tier)
	if !r.SendAt.IsZero() {
		line("send at", r.SendAt.UTC().Format(time.RFC3339))
	}
	line("key", r.Key)
	return strings.TrimSpace(b.String())
}

func address(in submit.AddressIn) string {
	a, err := mail.ParseAddress(in.Text)
	if err != nil {
		return err.Error()
	}
	if in.Name != "" {
		a.Name = in.Name
	}
	if a.Name == "" {
		return a.Email
	}
	return a.Name + " <" + a.Email + ">"
}

// oneLine shows a text without the line end that mail always has, on one line.
func oneLine(s *string) string {
	if s == nil {
		return ""
	}
	return strings.ReplaceAll(strings.TrimRight(strings.ReplaceAll(*s, "\r\n", "\n"), "\n"), "\n", `\n`)
}

// contentOf gives an attachment's bytes, however the door handed them in.
func contentOf(a *submit.AttachmentIn) ([]byte, error) {
	if a.Raw == nil {
		return base64.StdEncoding.DecodeString(string(a.Base64))
	}
	in, err := a.Raw.Open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return io.ReadAll(in)
}

func file(name, kind string, content []byte) string {
	sum := sha256.Sum256(content)
	return fmt.Sprintf("%s %s %d bytes %x", name, kind, len(content), sum[:4])
}
