package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/certificate"
	"github.com/postroad/postroad/internal/config"
	"github.com/postroad/postroad/internal/smtpd"
)

// submissionDoor is the SMTP door with its listeners and its certificate.
type submissionDoor struct {
	server *smtpd.Server
	plain  net.Listener // STARTTLS; nil: closed
	secure net.Listener // TLS from the start; nil: closed
	cert   keeper
}

// keeper has a certificate and keeps it up to date.
type keeper interface {
	Get(*tls.ClientHelloInfo) (*tls.Certificate, error)
	Run(ctx context.Context) error
}

// openSubmission takes the door's addresses and reads its certificate.
func openSubmission(s *config.Settings, now func() time.Time, log *slog.Logger) (d *submissionDoor, err error) {
	d = &submissionDoor{}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if d.cert, err = findCertificate(s, now(), log); err != nil {
		return nil, err
	}
	for _, door := range []struct {
		key, addr string
		to        *net.Listener
	}{{"POSTROAD_SUBMISSION_ADDR", s.Submission.Addr, &d.plain}, {"POSTROAD_SUBMISSIONS_ADDR", s.Submission.TLSAddr, &d.secure}} {
		if door.addr == "" {
			continue
		}
		l, _, err := listen(door.addr, door.key)
		if err != nil {
			return nil, fmt.Errorf("SMTP submission: %w; 'off' closes this door", err)
		}
		*door.to = l
	}
	return d, nil
}

// findCertificate is the operator's, an authority's, or our own.
func findCertificate(s *config.Settings, now time.Time, log *slog.Logger) (keeper, error) {
	b := &s.Submission
	if b.TLSCert != "" {
		return certificate.Files(b.TLSCert, b.TLSKey, log)
	}
	own, err := certificate.Own(filepath.Join(s.Storage.DataDir, "submission.pem"), s.Delivery.Hostname, now, log)
	if err != nil || b.ACMEEmail == "" {
		return own, err
	}
	return certificate.Managed(certificate.ManagedOptions{Host: s.Delivery.Hostname, Email: b.ACMEEmail, Directory: b.ACMEDirectory,
		Dir: filepath.Join(s.Storage.DataDir, "acme"), Meanwhile: own, Log: log}), nil
}

// build makes the server, once the parts it needs are there.
func (d *submissionDoor) build(s *config.Settings, o smtpd.Options) {
	o.Hostname, o.MaxSize = s.Delivery.Hostname, int64(s.HTTP.MaxBody)
	o.Connections, o.PerAddress = s.Submission.Connections, s.Submission.PerAddress
	o.TLS = tlsOf(d.cert)
	d.server = smtpd.New(o)
}

// run serves the listeners and keeps the certificate.
func (d *submissionDoor) run(upkeep, doors *group) {
	upkeep.run("certificate", d.cert.Run)
	if d.plain != nil {
		doors.run("smtp", serving(d.server, d.plain, false))
	}
	if d.secure != nil {
		doors.run("smtp over TLS", serving(d.server, d.secure, true))
	}
}

// serving is the run of one listener of an SMTP door.
func serving(server *smtpd.Server, l net.Listener, implicit bool) func(context.Context) error {
	return func(ctx context.Context) error {
		err := server.Serve(l, implicit)
		if err == nil {
			<-ctx.Done() // its owner is closing it, and ends us after that
		}
		return err
	}
}

// shutDown lets what is under way finish for at most so long, or until the hard stop; nil: the
// door was closed all the time.
func shutDown(hard context.Context, server *smtpd.Server, limit time.Duration) {
	if server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(hard, limit)
	defer cancel()
	server.Shutdown(ctx)
}

// tlsOf has a server show the certificate that is kept now.
func tlsOf(cert keeper) *tls.Config {
	return &tls.Config{GetCertificate: cert.Get, MinVersion: tls.VersionTLS12}
}

// close gives the addresses back; the server did, unless it never ran.
func (d *submissionDoor) close() {
	if d == nil {
		return
	}
	for _, l := range []net.Listener{d.plain, d.secure} {
		if l != nil {
			_ = l.Close()
		}
	}
}

// addresses are where the door listens: mail must not be delivered there.
func (d *submissionDoor) addresses() (all []netip.AddrPort) {
	for _, l := range []net.Listener{d.plain, d.secure} {
		if l != nil {
			all = append(all, l.Addr().(*net.TCPAddr).AddrPort())
		}
	}
	return all
}

// String tells people where the door is; "" when it is closed.
func (d *submissionDoor) String() string {
	var all []string
	if d.plain != nil {
		all = append(all, d.plain.Addr().String())
	}
	if d.secure != nil {
		all = append(all, d.secure.Addr().String()+" (TLS)")
	}
	return strings.Join(all, ", ")
}
