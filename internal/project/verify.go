package project

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/postroad/postroad/internal/mail"
)

const (
	grace      = 24 * time.Hour // a degraded domain keeps sending this long
	firstCheck = time.Minute    // after it was made
	passEvery  = time.Minute    // other nodes make domains too
	checkers   = 4              // domains checked at a time
	passLimit  = 256            // domains read at a time
)

// Verify checks a domain now, by name or identifier, and gives it as it stands after.
// Its records are in [Domains.Records].
func (s *Domains) Verify(ctx context.Context, project int64, ref string) (Domain, error) {
	d, err := s.Find(ctx, project, ref)
	if err != nil {
		return Domain{}, err
	}
	return s.verify(ctx, d)
}

// Inspect checks a domain's records now and changes nothing.
func (s *Domains) Inspect(ctx context.Context, d Domain) (records []Record, checks map[string]string) {
	f := s.inspect(ctx, &d)
	return f.records, f.checks
}

func (s *Domains) verify(ctx context.Context, d Domain) (Domain, error) {
	f := s.inspect(ctx, &d)
	if err := ctx.Err(); err != nil {
		return Domain{}, err // our caller went away: that is no finding
	}
	before := d.Status
	d, err := s.keep(ctx, d, func(d Domain) (Domain, error) {
		events := d.learn(f, s.now())
		return s.store.RecordCheck(ctx, d, events)
	})
	if err == nil && d.Status != before {
		s.log.InfoContext(ctx, "domain status changed", "domain", d.ID.Text(mail.PrefixDomain), "name", d.Name, "from", before, "to", d.Status)
	}
	return d, err
}

// learn takes what a check found into the domain.
func (d *Domain) learn(f findings, now time.Time) []mail.Event {
	d.Checks, d.LastCheckedAt = f.checks, now
	d.Records, _ = json.Marshal(f.records) // plain texts: it cannot fail
	if f.returnPathOK != nil {
		d.ReturnPathOK = *f.returnPathOK
	}
	d.learnKeys(f, now)
	d.forgetKeys(now)
	before := d.Status
	d.Status = d.next(f.checks["dkim"], now)
	if d.Status == DomainFailed {
		d.retireMissing()
	}
	d.NextCheckAt = now.Add(d.pause(now))
	if d.Status == before {
		return nil
	}
	d.StatusChangedAt = now
	return []mail.Event{d.event(before, now)}
}

// retireMissing turns off the keys whose records are gone, when the domain failed.
func (d *Domain) retireMissing() {
	for i := range d.Keys {
		if k := &d.Keys[i]; !k.MissingSince.IsZero() {
			k.State, k.MissingSince = KeyPending, time.Time{}
		}
	}
}

// next is the status that follows, by the drawing at [DomainPending].
func (d *Domain) next(dkim string, now time.Time) string {
	switch {
	case d.Status == DomainSuspended || dkim == CheckUnknown:
		return d.Status
	case dkim == CheckPass:
		return DomainVerified
	case d.Status == DomainVerified:
		return DomainDegraded
	case d.Status == DomainDegraded && now.Sub(d.missingSince(now)) >= grace:
		return DomainFailed
	}
	return d.Status
}

// missingSince is since when none of the needed keys' records is there: since the last
// of them went.
func (d *Domain) missingSince(now time.Time) time.Time {
	var last time.Time
	for i := range d.Keys {
		if since := d.Keys[i].MissingSince; since.After(last) {
			last = since
		}
	}
	if last.IsZero() {
		return now
	}
	return last
}

// waitsSince tells since when somebody waits for a record of the domain to be found: its
// first, or that of a key that is to follow another.
func (d *Domain) waitsSince() (since time.Time, waits bool) {
	if d.Status == DomainPending {
		return d.CreatedAt, true
	}
	for i := range d.Keys {
		if k := &d.Keys[i]; k.Rotated && k.waits() && k.CreatedAt.After(since) {
			since, waits = k.CreatedAt, true
		}
	}
	return since, waits
}

// pause is how long until the next check, give or take a tenth.
func (d *Domain) pause(now time.Time) time.Duration {
	wait := 6 * time.Hour
	since, waits := d.waitsSince()
	age := now.Sub(since)
	switch {
	case d.Checks["dkim"] == CheckUnknown:
		wait = 5 * time.Minute
	case d.Status == DomainDegraded:
		wait = 15 * time.Minute
	case d.Status == DomainFailed:
		wait = time.Hour
	case !waits:
	case age < time.Hour:
		wait = 2 * time.Minute
	case age < 6*time.Hour:
		wait = 5 * time.Minute
	case age < 24*time.Hour:
		wait = 15 * time.Minute
	case age < 14*24*time.Hour:
		wait = time.Hour
	}
	return wait + time.Duration((rand.Float64()-0.5)*0.2*float64(wait))
}

// event tells of a new status. Domains serve both environments; their events stand in
// the live one's log.
func (d *Domain) event(before string, now time.Time) mail.Event {
	kind, summary := mail.EventDomainVerified, d.Name+" is verified: its DKIM record is in place."
	switch d.Status {
	case DomainDegraded:
		kind, summary = mail.EventDomainDegraded, "The DKIM record of "+d.Name+" is gone. Mail is sent for another 24 hours; put the record back."
	case DomainFailed:
		kind, summary = mail.EventDomainFailed, "The DKIM record of "+d.Name+" has been missing for 24 hours: no more mail is sent from it."
	}
	return mail.Event{
		ID: mail.NewID(now), Owner: mail.Owner{Project: d.Project, Env: mail.Live}, Type: kind, At: now,
		Detail: mail.Detail{Summary: summary, Previous: before, Object: d.ID.Text(mail.PrefixDomain)},
	}
}

// Run checks domains when it is their time, until ctx ends.
func (s *Domains) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-s.woken:
		}
		wait := s.pass(ctx)
		timer.Reset(wait)
	}
}

// stir makes Run look at once which domain is next.
func (s *Domains) stir() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// pass checks the domains whose time it is and tells how long until the next one's.
func (s *Domains) pass(ctx context.Context) time.Duration {
	due, next, err := s.store.DomainsDue(ctx, s.now(), passLimit)
	if err != nil {
		if ctx.Err() == nil {
			s.log.WarnContext(ctx, "the domains cannot be read", "error", err)
		}
		return passEvery
	}
	slots := make(chan struct{}, checkers)
	var wait sync.WaitGroup
	for _, d := range due {
		if ctx.Err() != nil {
			break
		}
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			if _, err := s.verify(ctx, d); err != nil && ctx.Err() == nil && !errors.Is(err, mail.ErrNotFound) {
				s.log.WarnContext(ctx, "a domain cannot be checked", "domain", d.ID.Text(mail.PrefixDomain), "error", err)
			}
		})
	}
	wait.Wait()
	switch {
	case len(due) == passLimit: // there may be more
		return time.Second
	case next.IsZero():
		return passEvery
	}
	return min(max(next.Sub(s.now()), time.Second), passEvery)
}
