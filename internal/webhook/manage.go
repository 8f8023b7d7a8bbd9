package webhook

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/audit"
	"github.com/postroad/postroad/internal/job"
	"github.com/postroad/postroad/internal/mail"
)

// NewEndpoint is what a caller says of an endpoint to make. Zero fields have defaults: format
// standard, ordering none, 50 a second, payload v1.
type NewEndpoint struct {
	URL          string
	Description  string
	Events       []string
	Names        []string // see Endpoint.Names
	Filters      Filters
	Redact       []string
	Payload      string
	Format       string
	Ordering     string
	MaxPerSecond int
	Headers      map[string]string
	Disabled     bool
	By           string // who asks, see project.Principal.By
}

// Edit is what may change of an endpoint; nil leaves it.
type Edit struct {
	URL, Description, Payload, Format, Ordering *string
	Events, Redact                              *[]string
	Names                                       []string // with Events: see Endpoint.Names
	Filters                                     *Filters
	MaxPerSecond                                *int
	Headers                                     *map[string]string
	IfVersion                                   int64 // 0 = any
	By                                          string
}

// Secrets are what signs an endpoint's requests, as its owner is shown them.
type Secrets struct {
	Secret     string
	Old        string // signs too until OldExpires; "" = none
	OldExpires time.Time
}

// Conflict says that an endpoint's state does not allow what was asked.
type Conflict struct {
	State   string // of the endpoint
	Message string // safe to show
}

func (e *Conflict) Error() string { return e.Message }

// Create makes an endpoint with its secret, owed what happens from now on. Faults are
// mail.Faults; a project that has [MaxEndpoints] is a fault too. What answer gives is kept under
// the once key: leave the secret out of it, it is given here.
func (s *Service) Create(ctx context.Context, owner mail.Owner, n NewEndpoint, once *mail.Once, answer func(Endpoint) mail.Answer) (Endpoint, string, error) {
	now := s.o.Now()
	e := Endpoint{ID: mail.NewID(now), Owner: owner, URL: n.URL, Description: n.Description, Events: n.Events, Names: n.Names, Filters: n.Filters, Redact: n.Redact,
		Payload: n.Payload, Format: n.Format, Ordering: n.Ordering, MaxPerSecond: n.MaxPerSecond, Headers: maps.Clone(n.Headers),
		Status: Enabled, CreatedAt: now, CreatedBy: n.By}
	if n.Disabled {
		e.Status, e.DisabledReason, e.DisabledAt = Disabled, "by "+n.By, now
	}
	e.complete()
	if err := s.judge(ctx, &e, true); err != nil {
		return Endpoint{}, "", err
	}
	secret := newSecret(e.Format)
	e.Secret = s.o.Ring.Seal([]byte(secret), secretLabel(e.ID))
	audit.Changed(ctx, e.ID.Text(PrefixEndpoint), nil, shapeOf(&e))
	kept, err := s.o.Store.CreateEndpoint(ctx, e, MaxEndpoints, once, answer)
	if err != nil {
		return Endpoint{}, "", tooMany(err)
	}
	s.changed(ctx, "webhook created", &kept, n.By)
	return kept, secret, nil
}

// newSecret makes one in the shape its format's receivers expect: 32 random bytes as
// Standard Webhooks writes them, or 32 hexadecimal digits.
func newSecret(format string) string {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	if format == FormatHyvor {
		return hex.EncodeToString(random[:16])
	}
	return secretPrefix + base64.StdEncoding.EncodeToString(random[:])
}

func secretLabel(id mail.ID) string { return "webhook secret " + id.Text(PrefixEndpoint) }

// List gives an owner's endpoints, oldest first: never more than [MaxEndpoints].
func (s *Service) List(ctx context.Context, owner mail.Owner) ([]Endpoint, error) {
	return s.o.Store.Endpoints(ctx, owner)
}

// Get gives one, or mail.ErrNotFound.
func (s *Service) Get(ctx context.Context, owner mail.Owner, id mail.ID) (Endpoint, error) {
	return s.o.Store.Endpoint(ctx, owner, id)
}

// Update changes an endpoint. What is under way goes to where it went; what is open goes to
// the new URL. Faults are mail.Faults; mail.ErrStale when it is at another version.
func (s *Service) Update(ctx context.Context, owner mail.Owner, id mail.ID, d Edit) (Endpoint, error) {
	return s.alter(ctx, owner, id, d.IfVersion, "webhook changed", d.By, func(e *Endpoint, c *Change) error {
		moved := d.URL != nil && *d.URL != e.URL
		for _, f := range []struct{ to, from *string }{{&e.URL, d.URL}, {&e.Description, d.Description}, {&e.Payload, d.Payload},
			{&e.Format, d.Format}, {&e.Ordering, d.Ordering}} {
			if f.from != nil {
				*f.to = *f.from
			}
		}
		for _, f := range []struct{ to, from *[]string }{{&e.Events, d.Events}, {&e.Redact, d.Redact}} {
			if f.from != nil {
				*f.to = *f.from
			}
		}
		if d.Events != nil {
			e.Names = d.Names
		}
		if d.Filters != nil {
			e.Filters = *d.Filters
		}
		if d.MaxPerSecond != nil {
			e.MaxPerSecond = *d.MaxPerSecond
		}
		if d.Headers != nil {
			e.Headers = maps.Clone(*d.Headers)
		}
		e.complete()
		return s.judge(ctx, e, moved)
	})
}

// alter reads an endpoint, alters it, and keeps it if nobody else did meanwhile; then it is
// tried again on what they made of it, unless the caller named a version.
func (s *Service) alter(ctx context.Context, owner mail.Owner, id mail.ID, ifVersion int64, what, by string, edit func(*Endpoint, *Change) error) (Endpoint, error) {
	for try := 0; ; try++ {
		e, err := s.o.Store.Endpoint(ctx, owner, id)
		if err != nil {
			return Endpoint{}, err
		}
		if ifVersion != 0 && e.Version != ifVersion {
			return Endpoint{}, mail.ErrStale
		}
		before := shapeOf(&e)
		var c Change
		if err := edit(&e, &c); err != nil {
			return Endpoint{}, err
		}
		c.Endpoint = e
		audit.Changed(ctx, e.ID.Text(PrefixEndpoint), before, shapeOf(&e))
		kept, err := s.o.Store.ChangeEndpoint(ctx, c)
		if err == mail.ErrStale && ifVersion == 0 && try < 5 {
			continue
		}
		if err == nil {
			s.changed(ctx, what, &kept, by)
		}
		return kept, err
	}
}

// Delete removes an endpoint; what it is owed is not delivered any more.
func (s *Service) Delete(ctx context.Context, owner mail.Owner, id mail.ID, ifVersion int64, by string) error {
	e, err := s.o.Store.Endpoint(ctx, owner, id)
	if err != nil {
		return err
	}
	audit.Changed(ctx, id.Text(PrefixEndpoint), shapeOf(&e), nil)
	if err := s.o.Store.DeleteEndpoint(ctx, owner, id, ifVersion); err != nil {
		return err
	}
	s.changed(ctx, "webhook deleted", &e, by)
	s.sweepBell.ring()
	return nil
}

// shapeOf is an endpoint as audits tell of it: of its secrets, its own headers and its URL's
// query, which may hold some, only that they are others (the members' names say so).
func shapeOf(e *Endpoint) any {
	url, query, _ := strings.Cut(e.URL, "?")
	return map[string]any{"url": url, "url_query_secret": query, "description": e.Description, "events": e.Events, "filters": e.Filters, "redact": e.Redact, "payload_version": e.Payload, "format": e.Format,
		"ordering": e.Ordering, "max_per_second": e.MaxPerSecond, "status": e.Status, "secret": e.Secret, "old_secret": e.OldSecret, "headers_secret": maps.Clone(e.Headers)}
}

// changed makes the change known to what runs.
func (s *Service) changed(ctx context.Context, what string, e *Endpoint, by string) {
	s.o.Logger.InfoContext(ctx, what, "webhook_id", e.ID.Text(PrefixEndpoint), "by", by)
	s.forget()
}

// Disable stops an endpoint. What it misses is kept in the log, and [Service.Enable] can
// deliver it. One that is disabled stays as it is.
func (s *Service) Disable(ctx context.Context, owner mail.Owner, id mail.ID, by string, once *mail.Once, answer func(Endpoint) mail.Answer) (Endpoint, error) {
	return s.alter(ctx, owner, id, 0, "webhook disabled", by, func(e *Endpoint, c *Change) error {
		c.Once, c.Answer = once, answer
		if e.Status == Disabled {
			return nil
		}
		e.Status, e.DisabledReason, e.DisabledAt, c.Disable = Disabled, "by "+by, s.o.Now(), true
		return nil
	})
}

// Missed tells how many events an endpoint missed while it was disabled, and since when: what
// [Service.Enable] can deliver. more: there are that many at least.
func (s *Service) Missed(ctx context.Context, owner mail.Owner, id mail.ID) (count int, more bool, since time.Time, err error) {
	e, err := s.o.Store.Endpoint(ctx, owner, id)
	if err != nil || e.Status != Disabled {
		return 0, false, time.Time{}, err
	}
	count, more, err = s.count(ctx, &e, &job.Replay{From: e.Until}, missedMost)
	return count + int(e.State.Backlog), more, e.DisabledAt, err
}

// Enable lets an endpoint have events again. With replayMissed what it missed comes too, by
// the job that is given (nil when it missed nothing), and what was open goes on; without, what was open is given
// up. Either way it can be replayed as long as events are kept.
func (s *Service) Enable(ctx context.Context, owner mail.Owner, id mail.ID, replayMissed bool, by string, once *mail.Once, answer func(Endpoint, *job.Job) mail.Answer) (Endpoint, *job.Job, error) {
	var begun *job.Job
	e, err := s.alter(ctx, owner, id, 0, "webhook enabled", by, func(e *Endpoint, c *Change) error {
		begun, c.Once = nil, once
		if answer != nil {
			c.Answer = func(e Endpoint) mail.Answer { return answer(e, begun) }
		}
		if e.Status == Enabled {
			return nil
		}
		if replayMissed {
			j := s.newJob(owner, e, job.Replay{From: e.Until, Open: true}, by)
			begun, c.Job = &j, &j
		} else {
			e.Discard = e.Until
		}
		e.Status, e.DisabledReason, e.DisabledAt, c.Enable = Enabled, "", time.Time{}, true
		return nil
	})
	if err == nil {
		s.renew(e.Row)
		s.replayBell.ring()
		s.sweepBell.ring()
	}
	return e, begun, err
}

// Secret opens an endpoint's secrets.
func (s *Service) Secret(ctx context.Context, owner mail.Owner, id mail.ID) (Secrets, error) {
	e, err := s.o.Store.Endpoint(ctx, owner, id)
	if err != nil {
		return Secrets{}, err
	}
	return s.secrets(&e)
}

// SecretOf opens the secrets of an endpoint that was read already.
func (s *Service) SecretOf(e *Endpoint) (Secrets, error) { return s.secrets(e) }

func (s *Service) secrets(e *Endpoint) (out Secrets, err error) {
	plain, err := s.o.Ring.Open(e.Secret, secretLabel(e.ID))
	if err != nil {
		return out, fmt.Errorf("open the secret of %s: %w", e.ID.Text(PrefixEndpoint), err)
	}
	out.Secret = string(plain)
	if len(e.OldSecret) == 0 || !e.OldExpires.After(s.o.Now()) {
		return out, nil
	}
	if plain, err = s.o.Ring.Open(e.OldSecret, secretLabel(e.ID)); err != nil {
		return out, fmt.Errorf("open the old secret of %s: %w", e.ID.Text(PrefixEndpoint), err)
	}
	out.Old, out.OldExpires = string(plain), e.OldExpires
	return out, nil
}

// Rotation is what a caller says of a secret that is to follow another.
type Rotation struct {
	OverlapHours *int // how long both sign, 0 to [MaxOverlap]; nil: 24
	// Force allows a rotation while the one before still overlaps; the oldest of the three
	// secrets stops to sign.
	Force bool
	By    string
}

const defaultOverlap = 24 // hours

// RotateSecret makes a new secret. A [Conflict] tells that two sign already.
func (s *Service) RotateSecret(ctx context.Context, owner mail.Owner, id mail.ID, r Rotation, once *mail.Once, answer func(Endpoint) mail.Answer) (Secrets, error) {
	hours := defaultOverlap
	if r.OverlapHours != nil {
		hours = *r.OverlapHours
	}
	if hours < 0 || hours > MaxOverlap {
		return Secrets{}, mail.Faults{fault("overlap_hours", "invalid_value", fmt.Sprintf("overlap_hours is between 0 and %d.", MaxOverlap))}
	}
	e, err := s.alter(ctx, owner, id, 0, "webhook secret rotated", r.By, func(e *Endpoint, c *Change) error {
		now := s.o.Now()
		c.Once, c.Answer = once, answer
		if len(e.OldSecret) > 0 && e.OldExpires.After(now) && !r.Force {
			return s.unlessReplayed(ctx, once, &Conflict{State: e.Status, Message: "The secret before this one still signs until " + e.OldExpires.UTC().Format(time.RFC3339) +
				": wait, expire it with 'expire-old-secret', or rotate with 'force': true, which ends it at once."})
		}
		e.OldSecret, e.OldExpires = e.Secret, now.Add(time.Duration(hours)*time.Hour)
		if hours == 0 {
			e.OldSecret, e.OldExpires = nil, time.Time{}
		}
		e.Secret = s.o.Ring.Seal([]byte(newSecret(e.Format)), secretLabel(e.ID))
		return nil
	})
	if err != nil {
		return Secrets{}, err
	}
	return s.secrets(&e)
}

// unlessReplayed looks at why a write is refused: its twin may have been the reason, and then
// the twin's answer counts.
func (s *Service) unlessReplayed(ctx context.Context, once *mail.Once, refused error) error {
	if once == nil {
		return refused
	}
	if a, err := s.o.Memory.Remembered(ctx, once.Owner, once.Route, once.Key, s.o.Now()); err == nil {
		return &mail.Replayed{Answer: a}
	}
	return refused
}

// ExpireOldSecret makes the secret before the present one stop signing.
func (s *Service) ExpireOldSecret(ctx context.Context, owner mail.Owner, id mail.ID, by string, once *mail.Once, answer func(Endpoint) mail.Answer) (Endpoint, error) {
	return s.alter(ctx, owner, id, 0, "webhook's old secret ended", by, func(e *Endpoint, c *Change) error {
		c.Once, c.Answer = once, answer
		e.OldSecret, e.OldExpires = nil, time.Time{}
		return nil
	})
}
