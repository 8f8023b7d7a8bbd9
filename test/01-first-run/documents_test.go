package firstrun

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/postroad/postroad/test/harness"
)

// documented are the curl lines of a document's blocks, as somebody would copy them: with the
// lines that follow a backslash or an open quote.
func documented(text string) (all []string) {
	var open string
	fenced := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
			continue
		}
		code := strings.TrimLeft(line, " ")
		switch {
		case open != "":
			open += line
		case strings.HasPrefix(code, "curl ") && (fenced || len(line)-len(code) >= 4):
			open = code
		default:
			continue
		}
		if strings.Count(open, "'")%2 == 0 && !strings.HasSuffix(open, "\\\n") {
			all, open = append(all, open), ""
		}
	}
	return all
}

// elsewhere are the documents whose lines other tests run, or that need what is not here.
var elsewhere = map[string]string{
	"hyvor.md": "each step needs what the one before gave and a verified domain: test/18-hyvor does them",
}

// otherwise are answers of lines that need something done outside of us first.
var otherwise = map[string]string{"/dkim/rotate": "409"} // the key's record has to be published

// asWritten replaces what a document can only name: the host, and waits that are long.
var asWritten = strings.NewReplacer("https://HOST", "$B", "https://mail.example.com", "$B", "http://127.0.0.1:8080", "$B", "wait=25", "wait=1")

var stated = regexp.MustCompile(`(?m)^[1-5]\d\d$`)

// TestEveryCurlLineOfTheDocumentsWorks runs them in the order of each document, on one server.
func TestEveryCurlLineOfTheDocumentsWorks(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"curl", "bash"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed: the lines cannot be run as they are", tool)
		}
	}
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	world := harness.OpenWorld(t)
	if err := world.Records("app.example.com. A 93.184.216.34\n"); err != nil { // looked up, never dialled
		t.Fatal(err)
	}
	p := harness.Start(t, harness.Options{Env: world.Env("POSTROAD_ALLOW_NETWORKS", "")})
	dir := t.TempDir()
	for name, content := range map[string]string{
		"letter.eml":  "From: hello@acme.test\r\nTo: ada@example.com\r\nSubject: s\r\n\r\nHello\r\n",
		"logo.png":    "\x89PNG\r\n\x1a\n",
		"invoice.pdf": "%PDF-1.7\n",
		"bounces.csv": "email,reason\nada@example.com,550 5.1.1\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	documents, _ := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	ran := 0
	for _, path := range documents {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if elsewhere[filepath.Base(path)] != "" {
			continue
		}
		for _, line := range documented(string(text)) {
			ran++
			status, answer := runLine(t, p, dir, line)
			want := "2"
			for part, other := range otherwise {
				if strings.Contains(line, part) {
					want = other
				}
			}
			if !strings.HasPrefix(status, want) {
				t.Errorf("%s:\n%s\nanswered %s: %.600s", filepath.Base(path), line, status, answer)
			}
		}
	}
	if ran < 15 {
		t.Errorf("only %d lines were found", ran)
	}
	t.Logf("%d lines work", ran)
}

// runLine gives the status a line is answered with, and the answer.
func runLine(t *testing.T, p *harness.Postroad, dir, line string) (status, answer string) {
	t.Helper()
	patience := "60"
	if strings.Contains(line, "/stream") { // it has no end
		patience = "2"
	}
	kept := filepath.Join(dir, "answer")
	_ = os.Remove(kept)
	cmd := exec.Command("bash", "-c", `curl() { command curl -sS -m `+patience+` -o "$KEPT" -w '\n%{http_code}\n' "$@"; }`+"\n"+asWritten.Replace(line))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "KEPT="+kept, "B="+p.URL, "U="+p.URL+"/v1", "URL="+p.URL, "J=Content-Type: application/json",
		"H=Authorization: Bearer "+harness.TestKey, "KEY="+harness.LiveKey)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	text, _ := os.ReadFile(kept)
	if status = stated.FindString(said.String()); status == "" {
		t.Errorf("%s\n%v: %s", line, err, said.Bytes())
	}
	return status, string(text)
}
