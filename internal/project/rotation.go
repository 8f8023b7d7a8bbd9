package project

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/audit"
	"github.com/postroad/postroad/internal/mail"
)

const (
	defaultOverlap = 72                  // hours; senders retry for days, and receivers may verify late
	maxOverlap     = 30 * 24             // hours
	maxDKIMKeys    = 20                  // of a domain, those included that are kept for what they signed
	forgetAfter    = 30 * 24 * time.Hour // how long a retired key is still told of once its record may go
)

// KeyConflict is an order that the state of a key does not allow.
type KeyConflict struct {
	State   string // of the key
	Message string // safe to show
}

func (e *KeyConflict) Error() string { return e.Message }

// Rotation is what a caller says of a key that is to follow another, or to join one of the
// other algorithm.
type Rotation struct {
	Algorithm    string // RSA2048 or Ed25519; "" = that of the key that carries the domain
	OverlapHours *int   // how long the record of the key before stays published; nil: 72
	Selector     string // "" = the next free sN
	By           string // who asks, see [Principal.By]
	IfVersion    int64  // 0 = any, else [mail.ErrStale] when the domain is at another
}

// Rotate makes a pending key. It signs once its record is found; until then the one
// before it does, which is then retired. Faults are [mail.Faults]; a [KeyConflict] tells
// that a key of the algorithm waits for its record already.
func (s *Domains) Rotate(ctx context.Context, project int64, ref string, r Rotation, once *mail.Once, answer func(Domain, DKIMKey) mail.Answer) (Domain, DKIMKey, error) {
	d, err := s.Find(ctx, project, ref)
	if err != nil {
		return Domain{}, DKIMKey{}, err
	}
	if faults := r.judge(&d); len(faults) > 0 {
		return Domain{}, DKIMKey{}, faults
	}
	if err := r.allowed(&d); err != nil { // making keys is dear
		return Domain{}, DKIMKey{}, s.replayed(ctx, once, err)
	}
	private, err := generate(ctx, r.Algorithm)
	if err != nil {
		return Domain{}, DKIMKey{}, fmt.Errorf("make a DKIM key: %w", err)
	}
	var made DKIMKey
	var tell func(Domain) mail.Answer
	if answer != nil {
		tell = func(d Domain) mail.Answer { return answer(d, made) }
	}
	d, err = s.keep(ctx, d, func(d Domain) (_ Domain, err error) {
		if err := r.allowed(&d); err != nil {
			return Domain{}, err
		}
		before := domainShape(&d)
		if made, err = s.follow(&d, r, private); err != nil {
			return Domain{}, err
		}
		audit.Changed(ctx, d.ID.Text(mail.PrefixDomain), before, domainShape(&d))
		return s.store.UpdateDomainOnce(ctx, d, once, tell)
	})
	if err != nil {
		return Domain{}, DKIMKey{}, s.replayed(ctx, once, err)
	}
	s.log.InfoContext(ctx, "DKIM key made", "domain", d.ID.Text(mail.PrefixDomain), "selector", made.Selector, "algorithm", made.Algorithm, "by", r.By)
	s.stir()
	return d, made, nil
}

// replayed looks at why a rotation was refused: its twin on another node may have been
// the reason, and then the twin's answer counts.
func (s *Domains) replayed(ctx context.Context, once *mail.Once, refused error) error {
	var conflict *KeyConflict
	if once == nil || !errors.As(refused, &conflict) {
		return refused
	}
	if a, err := s.store.Remembered(ctx, once.Owner, once.Route, once.Key, s.now()); err == nil {
		return &mail.Replayed{Answer: a}
	}
	return refused
}

// judge fills in the defaults and tells every fault at once.
func (r *Rotation) judge(d *Domain) (faults mail.Faults) {
	fault := func(field, message string) {
		faults = append(faults, &mail.Error{Code: "invalid_value", Field: field, Pointer: "#/" + field, Message: message})
	}
	switch r.Algorithm {
	case "":
		r.Algorithm = RSA2048
		if i := slices.IndexFunc(d.Keys, func(k DKIMKey) bool { return d.carries(&k) }); i >= 0 && !d.Keys[i].isRSA() {
			r.Algorithm = Ed25519
		}
	case RSA2048, Ed25519:
	default:
		fault("algorithm", "The algorithm is 'rsa2048' or 'ed25519'.")
	}
	if r.OverlapHours == nil {
		hours := defaultOverlap
		r.OverlapHours = &hours
	}
	if *r.OverlapHours < 0 || *r.OverlapHours > maxOverlap {
		fault("overlap_hours", fmt.Sprintf("overlap_hours is between 0 and %d.", maxOverlap))
	}
	if r.Selector = strings.ToLower(r.Selector); r.Selector != "" && !isLabel(r.Selector) {
		fault("selector", "DKIM selector must be a valid DNS label (alphanumeric and hyphens, max 63 chars)")
	}
	return faults
}

// allowed tells why the domain cannot have another key now.
func (r *Rotation) allowed(d *Domain) error {
	if r.IfVersion != 0 && d.Version != r.IfVersion {
		return errOutdated
	}
	for i := range d.Keys {
		k := &d.Keys[i]
		if k.Selector == r.Selector {
			return &KeyConflict{k.State, "The selector '" + r.Selector + "' is used by another key of this domain."}
		}
		if k.waits() && k.isRSA() == (r.Algorithm == RSA2048) {
			return &KeyConflict{k.State, fmt.Sprintf("The key '%s' waits for its record already. Publish that at %s._domainkey.%s, or delete the key and rotate again.", k.Selector, k.Selector, d.Name)}
		}
	}
	if len(d.Keys) >= maxDKIMKeys {
		return &KeyConflict{KeyRetired, fmt.Sprintf("The domain has %d DKIM keys. Delete retired ones first.", len(d.Keys))}
	}
	return nil
}

// follow adds the new key to the domain.
func (s *Domains) follow(d *Domain, r Rotation, private crypto.Signer) (DKIMKey, error) {
	selector := r.Selector
	if selector == "" {
		selector = d.freeSelector()
	}
	now := s.now()
	k, err := newDKIMKey(s.ring, d.Name, selector, private, now)
	if err != nil {
		return DKIMKey{}, err
	}
	k.Rotated, k.OverlapHours = true, *r.OverlapHours
	d.Keys = append(slices.Clone(d.Keys), k)
	d.NextCheckAt = now.Add(firstCheck)
	return k, nil
}

// freeSelector is the one after the highest numbered: none is used twice, for what is
// published at an old one stays in caches.
func (d *Domain) freeSelector() string {
	highest := 0
	for i := range d.Keys {
		if digits, ok := strings.CutPrefix(d.Keys[i].Selector, "s"); ok && len(digits) < 9 {
			if n, err := strconv.Atoi(digits); err == nil {
				highest = max(highest, n)
			}
		}
	}
	return "s" + strconv.Itoa(highest+1)
}

// Activate makes a key sign from now on and retires the one of its kind that did. Without
// force its record must be published: it is looked up now, and a [KeyConflict] tells that
// it was not found. Of a key that signs already nothing changes.
func (s *Domains) Activate(ctx context.Context, project int64, ref, selector string, force bool, ifVersion int64, by string) (Domain, error) {
	d, err := s.Find(ctx, project, ref)
	if err != nil {
		return Domain{}, err
	}
	k, err := d.key(selector)
	if err != nil {
		return Domain{}, err
	}
	if ifVersion != 0 && d.Version != ifVersion {
		return Domain{}, mail.ErrStale
	}
	if k.State == KeyActive {
		return d, nil
	}
	if !force {
		if d, err = s.verify(audit.Without(ctx), d); err != nil {
			return Domain{}, err
		}
		if err := s.published(&d, selector); err != nil {
			return Domain{}, err
		}
	}
	d, err = s.change(ctx, d, ifVersion, func(d *Domain) error {
		d.Keys = slices.Clone(d.Keys)
		k, err := d.key(selector)
		if err != nil {
			return err
		}
		if len(k.Sealed) == 0 {
			return &KeyConflict{k.State, "The key '" + k.Selector + "' was retired for good: its private key is gone. Rotate instead."}
		}
		d.turnOn(k, s.now())
		d.NextCheckAt = s.now().Add(firstCheck)
		return nil
	})
	if err == nil {
		s.log.InfoContext(ctx, "DKIM key activated", "domain", d.ID.Text(mail.PrefixDomain), "selector", selector, "force", force, "by", by)
		s.stir()
	}
	return d, err
}

// published tells whether the last check found the record of a key.
func (s *Domains) published(d *Domain, selector string) error {
	k, err := d.key(selector)
	if err != nil {
		return err
	}
	message := "The record of the key '" + k.Selector + "' may not be published any more: it was retired too long ago. Rotate instead."
	for _, r := range s.Records(*d) {
		if r.Purpose != purposeDKIM || r.Host != k.Selector+"._domainkey" || r.Value != k.Record() {
			continue
		}
		if r.State == RecordFound {
			return nil
		}
		message = "The record of the key '" + k.Selector + "' was not found. " + r.Diagnosis + " With ?force=true the key signs nevertheless."
	}
	return &KeyConflict{k.State, message}
}

// RemoveKey forgets a key that does not sign. A [KeyConflict] tells that it does, or that
// the domain would have none.
func (s *Domains) RemoveKey(ctx context.Context, project int64, ref, selector string, ifVersion int64, by string) error {
	d, err := s.Find(ctx, project, ref)
	if err != nil {
		return err
	}
	d, err = s.change(ctx, d, ifVersion, func(d *Domain) error {
		k, err := d.key(selector)
		if err != nil {
			return err
		}
		switch others := slices.ContainsFunc(d.Keys, func(o DKIMKey) bool { return o.Selector != k.Selector && o.State != KeyRetired }); {
		case k.State == KeyActive:
			return &KeyConflict{k.State, "The key '" + k.Selector + "' signs mail now. Rotate first; it is retired once the new one signs."}
		case k.State == KeyPending && !others:
			return &KeyConflict{k.State, "The key '" + k.Selector + "' is the domain's only one."}
		}
		gone := k.Selector
		d.Keys = slices.DeleteFunc(slices.Clone(d.Keys), func(o DKIMKey) bool { return o.Selector == gone })
		return nil
	})
	if err == nil {
		s.log.InfoContext(ctx, "DKIM key deleted", "domain", d.ID.Text(mail.PrefixDomain), "selector", selector, "by", by)
	}
	return err
}

// key finds a key by its selector, or [mail.ErrNotFound].
func (d *Domain) key(selector string) (*DKIMKey, error) {
	for i := range d.Keys {
		if strings.EqualFold(d.Keys[i].Selector, selector) {
			return &d.Keys[i], nil
		}
	}
	return nil, mail.ErrNotFound
}

// waits tells whether the key's record was never found.
func (k *DKIMKey) waits() bool { return k.State == KeyPending && k.ActivatedAt.IsZero() }

// turnOn makes k sign. Those of its kind that signed before are retired.
func (d *Domain) turnOn(k *DKIMKey, now time.Time) {
	overlap := defaultOverlap
	if k.Rotated {
		overlap = k.OverlapHours
	}
	for i := range d.Keys {
		o := &d.Keys[i]
		if o != k && o.isRSA() == k.isRSA() && o.State != KeyRetired && !o.waits() {
			o.State, o.MissingSince, o.RetiredAt, o.KeepUntil = KeyRetired, time.Time{}, now, now.Add(time.Duration(overlap)*time.Hour)
		}
	}
	k.State, k.MissingSince, k.RetiredAt, k.KeepUntil = KeyActive, time.Time{}, time.Time{}, time.Time{}
	if k.ActivatedAt.IsZero() {
		k.ActivatedAt = now
	}
}

// learnKeys turns keys on whose records are there, of each kind the newest. One that was
// on and whose record vanished goes off when the domain does without it; else it signs
// on until the domain has failed.
func (d *Domain) learnKeys(f findings, now time.Time) {
	d.Keys = slices.Clone(d.Keys) // what is cached shares them
	var found []*DKIMKey
	for _, r := range f.records {
		if r.Purpose != purposeDKIM {
			continue
		}
		at := slices.IndexFunc(d.Keys, func(k DKIMKey) bool {
			return k.Selector+"._domainkey" == r.Host && k.Record() == r.Value && k.State != KeyRetired
		})
		if at < 0 {
			continue // changed meanwhile
		}
		switch k := &d.Keys[at]; {
		case r.State == RecordFound:
			found = append(found, k)
		case r.State == RecordUnknown || k.State != KeyActive:
		case !r.carries:
			k.State = KeyPending
		case k.MissingSince.IsZero():
			k.MissingSince = now
		}
	}
	slices.SortStableFunc(found, func(a, b *DKIMKey) int { return b.CreatedAt.Compare(a.CreatedAt) })
	for _, k := range found {
		if !d.outdated(k) {
			d.turnOn(k, now)
		}
	}
}

// outdated tells whether a newer key of the same kind signs. Only an order makes an
// older one follow it.
func (d *Domain) outdated(k *DKIMKey) bool {
	return slices.ContainsFunc(d.Keys, func(o DKIMKey) bool {
		return o.State == KeyActive && o.isRSA() == k.isRSA() && o.CreatedAt.After(k.CreatedAt)
	})
}

// forgetKeys throws away the private keys of retired ones whose records may go, and a
// while later all that is known of them.
func (d *Domain) forgetKeys(now time.Time) {
	d.Keys = slices.DeleteFunc(d.Keys, func(k DKIMKey) bool {
		return k.State == KeyRetired && now.Sub(k.KeepUntil) > forgetAfter
	})
	for i := range d.Keys {
		if k := &d.Keys[i]; k.State == KeyRetired && !k.KeepUntil.After(now) {
			k.Sealed = nil
		}
	}
}
