package retention

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/audit"
	"github.com/postroad/postroad/internal/mail"
)

const (
	restTimes = 2                // a step is followed by a rest of so many times its length
	restLeast = time.Millisecond // at least
	idleMost  = time.Second      // between two looks when nothing is due
	scrubWait = 15 * time.Second // under steady work the log is emptied so often
	troubled  = 5 * time.Second  // the rest after an error
	longBusy  = 5 * time.Minute  // a log in use for so long is worth a line
)

// Options are the parts a [Service] works with.
type Options struct {
	Store Store
	// Key makes tokens of addresses; the same on every node, and secret: who has it can
	// try addresses against a token.
	Key [32]byte
	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: slog.Default
}

// Service makes the store forget.
type Service struct {
	o Options
	// scrub: something was removed since the log was emptied. A past life's work counts.
	scrub    bool
	scrubbed time.Time // when it was emptied, or found in use
	since    time.Time // since when it is in use
}

// New makes a service; Run it.
func New(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Service{o: o, scrub: true}
}

// Run forgets until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	for {
		began := time.Now()
		rest, err := s.turn(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			s.o.Log.Error("forgetting does not go on", "error", err)
			rest = troubled
		}
		if rest == 0 {
			rest = max(restTimes*time.Since(began), restLeast)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(rest):
		}
	}
}

// turn makes one step of each kind, and tells how long nothing is due; 0: there is more.
func (s *Service) turn(ctx context.Context) (time.Duration, error) {
	now := s.o.Now()
	forgot, err := s.o.Store.Forget(ctx, now)
	if err != nil {
		return 0, err
	}
	erased, err := s.o.Store.Erase(ctx, now)
	if err != nil {
		return 0, err
	}
	s.scrub = s.scrub || forgot.Removed() || erased.Removed()
	next := forgot.Next
	if !erased.Next.IsZero() && erased.Next.Before(next) {
		next = erased.Next
	}
	rest := min(next.Sub(now), idleMost)
	if rest > 0 || now.Sub(s.scrubbed) > scrubWait {
		if err := s.scrubLog(ctx, now); err != nil {
			return 0, err
		}
	}
	return max(rest, 0), nil
}

// scrubLog empties the store's log when it may hold what was removed.
func (s *Service) scrubLog(ctx context.Context, now time.Time) error {
	if !s.scrub {
		return nil
	}
	s.scrubbed = now
	err := s.o.Store.Scrub(ctx)
	switch {
	case err == nil:
		s.scrub, s.since = false, time.Time{}
	case errors.Is(err, ErrBusy):
		if s.since.IsZero() {
			s.since = now
		}
		if now.Sub(s.since) > longBusy {
			s.o.Log.Warn("what was removed still stands in the store's log: a reader keeps it in use", "for", now.Sub(s.since).String())
			s.since = now
		}
		err = nil
	}
	return err
}

// Sweep forgets all that is due at now, without rests: for commands and tests.
func (s *Service) Sweep(ctx context.Context, now time.Time) (all Step, err error) {
	for _, step := range []func(context.Context, time.Time) (Step, error){s.o.Store.Erase, s.o.Store.Forget} {
		for {
			did, err := step(ctx, now)
			if err != nil {
				return all, err
			}
			all.add(did)
			if did.Next.IsZero() || did.Next.After(now) {
				break
			}
		}
	}
	return all, s.o.Store.Scrub(ctx)
}

func (s *Step) add(more Step) {
	s.Contents += more.Contents
	s.Messages += more.Messages
	s.Events += more.Events
	s.Erased += more.Erased
	s.Bytes += more.Bytes
	s.Next = more.Next
}

// Asked is what a caller wants forgotten.
type Asked struct {
	Project      int64
	Address      string // folded
	Suppressions bool
	By           string // "key_k7f2q9xm"
	Once         *mail.Once
}

// Order takes an order to forget an address. Run carries it out, within seconds when there
// is not much; what is being carried to the address right now is waited for.
func (s *Service) Order(ctx context.Context, a Asked, answer func(Erasure) mail.Answer) (Erasure, error) {
	now := s.o.Now()
	id := mail.NewID(now)
	audit.Changed(ctx, id.Text(mail.PrefixErasure), nil, map[string]bool{"suppressions": a.Suppressions})
	return s.o.Store.CreateErasure(ctx, Erasure{ID: id, Project: a.Project, Address: a.Address, Token: s.Token(a.Project, a.Address),
		Suppressions: a.Suppressions, By: a.By, CreatedAt: now}, a.Once, answer)
}

// Find tells how far an order is; mail.ErrNotFound when the project has no such one.
func (s *Service) Find(ctx context.Context, project int64, id string) (Erasure, error) {
	parsed, err := mail.ParseID(mail.PrefixErasure, id)
	if err != nil {
		return Erasure{}, mail.ErrNotFound
	}
	return s.o.Store.Erasure(ctx, project, parsed)
}

// Token is what stands where an address stood. It looks like an address, so that whatever
// shows recipients can show it; mail for it cannot go anywhere (RFC 2606 §2).
func (s *Service) Token(project int64, address string) string {
	mac := hmac.New(sha256.New, s.o.Key[:])
	mac.Write([]byte(strconv.FormatInt(project, 10) + " " + address))
	return "erased-" + hex.EncodeToString(mac.Sum(nil)[:10]) + erasedDomain
}

const erasedDomain = "@erased.invalid"

// Erased tells whether an address is the token of one that was forgotten.
func Erased(address string) bool { return strings.HasSuffix(address, erasedDomain) }

// Clear removes all of an owner's messages that have come to their end, in small steps, and
// tells how many. What still is on its way stays.
func (s *Service) Clear(ctx context.Context, owner mail.Owner) (messages int, err error) {
	for after := int64(0); ; {
		done, last, err := s.o.Store.Clear(ctx, owner, after)
		messages += done.Messages
		if err != nil || last == 0 {
			return messages, err
		}
		after = last
		select { // others write between two steps
		case <-ctx.Done():
			return messages, ctx.Err()
		case <-time.After(restLeast):
		}
	}
}
