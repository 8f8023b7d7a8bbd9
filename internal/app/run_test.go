package app

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/config"
)

// running is a server in this process.
type running struct {
	t        *testing.T
	settings *config.Settings
	out      *shared
	url      string
	soft     context.CancelFunc
	hard     context.CancelFunc
	ended    chan error
}

// shared is a buffer that is written and read at the same time.
type shared struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *shared) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func settingsFor(t *testing.T, dir string, more ...string) *config.Settings {
	t.Helper()
	file := filepath.Join(t.TempDir(), "none.yaml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := config.Load(file, append([]string{"POSTROAD_DATA_DIR=" + dir, "POSTROAD_HTTP_ADDR=127.0.0.1:0", "POSTROAD_SUBMISSION_ADDR=127.0.0.1:0", "POSTROAD_MEMORY_LIMIT=0"}, more...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var consoleLine = regexp.MustCompile(`console   (http://127\.0\.0\.1:\d+)/`)

// start runs a server and waits until it is ready.
func start(t *testing.T, s *config.Settings) *running {
	t.Helper()
	soft, stop := context.WithCancel(context.Background())
	hard, kill := context.WithCancel(context.Background())
	r := &running{t: t, settings: s, out: &shared{}, soft: stop, hard: kill, ended: make(chan error, 1)}
	log := &shared{}
	go func() { r.ended <- Run(soft, hard, s, Options{Migrate: true, Out: r.out, Err: log}) }()
	t.Cleanup(func() {
		kill()
		stop()
		if t.Failed() {
			t.Logf("log:\n%s", log)
		}
	})
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if m := consoleLine.FindStringSubmatch(r.out.String()); m != nil {
			r.url = m[1]
			return r
		}
		select {
		case err := <-r.ended:
			t.Fatalf("ended at once: %v\n%s", err, log)
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("nothing announced\n%s", log)
		}
	}
}

// stop ends it softly and gives what Run gave.
func (r *running) stop() error {
	r.t.Helper()
	r.soft()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(time.Minute):
		r.t.Fatal("does not stop")
		return nil
	}
}

func (r *running) get(path, key string) (int, string) {
	r.t.Helper()
	q, err := http.NewRequest("GET", r.url+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if key != "" {
		q.Header.Set("Authorization", "Bearer "+key)
	}
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func TestTheFirstStartMakesAKeyThatWorksAndTheSecondNone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	r := start(t, settingsFor(t, dir))
	key := regexp.MustCompile(`sk_test_\w+`).FindString(r.out.String())
	if code, body := r.get("/v1/me", key); code != 200 || !strings.Contains(body, "test") {
		t.Errorf("the printed key: %d %s", code, body)
	}
	if code, _ := r.get("/v1/me", "sk_test_00000000_nonsense"); code != 401 {
		t.Errorf("a made-up key: %d", code)
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200, "/": 200, "/nonsense": 404} {
		if code, body := r.get(path, ""); code != want {
			t.Errorf("%s: %d %.200s", path, code, body)
		}
	}
	if err := r.stop(); err != nil {
		t.Errorf("a stop that was asked for: %v", err)
	}
	if _, err := http.Get(r.url + "/healthz"); err == nil {
		t.Error("the door is still open")
	}

	again := start(t, settingsFor(t, dir))
	if strings.Contains(again.out.String(), "sk_test_") {
		t.Errorf("a key at the second start:\n%s", again.out)
	}
	if code, _ := again.get("/v1/me", key); code != 200 {
		t.Errorf("the key of the first start: %d", code)
	}
	if err := again.stop(); err != nil {
		t.Error(err)
	}
}

func TestTheCommandsReachARunningServerAndDoTheSameWithoutOne(t *testing.T) {
	t.Parallel()
	s := settingsFor(t, filepath.Join(t.TempDir(), "data"), "POSTROAD_BOOTSTRAP_LIVE_KEY=a-live-key-of-any-shape")
	r := start(t, s)
	for _, name := range []string{"while it runs", "after it stopped"} {
		during := name == "while it runs"
		if !during {
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
		}
		made, err := CreateKey(t.Context(), s, NewKey{Project: "default", Env: "live", Scopes: []string{"messages.read"}, Name: name})
		if err != nil || !strings.HasPrefix(made.Secret, "sk_live_") {
			t.Errorf("%s: %+v, %v", name, made, err)
		}
		if during {
			if code, body := r.get("/v1/me", made.Secret); code != 200 {
				t.Errorf("the key: %d %s", code, body)
			}
			if code, _ := r.get("/v1/api-keys", made.Secret); code != 403 {
				t.Errorf("beyond its scope: %d", code)
			}
			if code, _ := r.get("/v1/api-keys", "a-live-key-of-any-shape"); code != 200 {
				t.Errorf("the bootstrap key: %d", code)
			}
		}
		if schema, err := ReadSchema(t.Context(), s); err != nil || schema.Have != schema.Want || schema.Have == 0 {
			t.Errorf("%s: %+v, %v", name, schema, err)
		}
		if checks, err := Examine(t.Context(), s, true); err != nil || len(checks) < 4 {
			t.Errorf("%s: %+v, %v", name, checks, err)
		}
	}
}

func TestASecondServerOnTheSameDataOrAddressIsRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	r := start(t, settingsFor(t, dir))
	o := Options{Migrate: true, Out: io.Discard, Err: io.Discard}
	if err := Run(t.Context(), t.Context(), settingsFor(t, dir), o); err == nil || !strings.Contains(err.Error(), "another Postroad process") {
		t.Errorf("the same data: %v", err)
	}
	other := settingsFor(t, filepath.Join(t.TempDir(), "data"), "POSTROAD_HTTP_ADDR="+strings.TrimPrefix(r.url, "http://"))
	if err := Run(t.Context(), t.Context(), other, o); err == nil || !strings.Contains(err.Error(), "set POSTROAD_HTTP_ADDR to another address") {
		t.Errorf("the same address: %v", err)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

func TestAnOldSchemaIsRefusedWhenMigratingIsNotAllowed(t *testing.T) {
	t.Parallel()
	s := settingsFor(t, filepath.Join(t.TempDir(), "data"))
	err := Run(t.Context(), t.Context(), s, Options{Migrate: false, Out: io.Discard, Err: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "migrate up") {
		t.Errorf("%v", err)
	}
	if schema, err := Migrate(t.Context(), s); err != nil || schema.Have != schema.Want {
		t.Errorf("%+v, %v", schema, err)
	}
}

func TestAServerWhoseDiskIsBelowTheFloorIsNotReady(t *testing.T) {
	t.Parallel()
	r := start(t, settingsFor(t, filepath.Join(t.TempDir(), "data"), "POSTROAD_DISK_FLOOR=1000000GB"))
	if code, body := r.get("/readyz", ""); code != 503 || !strings.Contains(body, "disk") {
		t.Errorf("%d %s", code, body)
	}
	if code, _ := r.get("/healthz", ""); code != 200 {
		t.Errorf("healthz: %d", code)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

func TestMailThatIsLeavingGetsWhatTheDoorsLeftOfAStop(t *testing.T) {
	t.Parallel()
	for _, c := range [...][3]time.Duration{
		{30 * time.Second, 0, 30 * time.Second}, {30 * time.Second, 10 * time.Second, 20 * time.Second}, {30 * time.Second, 30 * time.Second, doorLimit},
		{30 * time.Second, time.Minute, doorLimit}, {2 * time.Second, 2 * time.Second, 2 * time.Second}, {0, time.Second, 0},
	} {
		if got := wireTime(c[0], c[1]); got != c[2] {
			t.Errorf("of %v, after %v: %v, want %v", c[0], c[1], got, c[2])
		}
	}
}
