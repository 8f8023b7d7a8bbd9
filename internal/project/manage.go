package project

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postroad/postroad/internal/audit"
	"github.com/postroad/postroad/internal/mail"
)

// NewKey is what a caller says of a key to make. A nil By is the operator, who may hand
// out everything.
type NewKey struct {
	Project       *Project
	By            *Principal
	Name          string
	Env           *mail.Env // nil: the caller's
	Scopes        []string  // scopes, or the names of presets
	AllowedFrom   []string
	IPAllowlist   []string
	ExpiresAt     time.Time
	RatePerMinute *int
	MaxRecipients int
	DailyMessages *int
	Secret        func() string // of another shape than ours; nil: ours
	Most          int           // keys that the project may have in this environment, ErrKeysFull beyond; 0: any. Without a once key only
}

// ErrKeysFull says that a project has as many keys as it may.
var ErrKeysFull = errors.New("the project has as many keys as it may")

// CreateKey makes a key and gives its secret, which is kept nowhere. Faults are
// mail.Faults; a key can hand on only what it has itself: scopes, environment (a test
// key makes no live one), sender and address restrictions.
func (a *Access) CreateKey(ctx context.Context, n NewKey, once *mail.Once, answer func(Key, string) mail.Answer) (Key, string, error) {
	k := Key{Project: n.Project.Row, ProjectID: n.Project.ID, Name: strings.TrimSpace(n.Name), Scopes: inProject(n.Project, ExpandPresets(n.Scopes)),
		AllowedFrom: n.AllowedFrom, IPAllowlist: n.IPAllowlist, RatePerMinute: n.RatePerMinute, MaxRecipients: n.MaxRecipients, DailyMessages: n.DailyMessages,
		CreatedBy: "operator", CreatedAt: a.now(), ExpiresAt: n.ExpiresAt}
	if n.By != nil {
		k.CreatedBy, k.Env = n.By.By(), n.By.Owner.Env
		inherit(&k, n.By.Key)
	}
	if n.Env != nil {
		k.Env = *n.Env
	}
	faults := judgeKey(&k, n.By, a.now())
	if n.Project.LiveDisabled && k.Env == mail.Live {
		faults = append(faults, &mail.Error{Code: "invalid_value", Field: "environment", Pointer: "#/environment",
			Message: "The live environment of this project is not enabled: it has test keys only. Ask whoever runs this server."})
	}
	if faults != nil {
		return Key{}, "", faults
	}
	for try := 0; ; try++ {
		m := Mint(k.Env)
		if n.Secret != nil {
			m = MintFrom(n.Secret())
		}
		k.ID, k.Prefix, k.Hash = m.ID, m.Prefix, m.Hash
		audit.Changed(ctx, mail.PrefixKey+"_"+k.ID, nil, keyShape(&k))
		var tell func(Key) mail.Answer
		if answer != nil {
			tell = func(k Key) mail.Answer { return answer(k, m.Secret) }
		}
		var kept Key
		var err error
		if n.Most > 0 {
			kept, err = a.store.CreateKeyBelow(ctx, k, n.Most)
		} else {
			kept, err = a.store.CreateKey(ctx, k, once, tell)
		}
		if errors.Is(err, mail.ErrExists) && try < 3 { // the id is taken
			continue
		}
		if err != nil {
			return Key{}, "", err
		}
		a.log.InfoContext(ctx, "API key created", "key", kept.ID, "environment", kept.Env.String(), "by", kept.CreatedBy)
		return kept, m.Secret, nil
	}
}

// inherit gives a key without restrictions of its own those of its maker.
func inherit(k, maker *Key) {
	if len(k.AllowedFrom) == 0 {
		k.AllowedFrom = slices.Clone(maker.AllowedFrom)
	}
	if len(k.IPAllowlist) == 0 {
		k.IPAllowlist = slices.Clone(maker.IPAllowlist)
	}
}

// Keys gives the project's keys a caller may see, newest first: a live key sees those
// of both environments and so does a session, a test key only its own.
func (a *Access) Keys(ctx context.Context, by Principal) ([]Key, error) {
	all, err := a.store.Keys(ctx, by.Owner.Project)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(k Key) bool { return !sees(by, k) }), nil
}

func sees(by Principal, k Key) bool {
	return k.Project == by.Owner.Project && (by.Owner.Env == mail.Live || k.Env == mail.Test || by.Session != nil)
}

// Key gives one of the project's keys by its 8-character id, or mail.ErrNotFound.
func (a *Access) Key(ctx context.Context, by Principal, id string) (Key, error) {
	k, err := a.store.KeyByID(ctx, id)
	if err != nil {
		return Key{}, err
	}
	if !sees(by, k) {
		return Key{}, mail.ErrNotFound
	}
	return k, nil
}

// UpdateKey keeps what change made of the key. Nobody can give a key what they do not
// have themselves. mail.ErrStale tells that it is not at ifVersion any more; with 0 who was
// overtaken changes what there is then. change may be called again.
func (a *Access) UpdateKey(ctx context.Context, by Principal, id string, ifVersion int64, change func(*Key)) (Key, error) {
	return unlessOvertaken(ifVersion, func() (Key, error) { return a.updateKey(ctx, by, id, ifVersion, change) })
}

// unlessOvertaken makes a change again when somebody else was quicker, unless the caller named
// a version.
func unlessOvertaken[T any](ifVersion int64, change func() (T, error)) (T, error) {
	for try := 0; ; try++ {
		kept, err := change()
		if !errors.Is(err, mail.ErrStale) || ifVersion != 0 || try == 10 {
			return kept, err
		}
	}
}

func (a *Access) updateKey(ctx context.Context, by Principal, id string, ifVersion int64, change func(*Key)) (Key, error) {
	k, err := a.Key(ctx, by, id)
	if err != nil {
		return Key{}, err
	}
	next := k
	change(&next)
	next.Scopes = inProject(by.Project, ExpandPresets(next.Scopes))
	if faults := judgeChange(&k, &next, &by, a.now()); faults != nil {
		return Key{}, faults
	}
	if ifVersion == 0 {
		ifVersion = k.Version
	}
	if !next.ExpiresAt.Equal(k.ExpiresAt) {
		next.Warned = 0 // of the new end nobody was told
	}
	audit.Changed(ctx, mail.PrefixKey+"_"+k.ID, keyShape(&k), keyShape(&next))
	kept, err := a.store.UpdateKey(ctx, next, ifVersion)
	if err == nil {
		a.forget(func(g *grant) bool { return g.who.Key.ID == id })
	}
	return kept, err
}

// RevokeKey ends a key at once on this node, within a second on others.
func (a *Access) RevokeKey(ctx context.Context, by Principal, id string) error {
	k, err := a.Key(ctx, by, id)
	if err != nil {
		return err
	}
	audit.Changed(ctx, mail.PrefixKey+"_"+k.ID, keyShape(&k), nil)
	if err := a.store.RevokeKey(ctx, by.Owner.Project, id, by.By(), a.now()); err != nil {
		return err
	}
	a.forget(func(g *grant) bool { return g.who.Key.ID == id })
	return nil
}

// Limits of what a key may carry.
const (
	maxKeyName     = 255 // characters
	maxKeyPatterns = 100
	maxKeyRate     = 10_000_000
	maxRecipients  = 50
	maxDaily       = 1_000_000_000
)

// judgeKey finds every fault of a key, given who makes or changes it; nil: none.
func judgeKey(k *Key, by *Principal, now time.Time) mail.Faults {
	var f mail.Faults
	fault := func(code, field, message string) {
		pointer := "#/" + strings.NewReplacer("[", "/", "]", "", ".", "/").Replace(field)
		f = append(f, &mail.Error{Code: code, Field: field, Pointer: pointer, Message: message})
	}
	if k.Name == "" {
		fault("missing_required_field", "name", "Give the key a name that tells which service uses it.")
	} else if utf8.RuneCountInString(k.Name) > maxKeyName || strings.ContainsFunc(k.Name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		fault("invalid_value", "name", "A key's name is at most 255 characters without control characters.")
	}
	judgeScopes(k, by, fault)
	if by != nil && by.Session == nil && by.Owner.Env == mail.Test && k.Env == mail.Live {
		fault("invalid_value", "environment", "A test key cannot make or change a live key. Use a live key, or 'postroad key create --env live' on the server.")
	}
	judgePatterns(k, by, fault)
	judgeNetworks(k, by, fault)
	if !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(now) {
		fault("invalid_value", "expires_at", "The key would have expired already.")
	}
	if r := k.RatePerMinute; r != nil && (*r < 0 || *r > maxKeyRate) {
		fault("invalid_value", "rate_limit.per_minute", "The limit is between 0 (unlimited) and 10000000 requests a minute.")
	}
	if n := k.DailyMessages; n != nil && (*n < 0 || *n > maxDaily) {
		fault("invalid_value", "daily_messages", "daily_messages is between 0 (none may be sent) and 1000000000, or null for no limit.")
	}
	if k.MaxRecipients < 0 || k.MaxRecipients > maxRecipients {
		fault("invalid_value", "max_recipients", "max_recipients is between 0 (the general limit) and 50.")
	}
	return f
}

// judgeChange finds the faults of what a change made different: what a key had before
// its changer need not have, unless the key can do more after it.
func judgeChange(old, next *Key, by *Principal, now time.Time) mail.Faults {
	wider := by != nil && widened(old, next)
	same := map[string]bool{
		"scopes":       slices.Equal(old.Scopes, next.Scopes),
		"allowed_from": slices.Equal(old.AllowedFrom, next.AllowedFrom),
		"ip_allowlist": slices.Equal(old.IPAllowlist, next.IPAllowlist),
		"expires_at":   old.ExpiresAt.Equal(next.ExpiresAt),
	}
	f := slices.DeleteFunc(judgeKey(next, by, now), func(e *mail.Error) bool {
		field, _, _ := strings.Cut(e.Field, "[")
		return same[field] && !(wider && field != "expires_at")
	})
	if len(f) == 0 {
		return nil
	}
	return f
}

// widened tells whether a change lets whoever holds the key's secret do what they could not:
// they may be the changer, who must then have all the key has.
func widened(old, next *Key) bool {
	switch {
	case old.Disabled && !next.Disabled:
		return true
	case !old.ExpiresAt.IsZero() && (next.ExpiresAt.IsZero() || next.ExpiresAt.After(old.ExpiresAt)):
		return true
	case len(old.AllowedFrom) > 0 && (len(next.AllowedFrom) == 0 || !coveredBy(old.AllowedFrom, next.AllowedFrom)):
		return true
	case len(old.IPAllowlist) > 0 && (len(next.IPAllowlist) == 0 || !within(old.IPAllowlist, next.IPAllowlist)):
		return true
	}
	return raised(old.DailyMessages, next.DailyMessages) || raised(unlessZero(old.RatePerMinute), unlessZero(next.RatePerMinute)) ||
		old.MaxRecipients > 0 && (next.MaxRecipients == 0 || next.MaxRecipients > old.MaxRecipients)
}

// raised tells whether a limit is higher; nil is none.
func raised(old, next *int) bool { return old != nil && (next == nil || *next > *old) }

// unlessZero is a limit of which 0 means none.
func unlessZero(n *int) *int {
	if n == nil || *n == 0 {
		return nil
	}
	return n
}

// coveredBy tells whether all senders are among those a list has.
func coveredBy(list, senders []string) bool {
	return !slices.ContainsFunc(senders, func(s string) bool {
		return !slices.ContainsFunc(list, func(own string) bool { return covers(own, s) })
	})
}

// within tells whether all networks lie in those a list has.
func within(list, networks []string) bool {
	return !slices.ContainsFunc(networks, func(n string) bool {
		p, err := parseNetwork(n)
		return err != nil || !insideAny(list, p)
	})
}

func judgeScopes(k *Key, by *Principal, fault func(code, field, message string)) {
	if len(k.Scopes) == 0 {
		fault("missing_required_field", "scopes", "Give the key at least one scope, e.g. 'messages.send'.")
	}
	for i, s := range k.Scopes {
		field := "scopes[" + strconv.Itoa(i) + "]"
		switch {
		case i > 2*len(AllScopes):
			fault("too_many", "scopes", "There are not so many scopes.")
			return
		case !KnownScope(s):
			fault("invalid_value", field, fmt.Sprintf("There is no scope %q.", clip(s)))
		case by != nil && !by.Key.Has(s):
			fault("invalid_value", field, fmt.Sprintf("Your key cannot hand on the scope '%s': it does not have it.", s))
		}
	}
}

func judgePatterns(k *Key, by *Principal, fault func(code, field, message string)) {
	if len(k.AllowedFrom) > maxKeyPatterns {
		fault("too_many", "allowed_from", "At most 100 senders.")
		return
	}
	for i, p := range k.AllowedFrom {
		field := "allowed_from[" + strconv.Itoa(i) + "]"
		_, ok := parseSender(p)
		switch {
		case !ok:
			fault("invalid_value", field, "A sender is an address (billing@acme.io), the beginning of one (billing-*@acme.io), a whole domain (*@acme.test) or all below one (*@*.acme.test).")
		case by != nil && len(by.Key.AllowedFrom) > 0 && !slices.ContainsFunc(by.Key.AllowedFrom, func(own string) bool { return covers(own, p) }):
			fault("invalid_value", field, "Your key may not send as this address, so it cannot hand it on.")
		}
	}
	if by != nil && len(by.Key.AllowedFrom) > 0 && len(k.AllowedFrom) == 0 {
		fault("invalid_value", "allowed_from", "Your key is bound to certain senders, so it cannot make or change a key that is not.")
	}
}

func judgeNetworks(k *Key, by *Principal, fault func(code, field, message string)) {
	if len(k.IPAllowlist) > maxKeyPatterns {
		fault("too_many", "ip_allowlist", "At most 100 networks.")
		return
	}
	for i, n := range k.IPAllowlist {
		field := "ip_allowlist[" + strconv.Itoa(i) + "]"
		p, err := parseNetwork(n)
		switch {
		case err != nil:
			fault("invalid_value", field, "A network is an address (192.0.2.1) or a CIDR range (10.0.0.0/8, 2001:db8::/48).")
		case by != nil && len(by.Key.IPAllowlist) > 0 && !insideAny(by.Key.IPAllowlist, p):
			fault("invalid_value", field, "Your key may not be used from there, so it cannot hand that on.")
		}
	}
	if by != nil && len(by.Key.IPAllowlist) > 0 && len(k.IPAllowlist) == 0 {
		fault("invalid_value", "ip_allowlist", "Your key is bound to certain networks, so it cannot make or change a key that is not.")
	}
}

func insideAny(networks []string, p netip.Prefix) bool {
	for _, n := range networks {
		if own, err := parseNetwork(n); err == nil && own.Bits() <= p.Bits() && own.Contains(p.Addr()) {
			return true
		}
	}
	return false
}

// parseNetwork reads a CIDR range, or an address as the range of itself.
func parseNetwork(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		return p.Masked(), err
	}
	ip, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	ip = ip.Unmap().WithZone("")
	return netip.PrefixFrom(ip, ip.BitLen()), nil
}

// clip keeps a caller's words short enough to be shown.
func clip(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}

// keyShape is a key as audits tell of it.
func keyShape(k *Key) any {
	shape := map[string]any{"name": k.Name, "environment": k.Env.String(), "prefix": k.Prefix, "scopes": k.Scopes, "allowed_from": k.AllowedFrom, "ip_allowlist": k.IPAllowlist,
		"rate_limit_per_minute": k.RatePerMinute, "daily_messages": k.DailyMessages, "max_recipients": k.MaxRecipients, "enabled": !k.Disabled, "expires_at": nil}
	if !k.ExpiresAt.IsZero() {
		shape["expires_at"] = k.ExpiresAt
	}
	if k.ReplacedBy != "" {
		shape["replaced_by"] = mail.PrefixKey + "_" + k.ReplacedBy
	}
	return shape
}
