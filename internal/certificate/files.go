package certificate

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// Pair is a certificate in two files of the operator's.
type Pair struct {
	certFile, keyFile string
	log               *slog.Logger
	now               atomic.Pointer[tls.Certificate]
	seen              stamps
}

// stamps are what tells that a file was changed.
type stamps struct {
	cert, key         time.Time
	certSize, keySize int64
}

// Files reads a certificate, with those that vouch for it, and its key, both in PEM.
func Files(certFile, keyFile string, log *slog.Logger) (*Pair, error) {
	p := &Pair{certFile: certFile, keyFile: keyFile, log: log}
	seen, err := p.look()
	if err == nil {
		p.seen = seen
		err = p.read()
	}
	if err != nil {
		return nil, fmt.Errorf("the certificate in %s and its key in %s: %w", certFile, keyFile, err)
	}
	return p, nil
}

// Get gives the certificate.
func (p *Pair) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.now.Load(), nil }

// reloadEvery is how soon a renewed certificate is used.
const reloadEvery = 10 * time.Second

// Run reads the files again when they changed. While they do not fit together the last
// good ones are used.
func (p *Pair) Run(ctx context.Context) error {
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			p.Refresh()
		}
	}
}

// Refresh looks at the files now.
func (p *Pair) Refresh() {
	seen, err := p.look()
	if err == nil && seen == p.seen {
		return
	}
	if err == nil {
		err = p.read()
	}
	if err != nil {
		p.log.Error("read the certificate again; the last good one stays", "file", p.certFile, "error", err)
		return
	}
	p.seen = seen
	p.log.Info("a new certificate is used", "file", p.certFile, "until", p.now.Load().Leaf.NotAfter)
}

func (p *Pair) look() (s stamps, err error) {
	for _, f := range []struct {
		file string
		at   *time.Time
		size *int64
	}{{p.certFile, &s.cert, &s.certSize}, {p.keyFile, &s.key, &s.keySize}} {
		info, err := os.Stat(f.file)
		if err != nil {
			return s, err
		}
		*f.at, *f.size = info.ModTime(), info.Size()
	}
	return s, nil
}

func (p *Pair) read() error {
	c, err := tls.LoadX509KeyPair(p.certFile, p.keyFile)
	if err != nil {
		return err
	}
	p.now.Store(&c)
	return nil
}
