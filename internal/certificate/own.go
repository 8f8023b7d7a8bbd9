package certificate

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"
)

const (
	ownLife    = 2 * 365 * 24 * time.Hour
	renewAhead = 60 * 24 * time.Hour // of its end
	lookEvery  = 12 * time.Hour
)

// Self is a self-signed certificate.
type Self struct {
	file, host string
	log        *slog.Logger
	now        atomic.Pointer[tls.Certificate]
}

// Own reads the self-signed certificate of a host from a file, or makes one and writes it
// there (with its key, readable for us only) when there is none, when it is another host's
// or when it is about to end.
func Own(file, host string, now time.Time, log *slog.Logger) (*Self, error) {
	s := &Self{file: file, host: host, log: log}
	return s, s.renew(now)
}

// Get gives the certificate.
func (s *Self) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.now.Load(), nil }

// Run makes a new one in time. Trouble is logged and tried again: the old one is good for
// a while, and no reason to end the server.
func (s *Self) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case at := <-tick.C:
			s.Refresh(at)
		}
	}
}

// Refresh makes a new one if it is time.
func (s *Self) Refresh(now time.Time) {
	if err := s.renew(now); err != nil {
		s.log.Error("renew our own certificate; the last one stays", "file", s.file, "until", s.now.Load().Leaf.NotAfter, "error", err)
	}
}

func (s *Self) renew(now time.Time) error {
	c, err := readBoth(s.file)
	if err == nil && slices.Contains(c.Leaf.DNSNames, s.host) && now.Before(c.Leaf.NotAfter.Add(-renewAhead)) {
		s.now.Store(c)
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errUnreadable) {
		return fmt.Errorf("read our own certificate: %w", err)
	}
	text, err := makeOwn(s.host, now)
	if err == nil {
		err = writePrivate(s.file, text)
	}
	if err == nil {
		c, err = readBoth(s.file)
	}
	if err != nil {
		return fmt.Errorf("make our own certificate: %w", err)
	}
	s.now.Store(c)
	return nil
}

var errUnreadable = errors.New("this is no certificate with its key")

// readBoth reads a file with a certificate and its key.
func readBoth(file string) (*tls.Certificate, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	c, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return &c, nil
}

func makeOwn(host string, now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: host[:min(len(host), 64)]}, DNSNames: []string{host, "localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(ownLife),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA: true, BasicConstraintsValid: true, // so that a client can be told to trust just it
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	_ = pem.Encode(&text, &pem.Block{Type: "PRIVATE KEY", Bytes: private})
	return text.Bytes(), nil
}

// writePrivate puts a file in place whole.
func writePrivate(file string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".certificate-") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
