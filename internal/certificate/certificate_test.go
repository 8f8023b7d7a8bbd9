package certificate_test

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/certificate"
)

var noon = time.Date(2026, 4, 19, 12, 0, 0, 0, time.UTC)

func serial(t *testing.T, get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) string {
	t.Helper()
	c, err := get(&tls.ClientHelloInfo{ServerName: "whoever.test"})
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf.SerialNumber.String()
}

func TestOurOwnCertificateIsKeptUntilItMustBeAnother(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "own.pem")
	open := func(host string, at time.Time) string {
		own, err := certificate.Own(file, host, at, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return serial(t, own.Get)
	}
	first := open("mail.acme.test", noon)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if again := open("mail.acme.test", noon.Add(500*24*time.Hour)); again != first {
		t.Error("it was made anew")
	}
	renewed := open("mail.acme.test", noon.Add(680*24*time.Hour))
	if renewed == first {
		t.Error("it is about to end and was kept")
	}
	if other := open("mx.acme.test", noon.Add(680*24*time.Hour)); other == renewed {
		t.Error("it is another host's and was kept")
	}
	if err := os.WriteFile(file, []byte("half a certif"), 0o600); err != nil {
		t.Fatal(err)
	}
	open("mx.acme.test", noon)
	if _, err := certificate.Own(filepath.Join(t.TempDir(), "no", "such", "directory.pem"), "a.test", noon, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a certificate that cannot be kept")
	}
}

func TestFilesAreReadAgainWhenTheyChangeAndTheLastGoodOnesStay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	put := func(name string, at time.Time) {
		own := filepath.Join(dir, name)
		if _, err := certificate.Own(own, name, time.Now(), slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(own)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range []string{cert, key} {
			if err := os.WriteFile(f, text, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(f, at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	put("a.test", noon)
	var log bytes.Buffer
	pair, err := certificate.Files(cert, key, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	first := serial(t, pair.Get)
	pair.Refresh()
	if serial(t, pair.Get) != first || log.Len() > 0 {
		t.Errorf("read again for nothing: %s", &log)
	}
	put("b.test", noon.Add(time.Hour))
	pair.Refresh()
	second := serial(t, pair.Get)
	if second == first {
		t.Error("the new one is not used")
	}
	if err := os.WriteFile(key, []byte("half a k"), 0o600); err != nil {
		t.Fatal(err)
	}
	pair.Refresh()
	if serial(t, pair.Get) != second || !strings.Contains(log.String(), "the last good one stays") {
		t.Errorf("log: %s", &log)
	}
	if _, err := certificate.Files(cert, key, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), key) {
		t.Errorf("got %v", err)
	}
}

func TestWhoseNamesArePublic(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{"mail.example.com": true, "localhost": false, "mail": false, "mail.corp.internal": false, "192.0.2.1": false, "mail.acme.test": false, "mail.local": false} {
		if certificate.Public(host) != want {
			t.Errorf("%s: %v", host, !want)
		}
	}
}

func TestWhatCannotBeRenewedStaysAndIsTold(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "kept")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	own, err := certificate.Own(filepath.Join(dir, "own.pem"), "mail.acme.test", noon, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	first := serial(t, own.Get)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	own.Refresh(noon.Add(680 * 24 * time.Hour))
	if serial(t, own.Get) != first || !strings.Contains(log.String(), "the last one stays") {
		t.Errorf("log: %s", &log)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if own.Refresh(noon.Add(681 * 24 * time.Hour)); serial(t, own.Get) == first {
		t.Error("it is not tried again")
	}
}
