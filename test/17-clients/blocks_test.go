package clients

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/postroad/postroad/test/harness"
)

var (
	goBlocks = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")
	declared = regexp.MustCompile(`(?m)^(\w+(?:, \w+)*) := `)
)

// program is what the blocks of code stand in: the words they use without saying where
// they come from, and a message and an error to look at.
const program = `package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"time"

	postroad "github.com/postroad/postroad/clients/go"
)

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

var (
	_ = errors.Is
	_ = fmt.Println
	_ = os.Getenv
)

func suspend(recipient string) error { fmt.Println("suspended", recipient); return nil }

func handle(e *postroad.Event) error { fmt.Println("handled", e.Type); return nil }

var blocks = map[string]func(ctx context.Context, client *postroad.Client, sent *postroad.Accepted, last int64, err error) error{
%s}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	client := must(postroad.New())
	sent := must(client.Messages.Send(ctx, postroad.Message{Recipient: "ada@example.com", Subject: "S", Text: "Your code is 482913."}))
	_, refused := client.Messages.Send(ctx, postroad.Message{Recipient: "ada@"})
	if err := blocks[os.Args[1]](ctx, client, sent, 0, refused); err != nil {
		log.Fatal(err)
	}
	body := []byte(` + "`" + `{"id":"evt_1","type":"message.bounced","data":{"recipient":"ada@example.com"}}` + "`" + `)
	r := httptest.NewRequest("POST", "/hooks/mail", bytes.NewReader(body))
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, must(base64.StdEncoding.DecodeString(strings.TrimPrefix(os.Getenv("POSTROAD_WEBHOOK_SECRET"), "whsec_"))))
	fmt.Fprintf(mac, "evt_1.%%s.%%s", stamp, body)
	r.Header = http.Header{"Webhook-Id": {"evt_1"}, "Webhook-Timestamp": {stamp}, "Webhook-Signature": {"v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))}}
	w := httptest.NewRecorder()
	http.DefaultServeMux.ServeHTTP(w, r)
	fmt.Println("a hook is answered", w.Code) // 404 where the block is not about hooks
}
`

// Every block of Go in the README and the guide compiles and runs against the binary.
func TestEveryBlockOfGoInTheDocumentsRuns(t *testing.T) {
	t.Parallel()
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	var names []string
	for _, document := range []string{"clients/go/README.md", "docs/clients.md"} {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(document)))
		if err != nil {
			t.Fatal(err)
		}
		for i, block := range goBlocks.FindAllStringSubmatch(string(text), -1) {
			name := fmt.Sprintf("%s block %d", document, i+1)
			names = append(names, name)
			fmt.Fprintf(&source, "%q: func(ctx context.Context, client *postroad.Client, sent *postroad.Accepted, last int64, err error) error {\n{\n%s", name, block[1])
			for _, m := range declared.FindAllStringSubmatch(block[1], -1) {
				fmt.Fprintf(&source, "%s = %s\n", strings.Repeat("_, ", strings.Count(m[1], ","))+"_", m[1]) // a block may end with what it made
			}
			source.WriteString("}\nreturn nil\n},\n")
		}
	}
	if len(names) < 8 {
		t.Fatalf("the documents have %d blocks", len(names))
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "main.go")
	if err := os.WriteFile(file, fmt.Appendf(nil, program, source.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "blocks"), file)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p, _, _ := start(t)
	var said strings.Builder
	for _, name := range names {
		run := exec.CommandContext(t.Context(), filepath.Join(dir, "blocks"), name)
		run.Env = []string{"POSTROAD_BASE_URL=" + p.URL, "POSTROAD_API_KEY=" + harness.TestKey, "POSTROAD_WEBHOOK_SECRET=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
		out, err := run.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		said.Write(out)
	}
	for _, text := range []string{"message.queued", "#/recipient", "suspended ada@example.com\na hook is answered 204", "handled message.bounced\na hook is answered 204"} {
		if !strings.Contains(said.String(), text) {
			t.Errorf("no block said %q: %s", text, said.String())
		}
	}
	t.Logf("%d blocks of code run", len(names))
}
