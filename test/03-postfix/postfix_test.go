package postfix

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/postroad/postroad/test/harness"
)

const text = "Thank you for your order, Zoë.\n.\nA line with a dot above.\nFrom here on: nothing.\n"

func TestPostfixTakesAMessageOverTLSAndKeepsItWhole(t *testing.T) {
	t.Parallel()
	world := harness.OpenWorld(t)
	dir := startPostfix(t, world.At("127.0.0.1"))
	if err := world.Route("site.test", "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	p := harness.Start(t, harness.Options{Env: world.Env()})
	if err := world.Verify(p, "acme.test", ""); err != nil {
		t.Fatal(err)
	}
	id := p.Send(t, harness.LiveKey, map[string]any{
		"from": "Acme <hello@acme.test>", "to": []string{"Zoë <zoe@site.test>", "ada@site.test"}, "subject": "Your order, Zoë", "text": text,
	})
	for _, to := range []string{"zoe@site.test", "ada@site.test"} {
		p.ExpectEvents(t, harness.LiveKey, id, to, "queued accepted delivered", 20*time.Second)
	}
	attempts := p.Attempts(t, harness.LiveKey, id)
	if tls := attempts[0].TLS; tls == nil || !strings.HasPrefix(tls.Version, "TLS") || tls.Verified {
		t.Errorf("TLS of the attempt: %+v; want encrypted, the certificate being self-signed not verified", tls)
	}
	kept := readMaildir(t, filepath.Join(dir, "mail", "inbox", "new"), 2)
	for _, received := range kept {
		compare(t, p, id, received)
		expectSigned(t, world, received)
	}
}

// startPostfix starts one that keeps mail for site.test in a maildir, or skips the test.
func startPostfix(t *testing.T, listen string) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "postroad-test-postfix-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(filepath.Join(dir, "mail"), 0o777), os.Chmod(filepath.Join(dir, "mail"), 0o777)); err != nil {
		t.Fatal(err)
	}
	certificate := selfSigned(t, dir)
	p, err := harness.StartPostfix(context.Background(), harness.PostfixOptions{Dir: dir, Listen: listen, Main: map[string]string{
		"virtual_mailbox_domains":   "site.test",
		"virtual_mailbox_maps":      "static:inbox/",
		"virtual_mailbox_base":      filepath.Join(dir, "mail"),
		"virtual_uid_maps":          "static:65534", // nobody
		"virtual_gid_maps":          "static:65534",
		"virtual_minimum_uid":       "100",
		"smtpd_tls_security_level":  "may",
		"smtpd_tls_chain_files":     certificate,
		"smtpd_tls_received_header": "yes",
		"mynetworks":                "192.0.2.1/32", // we are a stranger to it
	}})
	if errors.Is(err, harness.ErrNoPostfix) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// selfSigned writes a key and its certificate into one file.
func selfSigned(t *testing.T, dir string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "snakeoil.test"}, DNSNames: []string{"snakeoil.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "snakeoil.pem")
	chain := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})...)
	if err := os.WriteFile(name, chain, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// readMaildir waits for n messages and gives them with CRLF line ends.
func readMaildir(t *testing.T, dir string, n int) (all [][]byte) {
	t.Helper()
	var names []string
	for end := time.Now().Add(harness.Patience); len(names) < n; time.Sleep(20 * time.Millisecond) {
		names, _ = filepath.Glob(filepath.Join(dir, "*"))
		if time.Now().After(end) {
			t.Fatalf("%d of %d messages in %s", len(names), n, dir)
		}
	}
	for _, name := range names {
		received, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, bytes.ReplaceAll(received, []byte("\n"), []byte("\r\n")))
	}
	return all
}

// compare looks for the stored bytes, whole and unchanged, at the end of what Postfix kept.
func compare(t *testing.T, p *harness.Postroad, id string, received []byte) {
	t.Helper()
	raw := p.Must(t, 200, "GET", "/v1/messages/"+id+"/raw", harness.LiveKey, nil).Body
	if !bytes.HasSuffix(received, raw) {
		t.Errorf("Postfix kept\n%s\nwe have\n%s", received, raw)
	}
	m, err := mail.ReadMessage(bytes.NewReader(received))
	if err != nil {
		t.Fatal(err)
	}
	if trace := m.Header.Get("Received"); !strings.Contains(trace, "using TLSv1") || !strings.Contains(trace, "mail.postroad.test") {
		t.Errorf("Received: %s", trace)
	}
	if path := m.Header.Get("Return-Path"); !strings.HasPrefix(path, "<bounces+") {
		t.Errorf("Return-Path: %s", path)
	}
}

func expectSigned(t *testing.T, world *harness.World, received []byte) {
	t.Helper()
	checks, err := dkim.VerifyWithOptions(bytes.NewReader(received), &dkim.VerifyOptions{LookupTXT: world.LookupTXT})
	if err != nil || len(checks) != 2 {
		t.Fatalf("%d signatures, %v", len(checks), err)
	}
	for _, v := range checks {
		if v.Err != nil {
			t.Errorf("signature of %s: %v", v.Domain, v.Err)
		}
	}
}
