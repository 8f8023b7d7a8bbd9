package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// ManagedOptions say whose certificate is wanted from whom.
type ManagedOptions struct {
	Host      string
	Email     string         // of the account
	Directory string         // of the authority; "" = Let's Encrypt
	Dir       string         // where account, keys and certificates are kept
	Meanwhile *Self          // used until there is one
	Roots     *x509.CertPool // trusted to be the authority; nil: the system's
	Log       *slog.Logger

	// HTTPPort and TLSPort are where the authority's challenges are answered; 0 = 80 and
	// 443. Both need to be reachable from outside under Host at those two, if need be by
	// forwarding.
	HTTPPort, TLSPort int
}

// Authority is a certificate that an ACME authority gives and renews.
type Authority struct {
	o     ManagedOptions
	cache *certmagic.Cache
	magic *certmagic.Config
}

// Public tells whether an authority could give this host a certificate: it has a name of
// the public DNS.
func Public(host string) bool {
	if net.ParseIP(host) != nil || !strings.Contains(host, ".") {
		return false
	}
	switch top := host[strings.LastIndexByte(host, '.')+1:]; top {
	case "local", "localhost", "internal", "test", "example", "invalid", "lan", "home", "arpa", "onion":
		return false
	}
	return true
}

// Managed gets the certificate of a host by ACME, once Run runs.
func Managed(o ManagedOptions) *Authority {
	a := &Authority{o: o}
	log := zap.New(slogCore{o.Log})
	a.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return a.magic, nil },
		Logger:           log,
	})
	a.magic = certmagic.New(a.cache, certmagic.Config{Storage: &certmagic.FileStorage{Path: o.Dir}, Logger: log, OCSP: certmagic.OCSPConfig{DisableStapling: true}})
	issuer := certmagic.ACMEIssuer{CA: o.Directory, Email: o.Email, Agreed: true, Logger: log, TrustedRoots: o.Roots, AltHTTPPort: o.HTTPPort, AltTLSALPNPort: o.TLSPort}
	if o.Directory == "" {
		issuer.CA = certmagic.LetsEncryptProductionCA
	}
	a.magic.Issuers = []certmagic.Issuer{certmagic.NewACMEIssuer(a.magic, issuer)}
	return a
}

// Get gives the authority's certificate, or the one for meanwhile.
func (a *Authority) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	asked := *hello
	asked.ServerName = a.o.Host // clients of mail often name another host, or none
	if c, err := a.magic.GetCertificate(&asked); err == nil {
		return c, nil
	}
	return a.o.Meanwhile.Get(hello)
}

// Run gets and renews it. Trouble is logged and tried again; it never ends the server.
func (a *Authority) Run(ctx context.Context) error {
	defer a.cache.Stop()
	if err := a.magic.ManageAsync(ctx, []string{a.o.Host}); err != nil && !errors.Is(err, context.Canceled) {
		a.o.Log.Error("get a certificate by ACME", "host", a.o.Host, "error", err)
	}
	<-ctx.Done()
	return nil
}

// slogCore hands certmagic's log to ours. Its news is for those who debug; its warnings
// are ours.
type slogCore struct{ log *slog.Logger }

func (c slogCore) Enabled(level zapcore.Level) bool { return level >= zapcore.InfoLevel }

func (c slogCore) With(fields []zapcore.Field) zapcore.Core {
	return slogCore{c.log.With(attributes(fields)...)}
}

func (c slogCore) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return to.AddCore(e, c)
	}
	return to
}

func (c slogCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	level := slog.LevelDebug
	switch {
	case e.Level >= zapcore.ErrorLevel:
		level = slog.LevelError
	case e.Level >= zapcore.WarnLevel:
		level = slog.LevelWarn
	}
	c.log.Log(context.Background(), level, "ACME: "+e.Message, attributes(fields)...)
	return nil
}

func (c slogCore) Sync() error { return nil }

func attributes(fields []zapcore.Field) (out []any) {
	to := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(to)
	}
	for name, value := range to.Fields {
		out = append(out, name, fmt.Sprint(value))
	}
	return out
}
