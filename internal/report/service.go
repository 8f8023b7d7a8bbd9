package report

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
	"github.com/postroad/postroad/internal/tracking"
)

// Options are the parts a [Service] works with. All but Now, Log and Patience are needed.
type Options struct {
	Store    Store
	Paths    *feedback.Tokens // of return paths
	Links    *tracking.Tokens // of unsubscribes
	Wishes   Wishes
	Hostname string // ours: whose abuse@, fbl@ and postmaster@ are read
	Now      func() time.Time
	Log      *slog.Logger

	// Patience is how long a letter about a delivery that is on the wire is held until that is
	// settled; then the sender is asked to come again. 0 = 15 s.
	Patience time.Duration
}

// Wishes has recipients written to no more: feedback.Service.
type Wishes interface {
	Unsubscribe(ctx context.Context, delivery int64, method string, everything bool) (feedback.Recipient, error)
}

// Service takes in letters. Safe for concurrent use.
type Service struct {
	o      Options
	counts counts
}

const (
	patience = 15 * time.Second
	again    = 50 * time.Millisecond // between looks at a delivery on the wire, at first
)

// New builds a service.
func New(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Patience == 0 {
		o.Patience = patience
	}
	return &Service{o: o, counts: counts{by: map[Count]int64{}}}
}

// offices are the local parts at our own hostname that must be read (RFC 5321 §4.5.1,
// RFC 2142 §4), and the one that feedback loops are commonly pointed at.
var offices = [...]string{"postmaster", "abuse", "fbl"}

// Welcome tells whether mail to an address is taken in: return paths and unsubscribe addresses
// that we signed, at any host, and the offices of ours.
func (s *Service) Welcome(to mail.Address) bool {
	local := to.Local()
	if _, ok := s.o.Paths.Parse(local); ok {
		return true
	}
	if _, ok := s.o.Links.ParseMailto(local); ok {
		return true
	}
	if !strings.EqualFold(to.Domain(), s.o.Hostname) {
		return false
	}
	for _, office := range offices {
		if strings.EqualFold(local, office) {
			return true
		}
	}
	return false
}

// Take records what a letter means. When it returns nil, that is on disk. An error is
// temporary: whoever brought it should bring it again.
func (s *Service) Take(ctx context.Context, l *Letter) error {
	rep := feedback.ReadReport(l.Content)
	unsubscribed, err := s.unsubscribe(ctx, l, &rep)
	if err != nil {
		return err
	}
	proofs := s.proofs(l, &rep)
	switch {
	case rep.Kind == feedback.KindAutoReply:
		s.counts.add(string(rep.Kind), "ignored")
		return nil
	case len(proofs) == 0 && unsubscribed:
		return nil
	case len(proofs) == 0:
		return s.keepUnmatched(ctx, l, &rep, "no address in it has a token of ours")
	}
	for _, p := range proofs {
		if err := s.takeFor(ctx, l, &rep, p); err != nil {
			return err
		}
	}
	return nil
}

// takeFor records what a letter says of the deliveries that one token stands for.
func (s *Service) takeFor(ctx context.Context, l *Letter, rep *feedback.Report, p proof) error {
	c, err := s.o.Store.Copies(ctx, p.delivery, p.path)
	if errors.Is(err, mail.ErrNotFound) { // retention or an erasure was there: nothing of it may come back
		s.counts.add(string(rep.Kind), string(queue.EffectGone))
		return nil
	}
	if err != nil {
		return fmt.Errorf("find what a report is about: %w", err)
	}
	if rep.Kind == feedback.KindComplaint && rep.Complaint != nil && rep.Complaint.Type == "opt-out" {
		if err := s.optOut(ctx, rep, &c); err != nil {
			return err
		}
	}
	record := s.record(l, rep)
	record.Message = c.Message
	r := queue.Report{Record: record}
	now := s.o.Now()
	var why string
	r.Outcomes, record.Items, why = judge(&c, rep, now)
	if record.Why = why; why != "" {
		record.Letter = keptOf(l)
	}
	done, err := s.commit(ctx, now, r)
	if err != nil {
		return fmt.Errorf("record a report: %w", err)
	}
	s.tell(rep, record, &c, done)
	return nil
}

// commit waits for deliveries that are on the wire: a site may bounce faster than we settle
// what it said.
func (s *Service) commit(ctx context.Context, now time.Time, r queue.Report) (queue.Recorded, error) {
	patience := time.NewTimer(s.o.Patience)
	defer patience.Stop()
	for wait := again; ; wait = min(2*wait, time.Second) {
		done, err := s.o.Store.Report(ctx, now, r)
		if !errors.Is(err, mail.ErrStale) {
			return done, err
		}
		select {
		case <-ctx.Done():
			return done, err
		case <-patience.C:
			return done, err
		case <-time.After(wait):
		}
	}
}

// record is what is kept of any letter.
func (s *Service) record(l *Letter, rep *feedback.Report) *feedback.Record {
	now := s.o.Now()
	r := &feedback.Record{ID: mail.NewID(now), At: now, Kind: rep.Kind, Digest: sha256.Sum256(l.Content), Size: l.Size}
	if rep.Complaint != nil {
		r.Feedback = rep.Complaint.Type
	}
	return r
}

// keepUnmatched keeps a letter that changes nothing.
func (s *Service) keepUnmatched(ctx context.Context, l *Letter, rep *feedback.Report, why string) error {
	r := s.record(l, rep)
	r.Why, r.Letter = why, keptOf(l)
	done, err := s.o.Store.Report(ctx, r.At, queue.Report{Record: r})
	if err != nil {
		return fmt.Errorf("keep a report: %w", err)
	}
	s.tell(rep, r, nil, done)
	return nil
}

// tell counts a letter, and logs one that was not understood.
func (s *Service) tell(rep *feedback.Report, r *feedback.Record, c *Copies, done queue.Recorded) {
	kind := string(rep.Kind)
	if done.Again {
		s.counts.add(kind, "again")
		return
	}
	for _, effect := range done.Effects {
		s.counts.add(kind, string(effect))
	}
	switch {
	case r.Why != "":
		s.counts.add(kind, "unmatched")
		args := []any{"kind", kind, "why", r.Why, "report_id", r.ID.Text(mail.PrefixReport), "bytes", r.Size}
		if c != nil {
			args = append(args, "message_id", c.MessageID.Text(mail.PrefixMessage))
		}
		s.o.Log.Warn("a mail that came back was not understood; `postroad reports show` prints it", args...)
	case len(done.Effects) == 0:
		s.counts.add(kind, "informative")
	}
}

// keptOf is a letter as it is kept: the envelope as header lines, and how it begins.
func keptOf(l *Letter) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "Return-Path: <%s>\r\n", l.From)
	for _, to := range l.To {
		fmt.Fprintf(&b, "Delivered-To: <%s>\r\n", to)
	}
	fmt.Fprintf(&b, "Received: from %s ([%s]); %s\r\n", oneLine(l.Helo), l.Client, l.Arrived.UTC().Format(time.RFC1123Z))
	room := feedback.LetterKept - b.Len()
	return append([]byte(b.String()), l.Content[:max(0, min(len(l.Content), room))]...)
}

// oneLine keeps a client's own name from making lines of its own.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// List gives records, newest first, those before a row (0: from the newest).
func (s *Service) List(ctx context.Context, before int64, limit int) ([]feedback.Record, error) {
	return s.o.Store.Reports(ctx, before, limit)
}
