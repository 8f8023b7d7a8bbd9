package firstrun

import (
	"encoding/json"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/test/harness"
)

// budget of a new user, from the start of the process to the first delivered message.
const budget = 2 * time.Minute

func TestANewUserSeesTheFirstMessageDelivered(t *testing.T) {
	t.Parallel()
	if _, err := harness.Binary(); err != nil { // the build is not in the budget of this test
		t.Fatal(err)
	}
	start := time.Now()
	p := harness.Start(t, harness.Options{Bare: true, Env: emptySettings()})
	ready := time.Since(start)

	printed := p.Printed() + p.Log()
	commands := curlLines(printed)
	if len(commands) == 0 {
		t.Fatalf("no curl line is printed at first start:\n%s", printed)
	}
	if !strings.Contains(printed, p.URL) {
		t.Errorf("the console's address %s is not printed:\n%s", p.URL, printed)
	}
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed: the printed line cannot be run as it is")
	}
	out, err := exec.Command("sh", "-c", commands[0]).Output()
	if err != nil {
		t.Fatalf("%s\n%v\n%s", commands[0], err, out)
	}
	var message struct {
		ID     string `json:"message_id"`
		Status string `json:"status"`
	}
	if err := json.Unmarshal(jsonIn(out), &message); err != nil || message.ID == "" {
		t.Fatalf("%s\nanswered %s: %v", commands[0], out, err)
	}
	key := keyIn(t, commands[0])
	p.ExpectEvents(t, key, message.ID, "", "queued accepted delivered", 10*time.Second)
	took := time.Since(start)
	t.Logf("ready after %v, first message delivered after %v of %v", ready.Round(time.Millisecond), took.Round(time.Millisecond), budget)
	if took > budget {
		t.Errorf("took %v", took)
	}

	t.Run("every other printed line works too", func(t *testing.T) {
		for _, line := range commands[1:] {
			line = strings.NewReplacer("MESSAGE_ID", message.ID, "<message_id>", message.ID, "msg_...", message.ID, "msg_…", message.ID).Replace(line)
			out, err := exec.Command("sh", "-c", line).Output()
			if err != nil || !json.Valid(jsonIn(out)) || !strings.Contains(string(out), "delivered") {
				t.Errorf("%s\n%v\n%s", line, err, out)
			}
		}
	})
	t.Run("the page loads and may run nothing foreign", func(t *testing.T) {
		a := p.Must(t, 200, "GET", "/", "", nil)
		if kind := a.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/html") {
			t.Errorf("Content-Type is %q", kind)
		}
		policy := a.Header.Get("Content-Security-Policy")
		if policy == "" || strings.Contains(policy, "unsafe-inline") || strings.Contains(policy, "unsafe-eval") {
			t.Errorf("Content-Security-Policy is %q", policy)
		}
	})
	t.Run("a second start prints no second key", func(t *testing.T) {
		if code, err := p.Stop(20 * time.Second); code != 0 || err != nil {
			t.Fatalf("soft stop: exit code %d, %v", code, err)
		}
		if err := p.Restart(); err != nil {
			t.Fatal(err)
		}
		again := strings.TrimPrefix(p.Printed(), printed)
		if strings.Count(p.Printed()+p.Log(), key) > strings.Count(printed, key) {
			t.Errorf("the key is printed again:\n%s", again)
		}
		p.ExpectEvents(t, key, message.ID, "", "queued accepted delivered", 5*time.Second)
	})
}

// emptySettings sets nothing at all, unless something else has a default port.
func emptySettings() map[string]string {
	settings := map[string]string{}
	for name, preset := range map[string]string{"POSTROAD_HTTP_ADDR": "127.0.0.1:8080", "POSTROAD_SUBMISSION_ADDR": "127.0.0.1:1587"} {
		l, err := net.Listen("tcp", preset)
		if err == nil {
			_ = l.Close()
			continue
		}
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err == nil {
			settings[name] = l.Addr().String()
			_ = l.Close()
		}
	}
	return settings
}

// curlLines are the printed commands, continued lines joined.
func curlLines(printed string) (commands []string) {
	printed = strings.ReplaceAll(printed, "\\\n", " ")
	for line := range strings.Lines(printed) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "curl ") {
			commands = append(commands, line)
		}
	}
	return commands
}

// jsonIn is the JSON object in what curl printed (with -i there are headers before).
func jsonIn(out []byte) []byte {
	text := string(out)
	i, j := strings.IndexByte(text, '{'), strings.LastIndexByte(text, '}')
	if i < 0 || j < i {
		return nil
	}
	return []byte(text[i : j+1])
}

func keyIn(t *testing.T, command string) string {
	t.Helper()
	m := regexp.MustCompile(`Bearer ([A-Za-z0-9_]+)`).FindStringSubmatch(command)
	if m == nil {
		t.Fatalf("no key in %s", command)
	}
	return m[1]
}
