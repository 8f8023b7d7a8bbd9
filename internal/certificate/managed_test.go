package certificate_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/postroad/postroad/internal/certificate"
)

// authority is an ACME server (RFC 8555) that believes everybody: names are theirs without
// a challenge, signatures are not looked at.
type authority struct {
	*httptest.Server
	t      *testing.T
	key    *ecdsa.PrivateKey
	root   *x509.Certificate
	issued atomic.Pointer[[]byte]
	orders atomic.Int64
	closed atomic.Bool // refuses everything
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	a.root = &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority.test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, a.root, a.root, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.root, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.Server = httptest.NewTLSServer(http.HandlerFunc(a.serve))
	t.Cleanup(a.Close)
	return a
}

func (a *authority) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Replay-Nonce", fmt.Sprint(time.Now().UnixNano()))
	if a.closed.Load() {
		http.Error(w, "closed", http.StatusServiceUnavailable)
		return
	}
	order := map[string]any{"status": "ready", "identifiers": []any{map[string]any{"type": "dns", "value": "mail.acme.test"}}, "authorizations": []any{a.URL + "/authz"}, "finalize": a.URL + "/finalize"}
	say := func(status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.MarshalWrite(w, v)
	}
	switch r.URL.Path {
	case "/dir":
		say(200, map[string]any{"newNonce": a.URL + "/nonce", "newAccount": a.URL + "/account", "newOrder": a.URL + "/order", "revokeCert": a.URL + "/revoke", "keyChange": a.URL + "/change"})
	case "/nonce":
		w.WriteHeader(http.StatusOK)
	case "/account":
		w.Header().Set("Location", a.URL+"/account/1")
		say(201, map[string]any{"status": "valid"})
	case "/order":
		a.orders.Add(1)
		w.Header().Set("Location", a.URL+"/order/1")
		say(201, order)
	case "/authz":
		say(200, map[string]any{"status": "valid", "identifier": map[string]any{"type": "dns", "value": "mail.acme.test"}, "challenges": []any{}})
	case "/finalize":
		a.issue(r)
		order["status"], order["certificate"] = "valid", a.URL+"/certificate"
		w.Header().Set("Location", a.URL+"/order/1")
		say(200, order)
	case "/certificate":
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		_, _ = w.Write(*a.issued.Load())
	default:
		http.NotFound(w, r)
	}
}

// issue signs what a finalize asks for.
func (a *authority) issue(r *http.Request) {
	var jws struct{ Payload string }
	var body struct {
		CSR string `json:"csr"`
	}
	if err := json.UnmarshalRead(r.Body, &jws, json.MatchCaseInsensitiveNames(true)); err != nil {
		a.t.Error(err)
		return
	}
	payload, _ := base64.RawURLEncoding.DecodeString(jws.Payload)
	if err := json.Unmarshal(payload, &body); err != nil {
		a.t.Error(err)
		return
	}
	der, _ := base64.RawURLEncoding.DecodeString(body.CSR)
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		a.t.Error(err)
		return
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), DNSNames: csr.DNSNames, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(20 * time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, a.root, csr.PublicKey, a.key)
	if err != nil {
		a.t.Error(err)
		return
	}
	chain := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.root.Raw})...)
	a.issued.Store(&chain)
}

// shown is the certificate that a client sees who asks for a name.
func shown(t *testing.T, get func(*tls.ClientHelloInfo) (*tls.Certificate, error), name string) *x509.Certificate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			_ = tls.Server(c, &tls.Config{GetCertificate: get}).Handshake()
		}
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0]
}

func TestAnAuthorityGivesTheCertificateAndUntilThenOurOwnIsUsed(t *testing.T) {
	t.Parallel()
	dir, a := t.TempDir(), newAuthority(t)
	own, err := certificate.Own(filepath.Join(dir, "own.pem"), "mail.acme.test", time.Now(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate())
	begin := func() (*certificate.Authority, func()) {
		m := certificate.Managed(certificate.ManagedOptions{Host: "mail.acme.test", Email: "ops@acme.test", Directory: a.URL + "/dir", Dir: filepath.Join(dir, "acme"),
			Meanwhile: own, Log: slog.New(slog.DiscardHandler), Roots: roots, HTTPPort: 1, TLSPort: 1})
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- m.Run(ctx) }()
		return m, func() {
			cancel()
			select {
			case err := <-ended:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(time.Minute):
				t.Fatal("does not end")
			}
		}
	}
	a.closed.Store(true)
	m, stop := begin()
	if got := shown(t, m.Get, "mail.acme.test"); got.SerialNumber.String() != serial(t, own.Get) {
		t.Errorf("before: %v", got.SerialNumber)
	}
	stop()

	a.closed.Store(false)
	m, stop = begin()
	await := func() {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			if shown(t, m.Get, "another.test").SerialNumber.Int64() == 7 && shown(t, m.Get, "").SerialNumber.Int64() == 7 {
				return
			}
			if time.Now().After(end) {
				t.Fatal("no certificate came")
			}
		}
	}
	await()
	stop()
	a.closed.Store(true) // it is kept over a restart
	m, stop = begin()
	await()
	stop()
	if n := a.orders.Load(); n != 1 {
		t.Errorf("%d orders", n)
	}
}
