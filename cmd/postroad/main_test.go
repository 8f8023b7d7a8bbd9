package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// outcome is what a command left behind.
type outcome struct {
	code           int
	stdout, stderr string
}

// postroad runs one command line in this process.
func runCommand(t *testing.T, environ []string, stdin string, args ...string) outcome {
	t.Helper()
	var out, err bytes.Buffer
	s := &surroundings{ctx: context.WithoutCancel(t.Context()), stdin: strings.NewReader(stdin), stdout: &out, stderr: &err, environ: environ}
	code := execute(s, args)
	return outcome{code, out.String(), err.String()}
}

func TestWrongUsageIsCode2AndOneSentence(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"srve"}, {"serve", "--nonsense"}, {"key"}, {"key", "create", "--env", "both"}, {"send", "--subject", "x"},
		{"send", "--to", "a@b.test"}, {"send", "--to", "a@b.test", "--key", "k", "--url", "nowhere"}, {"send", "--to", "a@b.test", "--key", "k", "--data", "{"},
	} {
		got := runCommand(t, nil, "", args...)
		if got.code != 2 || got.stdout != "" || strings.Count(got.stderr, "\n") != 1 || !strings.HasPrefix(got.stderr, "postroad: ") {
			t.Errorf("%q: %+v", args, got)
		}
	}
}

func TestAWrongUsageNamesTheHelpOfItsCommand(t *testing.T) {
	t.Parallel()
	for command, args := range map[string][]string{"postroad send": {"send"}, "postroad key create": {"key", "create", "--env", "prod"}, "postroad": {"sned"}} {
		if got := runCommand(t, nil, "", args...); got.code != 2 || !strings.HasSuffix(got.stderr, "; see "+command+" --help\n") {
			t.Errorf("%q: %+v", args, got)
		}
	}
}

func TestHelpAndVersionAreCode0OnStdout(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"--help"}, {"help"}, {"help", "key", "create"}, {"serve", "--help"}, {"version"}, {"config", "describe"}, {"sink", "--list"}} {
		if got := runCommand(t, nil, "", args...); got.code != 0 || got.stdout == "" || got.stderr != "" {
			t.Errorf("%q: %+v", args, got)
		}
	}
}

func TestFaultsOfTheSettingsAreAllPrintedAndCode1(t *testing.T) {
	t.Parallel()
	got := runCommand(t, []string{"POSTROAD_MX_PORT=0", "POSTROAD_LOG=loud"}, "", "config", "check")
	if got.code != 1 || got.stdout != "" || strings.Count(got.stderr, "\n") != 2 {
		t.Errorf("%+v", got)
	}
	if got := runCommand(t, []string{"POSTROAD_DATA_DIR=" + t.TempDir()}, "", "config", "check"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	file := filepath.Join(t.TempDir(), "my.yaml")
	if err := os.WriteFile(file, []byte("mx_prt: 25\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := runCommand(t, nil, "", "--config", file, "config", "check"); got.code != 1 || !strings.Contains(got.stderr, "did you mean mx_port?") {
		t.Errorf("%+v", got)
	}
}

func TestAKeyIsMadeWithoutAServerAndNothingElseIsOnStdout(t *testing.T) {
	t.Parallel()
	environ := []string{"POSTROAD_DATA_DIR=" + filepath.Join(t.TempDir(), "data")}
	got := runCommand(t, environ, "", "key", "create", "--env", "live", "--scopes", "messages.send", "--name", "ci")
	if got.code != 0 || !strings.HasPrefix(got.stdout, "sk_live_") || strings.Count(got.stdout, "\n") != 1 || got.stderr != "" {
		t.Fatalf("%+v", got)
	}
	if again := runCommand(t, environ, "", "key", "create"); again.code != 0 || !strings.HasPrefix(again.stdout, "sk_test_") {
		t.Errorf("%+v", again)
	}
	for _, args := range [][]string{{"--project", "none-such"}, {"--scopes", "messages.everything"}} {
		if bad := runCommand(t, environ, "", append([]string{"key", "create"}, args...)...); bad.code != 1 || bad.stdout != "" || bad.stderr == "" {
			t.Errorf("%q: %+v", args, bad)
		}
	}
	if status := runCommand(t, environ, "", "migrate", "status"); status.code != 0 || !strings.Contains(status.stdout, "up to date") {
		t.Errorf("%+v", status)
	}
}

func TestTheConsolesPasswordIsReadFromStandardInput(t *testing.T) {
	t.Parallel()
	environ := []string{"POSTROAD_DATA_DIR=" + filepath.Join(t.TempDir(), "data")}
	if got := runCommand(t, environ, "correct horse battery\n", "console", "password"); got.code != 0 || got.stderr != "" || strings.Contains(got.stdout, "horse") {
		t.Errorf("%+v", got)
	}
	if again := runCommand(t, environ, "staple battery horse", "console", "password"); again.code != 0 {
		t.Errorf("%+v", again)
	}
	if short := runCommand(t, environ, "short\n", "console", "password"); short.code != 1 || !strings.Contains(short.stderr, "at least 8") {
		t.Errorf("%+v", short)
	}
	if none := runCommand(t, environ, "", "console", "password"); none.code != 2 {
		t.Errorf("%+v", none)
	}
}

func TestMigrateStatusMakesNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	got := runCommand(t, []string{"POSTROAD_DATA_DIR=" + dir}, "", "migrate")
	if got.code != 1 || !strings.Contains(got.stderr, "no database") {
		t.Errorf("%+v", got)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the data directory was made: %v", err)
	}
	if up := runCommand(t, []string{"POSTROAD_DATA_DIR=" + dir}, "", "migrate", "up"); up.code != 0 || !strings.Contains(up.stdout, "up to date") {
		t.Errorf("%+v", up)
	}
}

// api is a server that plays one message: its statuses in order, one a request.
type api struct {
	mu       sync.Mutex
	statuses []string
	refuse   []int // codes given before anything else
	keys     []string
	sent     map[string]any
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.refuse) > 0 {
		w.WriteHeader(a.refuse[0])
		if a.refuse[0] == 422 {
			_, _ = io.WriteString(w, `{"code":"validation_failed","detail":"1 field is invalid: to.","errors":[{"field":"to","message":"'x' has no domain."}]}`)
		}
		a.refuse = a.refuse[1:]
		return
	}
	switch {
	case r.Header.Get("Authorization") != "Bearer k":
		w.WriteHeader(401)
	case r.Method == "POST":
		a.keys = append(a.keys, r.Header.Get("Idempotency-Key"))
		_ = json.NewDecoder(r.Body).Decode(&a.sent)
		w.WriteHeader(202)
		_, _ = io.WriteString(w, `{"message_id":"msg_1","warnings":[{"code":"w","message":"Mind this."}]}`)
	case strings.HasSuffix(r.URL.Path, "/events"):
		_, _ = fmt.Fprint(w, `{"data":[{"at":"2026-04-19T14:30:00.000Z","type":"message.queued","recipient":"a@b.test","summary":"S"}]}`)
	default:
		_, _ = fmt.Fprintf(w, `{"status":%q}`, a.statuses[0])
		if len(a.statuses) > 1 {
			a.statuses = a.statuses[1:]
		}
	}
}

func TestSendTriesAgainWithOneKeyAndWaits(t *testing.T) {
	t.Parallel()
	a := &api{statuses: []string{"queued", "accepted", "delivered"}, refuse: []int{503, 500}}
	server := httptest.NewServer(a)
	defer server.Close()
	got := runCommand(t, []string{"POSTROAD_API_KEY=k", "POSTROAD_URL=" + server.URL}, "the text", "send", "--to", "a@b.test", "--to", "c@d.test", "--subject", "S", "--text", "-", "--wait", "delivered")
	if got.code != 0 || !strings.HasPrefix(got.stdout, "msg_1\n") || strings.Count(got.stdout, "queued") != 1 || got.stderr != "postroad: Mind this.\n" {
		t.Errorf("%+v", got)
	}
	if len(a.keys) != 1 || a.keys[0] == "" || a.sent["text"] != "the text" || len(a.sent["to"].([]any)) != 2 {
		t.Errorf("%+v", a)
	}
}

func TestSendFailsWhenTheMessageEndsOtherwiseOrNotInTime(t *testing.T) {
	t.Parallel()
	for status, says := range map[string]string{"bounced": "the message is bounced", "deferred": "still deferred"} {
		server := httptest.NewServer(&api{statuses: []string{status}})
		got := runCommand(t, nil, "", "send", "--url", server.URL, "--key", "k", "--to", "a@b.test", "--text", "x", "--wait", "delivered", "--timeout", "300ms")
		server.Close()
		if got.code != 1 || !strings.Contains(got.stderr, says) {
			t.Errorf("%s: %+v", status, got)
		}
	}
}

func TestSendPrintsEachFaultOfTheRequestAndDoesNotTryAgain(t *testing.T) {
	t.Parallel()
	a := &api{refuse: []int{422}}
	server := httptest.NewServer(a)
	defer server.Close()
	got := runCommand(t, nil, "", "send", "--url", server.URL, "--key", "k", "--to", "x")
	if got.code != 1 || got.stdout != "" || got.stderr != "postroad: 1 field is invalid: to (validation_failed)\npostroad: to: 'x' has no domain.\n" || a.keys != nil {
		t.Errorf("%+v %+v", got, a.keys)
	}
}
