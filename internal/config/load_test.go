package config_test

import (
	"bytes"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postroad/postroad/internal/config"
)

func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "postroad.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func load(t *testing.T, yaml string, environ ...string) (*config.Settings, error) {
	t.Helper()
	return config.Load(write(t, yaml), environ)
}

func TestWithNothingSetTheDefaultsAreThoseDocumented(t *testing.T) {
	t.Parallel()
	s, err := load(t, "")
	if err != nil {
		t.Fatal(err)
	}
	if s.HTTP.Addr != "127.0.0.1:8080" || s.Storage.DataDir != "./data" || s.Delivery.MXPort != 25 {
		t.Errorf("%+v", s)
	}
	want := []time.Duration{30 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour}
	if d := cmp.Diff(want, s.Delivery.RetrySchedule); d != "" {
		t.Error(d)
	}
	if s.HTTP.MaxBody != 52428800 || s.HTTP.RateLimit.PerMinute() != 1000 || s.Delivery.Hostname == "" {
		t.Errorf("%+v", s)
	}
	if len(s.Notes) != 0 {
		t.Errorf("notes: %q", s.Notes)
	}
}

func TestTheEnvironmentWinsOverTheFile(t *testing.T) {
	t.Parallel()
	s, err := load(t, "http_addr: 127.0.0.1:9000\nmx_port: 2525\nallow_networks: [127.0.0.0/8, 10.1.2.3]\n# a comment\nretry_schedule:\n  - 1s\n  - 2s\n",
		"POSTROAD_HTTP_ADDR=127.0.0.1:9001", "HOME=/x", "POSTROAD_DNS_SERVERS=127.0.0.1:5353,::1", "POSTROAD_RATE_LIMIT=0", "POSTROAD_LOG_LEVEL=")
	if err != nil {
		t.Fatal(err)
	}
	if s.HTTP.Addr != "127.0.0.1:9001" || s.Delivery.MXPort != 2525 || s.HTTP.RateLimit.Count != 0 || s.Running.LogLevel != "info" {
		t.Errorf("%+v", s)
	}
	if got := s.Delivery.DNSServers; len(got) != 2 || got[0].String() != "127.0.0.1:5353" || got[1].String() != "[::1]:53" {
		t.Errorf("%v", got)
	}
	if got := s.Delivery.AllowNetworks; len(got) != 2 || got[1] != netip.MustParsePrefix("10.1.2.3/32") {
		t.Errorf("%v", got)
	}
	if d := cmp.Diff([]time.Duration{time.Second, 2 * time.Second}, s.Delivery.RetrySchedule); d != "" {
		t.Error(d)
	}
}

func TestTheListOfBlockedAttachmentsIsWords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{"": {"default"}, "none": nil, "default, .ISO2,application/x-sh": {"default", ".iso2", "application/x-sh"}} {
		s, err := load(t, "", "POSTROAD_BLOCKED_ATTACHMENTS="+text)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, s.HTTP.BlockedAttachments); d != "" {
			t.Errorf("%q: %s", text, d)
		}
	}
	if _, err := load(t, "", "POSTROAD_BLOCKED_ATTACHMENTS=exe"); err == nil || !strings.Contains(err.Error(), `"exe" must be an extension such as .exe, a media type, or 'default'`) {
		t.Errorf("got %v", err)
	}
}

func TestEveryFaultIsReportedAtOnceWithItsPlace(t *testing.T) {
	t.Parallel()
	_, err := load(t, "htp_addr: x\nmx_port: 99999\ndata_dir: {a: b}\nlog: loud\nzzzzzzzzzzzzzzzz: 1\n",
		"POSTROAD_RETRY_SHEDULE=1s", "POSTROAD_RATE_LIMIT=fast", "POSTROAD_ALLOW_NETWORKS=10.0.0.0/8,nonsense", "POSTROAD_DATABASE_URL=postgres://x")
	var faults config.Faults
	if !errors.As(err, &faults) {
		t.Fatalf("%v", err)
	}
	for _, want := range []string{
		"postroad.yaml:1: htp_addr: there is no such setting; did you mean http_addr?",
		"postroad.yaml:2: mx_port: must be from 1 to 65535",
		"postroad.yaml:3: data_dir: must be a value or a list of values",
		"postroad.yaml:4: log: must be text or json",
		"postroad.yaml:5: zzzzzzzzzzzzzzzz: there is no such setting; `postroad config describe` lists them",
		"POSTROAD_RETRY_SHEDULE: there is no such setting; did you mean POSTROAD_RETRY_SCHEDULE?",
		"POSTROAD_RATE_LIMIT: must be a rate like 1000/1m, or 0 for unlimited",
		`POSTROAD_ALLOW_NETWORKS: "nonsense" must be a network like 10.0.0.0/8`,
		"POSTROAD_DATABASE_URL: this version has the embedded database only: 'sqlite:'",
	} {
		if !strings.Contains(err.Error()+"\n", want+"\n") {
			t.Errorf("missing %q in\n%v", want, err)
		}
	}
	if len(faults) != 9 {
		t.Errorf("%d faults:\n%v", len(faults), err)
	}
}

func TestWrongValuesAreRefused(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"HTTP_ADDR=8080", "HTTP_ADDR=127.0.0.1:x", "HTTP_ADDR=example.com:80", "PUBLIC_URL=example.com", "PUBLIC_URL=https://a/?x=1",
		"MAX_BODY=1GB", "MAX_BODY=-1", "DISK_FLOOR=much", "BOOTSTRAP_LIVE_KEY=short", "BOOTSTRAP_LIVE_KEY=has a space in the middle",
		"HOSTNAME=under_score.test", "HOSTNAME=-a.test", "DNS_SERVERS=ns.example.com:53", "DNS_SERVERS=127.0.0.1:0", "MX_PORT=0",
		"RETRY_SCHEDULE=5", "RETRY_SCHEDULE=0s", "RETRY_SCHEDULE=none", "SITE_CONNECTIONS=0", "SESSION_MESSAGES=many", "SOFT_STOP=-1s", "LOG_LEVEL=loud",
		"MEMORY_LIMIT=1MB", "SOURCE_ADDR=localhost", "RATE_LIMIT=10/1ms", "RATE_LIMIT=-1/1m", "HYVOR_REQUIRE_ALLOWED_IPS=perhaps", "DATABASE_URL=mysql://x",
		"DATABASE_URL=sqlite:/tmp/x.db", "METRICS_NETWORKS=everyone",
		"SUBMISSION_ADDR=1587", "SUBMISSIONS_ADDR=mail.example.com:465", "SUBMISSIONS_ADDR=127.0.0.1:1587", "SUBMISSION_CONNECTIONS=0",
		"SUBMISSION_CONNECTIONS_PER_ADDRESS=x",
	} {
		name, _, _ := strings.Cut(line, "=")
		_, err := load(t, "", "POSTROAD_"+line)
		var faults config.Faults
		if !errors.As(err, &faults) || len(faults) != 1 || faults[0].Where != "POSTROAD_"+name {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestTheSubmissionDoorIsJudgedAsAWhole(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ lines, want string }{
		{"tls_cert: a.pem", "tls_cert: tls_cert and tls_key go together"},
		{"tls_key: a.pem", "tls_cert: tls_cert and tls_key go together"},
		{"acme_email: ops@example.com\nhostname: localhost", "acme_email: an authority gives certificates to public names only"},
		{"acme_email: ops@example.com\nhostname: mail.corp.internal", "(it is mail.corp.internal)"},
		{"acme_email: ops\nhostname: mail.example.com", "acme_email: must be an e-mail address"},
		{"acme_directory: http://ca.example.com/dir", "acme_directory: must be an https address"},
		{"acme_email: ops@example.com\nhostname: mail.example.com\nacme_directory: https://ca.example.com/dir", ""},
		{"submission_addr: off\nsubmissions_addr: :465\ntls_cert: a.pem\ntls_key: b.pem", ""},
	} {
		s, err := load(t, c.lines+"\n")
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.lines, err)
		}
		if err == nil && strings.Contains(c.lines, "off") && (s.Submission.Addr != "" || s.Submission.TLSAddr != ":465") {
			t.Errorf("%s: %+v", c.lines, s.Submission)
		}
	}
}

func TestASmartHostIsAPresetOrAHost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ lines, want string }{
		{"smart_host: sendgrid\nsmart_host_password: k", ""},
		{"smart_host: gmial", "smart_host: must be a preset (gmail, mailgun,"},
		{"smart_host: gmail", "smart_host: gmail wants a user name and a password"},
		{"smart_host_user: a", "smart_host: smart_host_user and smart_host_password need a smart_host"},
	} {
		if _, err := load(t, c.lines+"\n"); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.lines, err)
		}
	}
}

func TestSecretsComeFromFilesToo(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(secret, []byte("sk_live_from_a_file_0001\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := load(t, "", "POSTROAD_BOOTSTRAP_LIVE_KEY_FILE="+secret)
	if err != nil || s.Keys.BootstrapLive != "sk_live_from_a_file_0001" {
		t.Errorf("from the environment: %+v, %v", s, err)
	}
	s, err = load(t, "bootstrap_live_key_file: "+secret+"\n")
	if err != nil || s.Keys.BootstrapLive != "sk_live_from_a_file_0001" {
		t.Errorf("from the file: %+v, %v", s, err)
	}
	for _, environ := range [][]string{
		{"POSTROAD_BOOTSTRAP_LIVE_KEY_FILE=/does/not/exist"},
		{"POSTROAD_BOOTSTRAP_LIVE_KEY_FILE=" + secret, "POSTROAD_BOOTSTRAP_LIVE_KEY=sk_live_another_one_0002"},
		{"POSTROAD_DATA_DIR_FILE=" + secret}, // not a secret
	} {
		if _, err := load(t, "", environ...); err == nil {
			t.Errorf("%q was taken", environ)
		}
	}
}

func TestYAMLThatIsNotSettingsIsRefused(t *testing.T) {
	t.Parallel()
	for _, yaml := range []string{"- a\n- b\n", "just words\n", "a: [", "data_dir: x\ndata_dir: y\n", "data_dir: x\n---\ndata_dir: y\n",
		"metrics_token: a\nmetrics_token_file: b\n", "data_dir: [[x]]\n", "data_dir: &a x\nlog: *a\n"} {
		if s, err := load(t, yaml); err == nil {
			t.Errorf("%q gave %+v", yaml, s)
		}
	}
	if _, err := config.Load(filepath.Join(t.TempDir(), "absent.yaml"), nil); err == nil {
		t.Error("a file that was named and is not there was passed over")
	}
}

func TestNamesOfOthersArePassedOver(t *testing.T) {
	t.Parallel()
	if _, err := load(t, "", "POSTROAD_SERVICE_HOST=10.0.0.1", "POSTROAD_PORT=tcp://10.0.0.1:80", "POSTROAD_PORT_80_TCP=x", "POSTROAD_URL=http://x", "POSTROAD_API_KEY=k"); err != nil {
		t.Error(err)
	}
}

func TestTheDoorForReportsIsJudged(t *testing.T) {
	t.Parallel()
	s, err := load(t, "", "POSTROAD_INBOUND_ADDR=127.0.0.1:2526", "POSTROAD_HOSTNAME=mx.acme.test")
	if err != nil || s.Inbound.Addr != "127.0.0.1:2526" {
		t.Errorf("%v %v", s, err)
	}
	if s, err := load(t, "", "POSTROAD_INBOUND_ADDR=off"); err != nil || s.Inbound.Addr != "" {
		t.Errorf("%v %v", s, err)
	}
	for _, bad := range [][]string{{"POSTROAD_INBOUND_ADDR=2526x"}, {"POSTROAD_INBOUND_ADDR=127.0.0.1:1587", "POSTROAD_HOSTNAME=mx.acme.test"}} {
		if _, err := load(t, "", bad...); err == nil || !strings.Contains(err.Error(), "POSTROAD_INBOUND_ADDR") && !strings.Contains(err.Error(), "inbound_addr") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

var update = flag.Bool("update", false, "write docs/settings.md")

func TestTheReferenceInDocsIsWhatDescribePrints(t *testing.T) {
	t.Parallel()
	b := &bytes.Buffer{}
	if err := config.Describe(b); err != nil {
		t.Fatal(err)
	}
	const name = "../../docs/settings.md"
	if *update {
		if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(have), b.String()); d != "" {
		t.Errorf("run `go test ./internal/config -update`:\n%s", d)
	}
}

func TestTheReferenceUncommentedIsTheDefaults(t *testing.T) {
	t.Parallel()
	b := &bytes.Buffer{}
	if err := config.Describe(b); err != nil {
		t.Fatal(err)
	}
	var yaml []string
	for _, line := range strings.Split(b.String(), "\n") {
		if m := regexp.MustCompile(`^#([a-z_]+:.*)`).FindStringSubmatch(line); m != nil {
			yaml = append(yaml, m[1])
		}
	}
	if len(yaml) < 20 {
		t.Fatalf("only %d settings in\n%s", len(yaml), b)
	}
	got, err := load(t, strings.Join(yaml, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := load(t, "")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Error(d)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("http_addr: 127.0.0.1:9000\n")
	f.Add("a: &x [*x]\n? b\n: {c: d}\n")
	f.Add("retry_schedule:\n  - 1s\n  -\n")
	f.Add("rate_limit: !!str 5/1s\nmax_body: 0x10\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 || strings.Contains(text, "_file") {
			return // no reading of arbitrary files
		}
		s, err := config.Load(write(t, text), nil)
		if (s == nil) == (err == nil) {
			t.Fatalf("%v, %v", s, err)
		}
	})
}
