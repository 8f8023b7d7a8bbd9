package submission

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/test/harness"
)

// parcel is what a sender is to send, and where.
type parcel struct {
	Host     string   `json:"host"`
	Port     int      `json:"port"`
	TLS      string   `json:"tls"` // "none", "starttls", "implicit"
	CA       string   `json:"ca"`  // file with the certificate to trust
	Password string   `json:"password"`
	From     string   `json:"from"`
	To       []string `json:"to"`
	File     string   `json:"file"`
}

// sender hands a parcel to one of the world's clients.
type sender struct {
	name string
	tls  []string
	send func(t *testing.T, p *parcel)
}

// sendWithin bounds one client's run.
const sendWithin = 3 * time.Minute

func run(t *testing.T, env []string, stdin []byte, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), sendWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	if stdin != nil {
		cmd.Stdin = bytes.NewReader(stdin)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%.3000s", name, err, out)
	}
}

func need(t *testing.T, program, debian string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is not installed: it does not send; to have it: apt-get install %s", program, debian)
	}
}

var senders = []sender{
	{"nodemailer", []string{"none", "starttls", "implicit"}, sendNodemailer},
	{"smtplib", []string{"none", "starttls", "implicit"}, sendSMTPLib},
	{"swaks", []string{"none", "starttls", "implicit"}, sendSwaks},
	{"msmtp", []string{"none", "starttls", "implicit"}, sendMsmtp},
}

func sendNodemailer(t *testing.T, p *parcel) {
	modules := filepath.Join(harness.NodeModules(t, "."), "node_modules")
	script, err := filepath.Abs("nodemailer_sender.cjs")
	if err != nil {
		t.Fatal(err)
	}
	run(t, []string{"POSTROAD_MODULES=" + modules}, nil, "node", script, asJSON(t, p))
}

func sendSMTPLib(t *testing.T, p *parcel) {
	need(t, "python3", "python3")
	run(t, nil, nil, "python3", "smtplib_sender.py", asJSON(t, p))
}

func sendSwaks(t *testing.T, p *parcel) {
	need(t, "swaks", "swaks libnet-ssleay-perl")
	content, err := os.ReadFile(p.File)
	if err == nil { // it always adds the end of the last line
		err = os.WriteFile(p.File, bytes.TrimSuffix(content, []byte("\r\n")), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--server", p.Host, "--port", strconv.Itoa(p.Port), "--from", p.From, "--to", strings.Join(p.To, ","), "--helo", "client.test",
		"--auth", "LOGIN", "--auth-user", "relay", "--auth-password", p.Password, "--data", "@" + p.File, "--suppress-data", "--timeout", "60s"}
	switch p.TLS {
	case "starttls":
		args = append(args, "--tls", "--tls-verify", "--tls-ca-path", p.CA)
	case "implicit":
		args = append(args, "--tls-on-connect", "--tls-verify", "--tls-ca-path", p.CA)
	}
	run(t, nil, nil, "swaks", args...)
}

func sendMsmtp(t *testing.T, p *parcel) {
	need(t, "msmtp", "msmtp")
	args := []string{"--file=/dev/null", "--host=localhost", "--port=" + strconv.Itoa(p.Port), "--auth=plain", "--user=relay",
		"--passwordeval=echo " + p.Password, "--from=" + p.From, "--timeout=60"}
	switch p.TLS {
	case "none":
		args = append(args, "--tls=off", "--auth=login")
	case "starttls":
		args = append(args, "--tls=on", "--tls-starttls=on", "--tls-trust-file="+p.CA)
	case "implicit":
		args = append(args, "--tls=on", "--tls-starttls=off", "--tls-trust-file="+p.CA)
	}
	content, err := os.ReadFile(p.File)
	if err != nil {
		t.Fatal(err)
	}
	run(t, nil, bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n")), "msmtp", append(append(args, "--"), p.To...)...)
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// startPostfix starts one that relays everything to Postroad with SASL, or skips the test.
func startPostfix(t *testing.T, p *harness.Postroad) *harness.Postfix {
	t.Helper()
	dir, err := os.MkdirTemp("", "postroad-test-relay-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	passwords := filepath.Join(dir, "passwords")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(passwords, fmt.Appendf(nil, "[127.0.0.1]:%s relay:%s\n", port(p.SMTP), harness.TestKey), 0o644)); err != nil {
		t.Fatal(err)
	}
	relay, err := harness.StartPostfix(context.Background(), harness.PostfixOptions{Dir: dir, Listen: "127.0.0.1:0", Main: map[string]string{
		"relayhost":                        "[127.0.0.1]:" + port(p.SMTP),
		"smtp_sasl_auth_enable":            "yes",
		"smtp_sasl_password_maps":          "texthash:" + passwords,
		"smtp_sasl_security_options":       "noanonymous",
		"smtp_tls_security_level":          "encrypt",
		"smtp_line_length_limit":           "0", // else Postfix itself breaks long lines
		"message_size_limit":               "60000000",
		"mailbox_size_limit":               "0",
		"smtp_destination_recipient_limit": "100",
		"minimal_backoff_time":             "1s",
		"queue_run_delay":                  "1s",
	}})
	if errors.Is(err, harness.ErrNoPostfix) {
		t.Skipf("%v; to have it: apt-get install postfix libsasl2-modules", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := relay.Stop(); err != nil {
			t.Error(err)
		}
	})
	return relay
}

func port(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}
