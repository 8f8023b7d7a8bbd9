package report

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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
	o         Options
	counts    counts
	unmatched allowance
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
	return strings.EqualFold(to.Domain(), s.o.Hostname) && isOffice(local)
}

func isOffice(local string) bool {
	return slices.ContainsFunc(offices[:], func(office string) bool { return strings.EqualFold(local, office) })
}

// Take records what a letter means. When it returns nil, that is on disk. An error is
// temporary: whoever brought it should bring it again. mail.ErrStale (a delivery is on the
// wire) and [ErrTooMany] are no fault of ours.
func (s *Service) Take(ctx context.Context, l *Letter) error {
	rep := feedback.ReadReport(l.Content)
	unsubscribed, err := s.unsubscribe(ctx, l, &rep)
	if err != nil {
		return err
	}
	proofs := s.proofs(l, &rep)
	switch {
	case rep.Kind == feedback.KindAutoReply && !s.toOffice(l): // people's programs answer our return path; who writes to an office means it
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

// takeFor records what a letter says of the deliveries that one token stands for. It waits for
// those that are on the wire: a site may bounce faster than we settle what it said.
func (s *Service) takeFor(ctx context.Context, l *Letter, rep *feedback.Report, p proof) error {
	patience := time.NewTimer(s.o.Patience)
	defer patience.Stop()
	for wait := again; ; wait = min(2*wait, time.Second) {
		err := s.tryFor(ctx, l, rep, p)
		if !errors.Is(err, mail.ErrStale) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-patience.C:
			return err
		case <-time.After(wait):
		}
	}
}

// tryFor is takeFor as things stand: mail.ErrStale, and nothing is recorded, while the wire
// may still change them.
func (s *Service) tryFor(ctx context.Context, l *Letter, rep *feedback.Report, p proof) error {
	c, err := s.o.Store.Copies(ctx, p.delivery, p.path)
	if errors.Is(err, mail.ErrNotFound) { // retention or an erasure was there: nothing of it may come back
		s.counts.add(string(rep.Kind), string(queue.EffectGone))
		return nil
	}
	if err != nil {
		return fmt.Errorf("find what a report is about: %w", err)
	}
	record := s.record(l, rep, p)
	record.Message = c.Message
	r := queue.Report{Record: record}
	r.Outcomes, record.Items, record.Why = judge(&c, rep, record.At)
	if record.Why != "" {
		if c.Pending {
			return fmt.Errorf("who shares the copy is not settled: %w", mail.ErrStale)
		}
		record.Letter = keptOf(l)
	}
	if optsOut(rep) {
		if err := s.optOut(ctx, rep, &c); err != nil {
			return err
		}
	}
	done, err := s.o.Store.Report(ctx, record.At, r)
	if err != nil {
		return fmt.Errorf("record a report: %w", err)
	}
	s.tell(rep, record, &c, done)
	return nil
}

// record is what is kept of any letter. Its digest is also of the token: to two return paths
// of a message it may come as one letter.
func (s *Service) record(l *Letter, rep *feedback.Report, p proof) *feedback.Record {
	now := s.o.Now()
	h := sha256.New()
	fmt.Fprintf(h, "%d\n", p.delivery)
	_, _ = h.Write(l.Content)
	r := &feedback.Record{ID: mail.NewID(now), At: now, Kind: rep.Kind, Digest: [32]byte(h.Sum(nil)), Size: l.Size}
	if rep.Complaint != nil {
		r.Feedback = rep.Complaint.Type
	}
	return r
}

// keepUnmatched keeps a letter that changes nothing.
func (s *Service) keepUnmatched(ctx context.Context, l *Letter, rep *feedback.Report, why string) error {
	if ok, tell := s.unmatched.take(s.o.Now()); !ok {
		s.counts.add(string(rep.Kind), "put_off")
		if tell {
			s.o.Log.Warn("too many mails come that nobody understands: their senders are asked to come again later")
		}
		return ErrTooMany
	}
	r := s.record(l, rep, proof{})
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
