package smtpd

import (
	"context"
	"crypto/tls"
	"log/slog"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/report"
)

// Reports decides about mail to our own addresses. report.Service is one. Its methods are
// called from many goroutines.
type Reports interface {
	// Welcome tells whether mail to this address is taken in. It is asked for every RCPT of
	// anybody on the Internet, and so it is cheap.
	Welcome(to mail.Address) bool
	// Take records what a letter means, in one commit. Nil: it is on disk, and the sender
	// forgets the letter. An error is temporary: the sender keeps it, and sends it again.
	// mail.ErrStale and report.ErrTooMany are no faults of ours.
	// The same letter may come twice: a 250 can get lost.
	Take(ctx context.Context, l *report.Letter) error
}

// InboundOptions are the parts a Server for reports works with. Reports and Hostname are
// needed.
type InboundOptions struct {
	Reports Reports
	// Pressure tells why no mail is taken in now, before any content is read; nil: there is
	// always room.
	Pressure func(now time.Time) *mail.Error
	TLS      *tls.Config // nil: STARTTLS is not offered
	Hostname string      // who greets; postmaster's host
	Now      func() time.Time
	Log      *slog.Logger

	// MaxSize is octets of a mail; 0 = 100 MB: one of the largest that we send can come
	// back whole, in another encoding. At most report.MaxContent of it is kept.
	MaxSize     int64
	Connections int // at a time; 0 = 1000
	PerAddress  int // of them from one client address; 0 = 50
	Contents    int // over 64 KB in memory at the same time, report.MaxContent each; 0 = 32

	// How long a client may take. Zero: the defaults, in this order 30 m, 5 m, 1 m, 15 m.
	Session time.Duration // to begin a last transaction, from the greeting
	Idle    time.Duration // for one command (RFC 5321 §4.5.3.2.7)
	Pace    time.Duration // for each 64 KB of content
	Content time.Duration // for a whole content

	// Grace is how long who came, named a recipient that is welcome or handed in a letter
	// keeps the place when there is no other, and a large content its memory; 0 = 5 s.
	Grace time.Duration
}

const (
	maxReport      = 2 * MaxSize
	graceOnReports = 5 * time.Second
)

// NewInbound builds a Server for reports: no AUTH, and nothing is taken in but mail to the
// addresses that are welcome. It passes nothing on to anybody.
func NewInbound(o InboundOptions) *Server {
	if o.Contents == 0 {
		o.Contents = 32
	}
	if o.Grace == 0 {
		o.Grace = graceOnReports
	}
	memory := newRoom(o.Contents, o.Grace)
	return newServer(kind{
		role:     func(s *session) role { return &reception{session: s, reports: o.Reports, memory: memory} },
		grace:    o.Grace,
		help:     replyOffice,
		tooLarge: replyHuge,
	}, o.common())
}

// common are the options that both kinds of door have.
func (o *InboundOptions) common() Options {
	c := Options{Pressure: o.Pressure, TLS: o.TLS, Hostname: o.Hostname, Now: o.Now, Log: o.Log, MaxSize: o.MaxSize, Connections: o.Connections, PerAddress: o.PerAddress,
		Unknown: o.Session, Idle: o.Idle, Pace: o.Pace, Content: o.Content}
	if c.MaxSize == 0 {
		c.MaxSize = maxReport
	}
	if c.PerAddress == 0 {
		c.PerAddress = 50
	}
	if c.Unknown == 0 {
		c.Unknown = 30 * time.Minute
	}
	if c.Content == 0 {
		c.Content = 15 * time.Minute
	}
	return c
}
