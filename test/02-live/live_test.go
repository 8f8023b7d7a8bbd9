package live

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/postroad/postroad/test/harness"
)

func TestAVerifiedDomainSendsMailThatStrangersVerify(t *testing.T) {
	t.Parallel()
	world := harness.OpenWorld(t)
	exchanger := world.Exchanger(t, "127.0.0.1", "about takes everything")
	if err := world.Route("site.test", "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	p := harness.Start(t, harness.Options{Env: world.Env()})

	message := map[string]any{
		"from": "Acme <hello@acme.test>", "to": []any{"Ada <ada@site.test>"}, "cc": []string{"bob@site.test"}, "bcc": []string{"eve@site.test"},
		"reply_to": []string{"help@acme.test"}, "subject": "Déjà vu: your order № 42", "html": "<p>Thank you, <b>Ada</b> — it is on its way.</p>",
		"text": "Thank you, Ada.\n\n.\n", "headers": map[string]string{"X-Entity-Ref": "42"},
		"attachments": []map[string]string{{"filename": "größe.txt", "content": "Z3LDtsOfZQo="}},
	}
	refusedBefore(t, p, message)
	records := register(t, world, p)
	id := p.Send(t, harness.LiveKey, message)
	for _, to := range []string{"ada@site.test", "bob@site.test", "eve@site.test"} {
		p.ExpectEvents(t, harness.LiveKey, id, to, "queued accepted delivered", 10*time.Second)
	}
	received := exchanger.Messages()
	if len(received) != 1 || len(received[0].To) != 3 {
		t.Fatalf("%d transactions, the first for %v; want one for three", len(received), received[0].To)
	}
	got := received[0]
	if got.TLS == "" || !strings.HasPrefix(got.From, "bounces+") || !strings.HasSuffix(got.From, ".acme.test") {
		t.Errorf("TLS %q, return path %q", got.TLS, got.From)
	}
	if bytes.Contains(got.Data, []byte("eve@")) {
		t.Error("the bcc recipient stands in the message")
	}
	if got.Bare != 0 {
		t.Errorf("%d bare CR or LF", got.Bare)
	}
	byMsgauth(t, world, got.Data)
	t.Run("dkimpy", func(t *testing.T) { byDkimpy(t, records, got.Data) })
	t.Run("OpenDKIM", func(t *testing.T) { byOpenDKIM(t, records, got.Data) })
	t.Run("a byte changed is seen", func(t *testing.T) {
		changed := bytes.Replace(got.Data, []byte("Subject: "), []byte("Subject: x"), 1)
		checks, err := verify(world, changed)
		if err != nil || !slices.ContainsFunc(checks, func(v *dkim.Verification) bool { return v.Err != nil }) {
			t.Errorf("a changed subject verifies: %v", err)
		}
	})
}

// refusedBefore: nobody may send as a domain that is not theirs.
func refusedBefore(t *testing.T, p *harness.Postroad, message map[string]any) {
	t.Helper()
	if a := p.Must(t, 422, "POST", "/v1/messages", harness.LiveKey, message); !strings.Contains(string(a.Body), "domain_not_found") {
		t.Errorf("before it is registered: %s", a.Body)
	}
}

// register takes the domain from registered to verified and gives its records.
func register(t *testing.T, world *harness.World, p *harness.Postroad) []harness.Record {
	t.Helper()
	records, err := world.Register(p, "acme.test", "")
	if err != nil {
		t.Fatal(err)
	}
	verified := func() string {
		return p.Must(t, 200, "POST", "/v1/domains/acme.test/verify", harness.LiveKey, []byte("{}")).Text(t, "status")
	}
	if status := verified(); status != "pending" {
		t.Errorf("without records its status is %q", status)
	}
	if a := p.Must(t, 422, "POST", "/v1/messages", harness.LiveKey, map[string]any{
		"from": "hello@acme.test", "recipient": "ada@site.test", "subject": "x", "text": "x",
	}); !strings.Contains(string(a.Body), "domain_not_verified") {
		t.Errorf("before it is verified: %s", a.Body)
	}
	if err := world.Publish(records); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(harness.Patience); verified() != "verified"; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not verified with its records published: %s", p.Call(t, "GET", "/v1/domains/acme.test/dns", harness.LiveKey, nil).Body)
		}
	}
	return records
}

func verify(world *harness.World, message []byte) ([]*dkim.Verification, error) {
	return dkim.VerifyWithOptions(bytes.NewReader(message), &dkim.VerifyOptions{LookupTXT: world.LookupTXT})
}

func byMsgauth(t *testing.T, world *harness.World, message []byte) {
	t.Helper()
	checks, err := verify(world, message)
	if err != nil || len(checks) != 2 {
		t.Fatalf("%d signatures, %v\n%s", len(checks), err, message)
	}
	for _, v := range checks {
		if v.Err != nil || v.Domain != "acme.test" {
			t.Errorf("signature of %s: %v", v.Domain, v.Err)
		}
		for _, field := range []string{"from", "to", "subject", "date", "message-id"} {
			if !slices.ContainsFunc(v.HeaderKeys, func(k string) bool { return strings.EqualFold(k, field) }) {
				t.Errorf("%s is not signed: %v", field, v.HeaderKeys)
			}
		}
	}
}

// keysOf are the DKIM records by name.
func keysOf(records []harness.Record) map[string]string {
	keys := map[string]string{}
	for _, r := range records {
		if r.Type == "TXT" && strings.Contains(r.FQDN, "._domainkey.") {
			keys[r.FQDN] = r.Value
		}
	}
	return keys
}

const dkimpy = `
import json, sys, dkim
keys = json.load(open(sys.argv[1]))
message = open(sys.argv[2], "rb").read()
def txt(name, timeout=5):
    name = name if isinstance(name, str) else name.decode()
    return keys[name.rstrip(".")].encode()
d = dkim.DKIM(message)
n = sum(1 for name, _ in d.headers if name.lower() == b"dkim-signature")
print(n, [dkim.DKIM(message).verify(idx=i, dnsfunc=txt) for i in range(n)])
`

func byDkimpy(t *testing.T, records []harness.Record, message []byte) {
	python := ""
	for _, path := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(path, "-c", "import dkim, nacl").Run() == nil {
			python = path
			break
		}
	}
	if python == "" {
		t.Skip("dkimpy (python3-dkim, python3-nacl) is not installed")
	}
	dir := t.TempDir()
	keys, _ := json.Marshal(keysOf(records))
	write(t, filepath.Join(dir, "keys"), keys)
	write(t, filepath.Join(dir, "message"), message)
	out, err := exec.Command(python, "-c", dkimpy, filepath.Join(dir, "keys"), filepath.Join(dir, "message")).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "2 [True, True]" {
		t.Errorf("%v: %s", err, out)
	}
}

func byOpenDKIM(t *testing.T, records []harness.Record, message []byte) {
	if _, err := exec.LookPath("opendkim"); err != nil {
		t.Skip("OpenDKIM is not installed")
	}
	dir := t.TempDir()
	var keys strings.Builder
	for name, value := range keysOf(records) {
		fmt.Fprintf(&keys, "%s %s\n", name, value)
	}
	write(t, filepath.Join(dir, "keys"), []byte(keys.String()))
	write(t, filepath.Join(dir, "message"), rsaOnly(message))
	write(t, filepath.Join(dir, "conf"), fmt.Appendf(nil, "Mode v\nTestPublicKeys %s\nSyslog no\n", filepath.Join(dir, "keys")))
	out, err := exec.Command("opendkim", "-x", filepath.Join(dir, "conf"), "-t", filepath.Join(dir, "message"), "-vv").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "succeeded") {
		t.Errorf("%v: %s", err, out)
	}
}

// rsaOnly takes the Ed25519 signature away: OpenDKIM's releases do not know it and judge
// a message by its first signature.
func rsaOnly(message []byte) []byte {
	var kept []byte
	head, body, _ := bytes.Cut(message, []byte("\r\n\r\n"))
	for _, field := range fields(head) {
		if !bytes.HasPrefix(field, []byte("DKIM-Signature:")) || !bytes.Contains(field, []byte("a=ed25519")) {
			kept = append(kept, field...)
		}
	}
	return append(append(kept, "\r\n"...), body...)
}

// fields splits a header into its fields, folded lines included.
func fields(head []byte) (all [][]byte) {
	for line := range bytes.Lines(append(head[:len(head):len(head)], "\r\n"...)) {
		if len(all) > 0 && (line[0] == ' ' || line[0] == '\t') {
			all[len(all)-1] = append(all[len(all)-1], line...)
		} else {
			all = append(all, slices.Clone(line))
		}
	}
	return all
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
