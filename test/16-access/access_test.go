package access

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/test/harness"
)

const password = "correct horse battery"

var link = regexp.MustCompile(`(http://\S+)/setup#token=([A-Za-z0-9]+)`)

func letter() map[string]any {
	return map[string]any{"from": "hello@sandbox.test", "to": "ada@sandbox.test", "subject": "x", "text": "y"}
}

// cookie is what a login's answer sets, as a request carries it.
func cookie(t *testing.T, a harness.Answer) string {
	t.Helper()
	all := (&http.Response{Header: a.Header}).Cookies()
	if len(all) != 1 || !all[0].HttpOnly || all[0].SameSite != http.SameSiteStrictMode || all[0].Secure || all[0].Name != "postroad" {
		t.Fatalf("cookies: %v", a.Header.Values("Set-Cookie")) // plain http on loopback: browsers take no Secure one
	}
	return all[0].Name + "=" + all[0].Value
}

func TestTheLinkThatAStartPrintsOpensTheConsoleOnceAndTheSessionOutlivesAKill(t *testing.T) {
	t.Parallel()
	p := harness.Start(t, harness.Options{})
	m := link.FindStringSubmatch(p.Printed())
	if m == nil || m[1] != p.URL {
		t.Fatalf("no link of the set-up at %s is printed:\n%s", p.URL, p.Printed())
	}
	if a := p.Must(t, 200, "GET", "/setup", "", nil); !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
		t.Errorf("the link leads to %s", a.Header.Get("Content-Type"))
	}
	setup := map[string]any{"token": m[2], "password": password}
	if _, err := p.Stop(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	if err := p.Restart(); err != nil { // who was too late asks a new start
		t.Fatal(err)
	}
	p.Must(t, 401, "POST", "/v1/session/setup", "", setup)
	all := link.FindAllStringSubmatch(p.Printed(), -1)
	setup["token"] = all[len(all)-1][2]
	session := cookie(t, p.Must(t, 201, "POST", "/v1/session/setup", "", setup))
	p.Must(t, 401, "POST", "/v1/session/setup", "", setup)

	me := p.Must(t, 200, "GET", "/v1/me", "", nil, "Cookie", session).Fields(t)
	if me["environment"] != "test" || me["key"] != nil {
		t.Errorf("%v", me)
	}
	id := p.Must(t, 202, "POST", "/v1/messages", "", letter(), "Cookie", session, "Sec-Fetch-Site", "same-origin").Text(t, "message_id")
	p.ExpectEvents(t, harness.TestKey, id, "", "queued accepted delivered", 10*time.Second)
	p.Must(t, 403, "POST", "/v1/messages", "", letter(), "Cookie", session, "Sec-Fetch-Site", "cross-site")

	p.Kill()
	if err := p.Restart(); err != nil {
		t.Fatal(err)
	}
	p.Must(t, 200, "GET", "/v1/me", "", nil, "Cookie", session)
	if strings.Count(p.Printed(), "/setup#token=") != len(all) {
		t.Error("a start with a user prints a link of the set-up")
	}
	p.Must(t, 204, "DELETE", "/v1/session", "", nil, "Cookie", session)
	p.Must(t, 401, "GET", "/v1/me", "", nil, "Cookie", session)
	again := cookie(t, p.Must(t, 201, "POST", "/v1/session", "", map[string]any{"password": password}))
	p.Must(t, 200, "GET", "/v1/me", "", nil, "Cookie", again)

	// Who forgot it sets another on the server, while it runs.
	binary, err := harness.Binary()
	if err != nil {
		t.Fatal(err)
	}
	set := exec.Command(binary, "console", "password")
	set.Env, set.Stdin = append(os.Environ(), "POSTROAD_DATA_DIR="+filepath.Join(p.Dir, "data")), strings.NewReader("another long one\n")
	if out, err := set.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p.Must(t, 401, "GET", "/v1/me", "", nil, "Cookie", again)
	p.Must(t, 201, "POST", "/v1/session", "", map[string]any{"password": "another long one"})
	if strings.Contains(p.Log(), password) || strings.Contains(p.Log(), strings.TrimPrefix(session, "postroad=")) {
		t.Error("the log has a password or a session")
	}
}

func TestAPasswordFromTheSettingsNeedsNoLink(t *testing.T) {
	t.Parallel()
	p := harness.Start(t, harness.Options{Env: map[string]string{"POSTROAD_ADMIN_PASSWORD": password, "POSTROAD_PUBLIC_URL": "https://mail.acme.test"}})
	if strings.Contains(p.Printed(), "/setup") {
		t.Errorf("a link of the set-up is printed:\n%s", p.Printed())
	}
	a := p.Must(t, 201, "POST", "/v1/session", "", map[string]any{"password": password})
	if c := a.Header.Get("Set-Cookie"); !strings.HasPrefix(c, "__Host-postroad=") || !strings.Contains(c, "; Secure") || !strings.Contains(c, "Path=/;") || strings.Contains(c, "Domain") {
		t.Errorf("behind https the cookie is %s", c)
	}
	for range 5 {
		p.Must(t, 401, "POST", "/v1/session", "", map[string]any{"password": "a wrong one"})
	}
	if a := p.Must(t, 429, "POST", "/v1/session", "", map[string]any{"password": password}); a.Header.Get("Retry-After") == "" {
		t.Errorf("%v", a.Header)
	}
}

func TestAQuotaHoldsUnderLoadAndOverAKill(t *testing.T) {
	t.Parallel()
	p := harness.Start(t, harness.Options{})
	made := p.Must(t, 201, "POST", "/v1/projects", harness.LiveKey, map[string]any{"name": "shop", "daily_messages": 300}).Fields(t)
	if made["daily_messages"] != 300.0 {
		t.Fatalf("%v", made)
	}
	p.Must(t, 200, "PATCH", "/v1/project", harness.TestKey, map[string]any{"daily_messages": 300})
	took := 0
	send := func(n int) (codes map[int]int) {
		codes = map[int]int{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for range n / 10 {
					a, err := p.Do("POST", "/v1/messages", harness.TestKey, letter())
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					codes[a.Status]++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		return codes
	}
	took += send(200)[202]
	p.Kill() // before or after the counts were written: they are the same
	if err := p.Restart(); err != nil {
		t.Fatal(err)
	}
	codes := send(200)
	took += codes[202]
	if took != 300 || codes[429] != 100 {
		t.Errorf("%d were taken of 300; the second time %v", took, codes)
	}
	var usage struct {
		Usage  struct{ Today struct{ Messages int } }
		Limits struct {
			Remaining int `json:"remaining_today"`
		}
	}
	a := p.Must(t, 200, "GET", "/v1/usage", harness.TestKey, nil)
	if err := json.Unmarshal(a.Body, &usage); err != nil || usage.Usage.Today.Messages != 300 || usage.Limits.Remaining != 0 {
		t.Errorf("%v %s", err, a.Body)
	}
}

func TestARotationAnAuditAndItsActorSurviveAKill(t *testing.T) {
	t.Parallel()
	p := harness.Start(t, harness.Options{})
	key := p.Must(t, 201, "POST", "/v1/api-keys", harness.TestKey, map[string]any{"name": "ci", "scopes": []string{"messages.send", "messages.read"}}).Fields(t)
	old := key["secret"].(string)
	r := p.Must(t, 201, "POST", "/v1/api-keys/"+key["key_id"].(string)+"/rotate", harness.TestKey, map[string]any{"overlap_hours": 1}).Fields(t)
	p.Kill() // right behind the answer
	if err := p.Restart(); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{old, r["secret"].(string)} {
		p.Send(t, secret, letter())
	}
	var audit struct {
		Data []struct {
			Action, Target string
			Actor          struct{ Type, ID string }
			Changes        []struct{ Field string }
		}
	}
	a := p.Must(t, 200, "GET", "/v1/audit?order=asc", harness.TestKey, nil)
	if err := json.Unmarshal(a.Body, &audit); err != nil || len(audit.Data) != 2 || audit.Data[0].Action != "api_keys.create" || audit.Data[1].Action != "api_keys.rotate" ||
		audit.Data[1].Target != key["key_id"] || audit.Data[1].Actor.Type != "api_key" || len(audit.Data[1].Changes) != 2 {
		t.Errorf("%v %s", err, a.Body)
	}
	events := p.Must(t, 200, "GET", "/v1/events?types=api_key.*", harness.TestKey, nil)
	if text := string(events.Body); !strings.Contains(text, "api_key.rotated") || strings.Contains(text, old) {
		t.Errorf("%s", events.Body)
	}
	p.Must(t, 204, "DELETE", "/v1/api-keys/"+r["key_id"].(string), harness.TestKey, nil)
	p.Must(t, 401, "GET", "/v1/me", r["secret"].(string), nil)
}
