package project

import (
	"context"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/recent"
)

// How old what we know of a key may be. After fresh, one request looks again while the
// others go on; after stale, nobody is let in on old knowledge. So what another node
// changed holds here within a second; what this node changed holds at once.
const (
	fresh = 500 * time.Millisecond
	stale = time.Second
	// keysKept bounds the memory of keys; beyond it all is forgotten and looked up anew.
	keysKept = 10_000
	// notedEvery is how exactly a key's last use is known.
	notedEvery = time.Second
	flushEvery = 30 * time.Second
)

// AccessStore is what Access asks to be remembered.
type AccessStore interface {
	// CreateProject keeps a project; mail.ErrExists when the name is taken. A used once key is
	// *mail.Replayed.
	CreateProject(ctx context.Context, p Project, once *mail.Once, answer func(Project) mail.Answer) (Project, error)
	ProjectByID(ctx context.Context, id mail.ID) (Project, error)
	ProjectByName(ctx context.Context, name string) (Project, error)
	ProjectByRow(ctx context.Context, row int64) (Project, error)
	Projects(ctx context.Context) ([]Project, error) // oldest first, without the deleted ones
	// DeleteProject takes a suspended project away: its keys are revoked, its domains removed,
	// its name is free. Its mail is forgotten in its time. mail.ErrExists while some of it
	// waits or is on its way.
	DeleteProject(ctx context.Context, row int64, by string, now time.Time) error
	UpdateProject(ctx context.Context, p Project, ifVersion int64) (Project, error) // ifVersion 0 = any; else mail.ErrStale

	// CreateKey keeps a key with its event api_key.created. A used once key is *mail.Replayed.
	CreateKey(ctx context.Context, k Key, once *mail.Once, answer func(Key) mail.Answer) (Key, error)
	// CreateKeyBelow is CreateKey unless the project has most keys of k's environment that are
	// not revoked: ErrKeysFull. That is decided in the commit.
	CreateKeyBelow(ctx context.Context, k Key, most int) (Key, error)
	KeyByID(ctx context.Context, id string) (Key, error)       // by the 8-character id, whoever owns it
	KeyByHash(ctx context.Context, hash [32]byte) (Key, error) // for keys of any shape
	Keys(ctx context.Context, project int64) ([]Key, error)    // newest first, of both environments
	UpdateKey(ctx context.Context, k Key, ifVersion int64) (Key, error)
	RevokeKey(ctx context.Context, project int64, id string, by string, now time.Time) error
	TouchKeys(ctx context.Context, used []KeyUse) error // last use; gathered, once in a while
	// RotateKey keeps next as the one that follows old, and old as it is now, with the event
	// api_key.rotated. old must stand at its Version, else mail.ErrStale. A used once key is
	// *mail.Replayed.
	RotateKey(ctx context.Context, old, next Key, once *mail.Once, answer func(Key) mail.Answer) (Key, error)
	// ExpiringKeys gives keys of all projects that are not revoked, have no follower and expire
	// after now, until a time.
	ExpiringKeys(ctx context.Context, now, until time.Time) ([]Key, error)
	// WarnKey notes that a key's owner was told days before its end, with the event; false:
	// that was done before, or the key's end is another by now.
	WarnKey(ctx context.Context, k Key, days int, e mail.Event) (bool, error)

	// Usage gives what an owner's keys accepted on each day from..to (inclusive), oldest first.
	Usage(ctx context.Context, owner mail.Owner, from, to Day) ([]Usage, error)

	// ForgetAudit removes audit entries from before a time, some at once; the rest when called again.
	ForgetAudit(ctx context.Context, before time.Time) (int, error)
}

// AccessOptions are the parts Access is built from.
type AccessOptions struct {
	Store  AccessStore
	Limits *Limits // nil: a default of 1000 a minute
	Now    func() time.Time
	Log    *slog.Logger

	// Keys of any shape with every scope, made in the default project at the first
	// start that sees them (POSTROAD_BOOTSTRAP_LIVE_KEY, POSTROAD_BOOTSTRAP_TEST_KEY).
	BootstrapLive, BootstrapTest string

	// AuditDays is how long audit entries are kept; 0: for ever.
	AuditDays int
}

// Access says who a caller is and what they may do.
type Access struct {
	behaviours *recent.Memory[int64, Behaviour]
	store      AccessStore
	limits     *Limits
	now        func() time.Time
	log        *slog.Logger

	bootstrapLive, bootstrapTest string
	auditDays                    int

	mu         sync.RWMutex
	known      map[[32]byte]*grant // by hash of the secret
	generation uint64              // of known: what was read before a change is not kept after it
	forgotten  []KeyUse            // uses of keys dropped from known before they were written down
}

// grant is a key as last read. It is replaced, never changed, except for its use.
type grant struct {
	hash    [32]byte
	who     Principal
	read    time.Time
	reading atomic.Bool // somebody is reading it anew
	use     *keyUse     // shared by all grants of the key
}

type keyUse struct {
	noted atomic.Int64 // Unix nanoseconds of the last note
	mu    sync.Mutex
	last  KeyUse
	dirty bool
}

// NewAccess builds Access; Run must be running for last uses to be written down.
func NewAccess(o AccessOptions) *Access {
	if o.Limits == nil {
		o.Limits = NewLimits(1000)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Access{store: o.Store, limits: o.Limits, now: o.Now, log: o.Log,
		bootstrapLive: o.BootstrapLive, bootstrapTest: o.BootstrapTest, auditDays: o.AuditDays, known: map[[32]byte]*grant{},
		behaviours: recent.New[int64, Behaviour](behavioursMax)}
}

// Limits are the request limits of the callers authenticated here.
func (a *Access) Limits() *Limits { return a.limits }

// Authenticate tells who holds a bearer secret. The error has a code of api-v1.md §1.2
// and its status; when the store cannot be asked it is 503 storage_unavailable. What
// the caller may do is Authorize's question.
func (a *Access) Authenticate(ctx context.Context, bearer string, ip netip.Addr, now time.Time) (Principal, *mail.Error) {
	if bearer == "" {
		return Principal{}, &mail.Error{Code: "missing_api_key", Status: 401,
			Message: "No API key was given. Send it as 'Authorization: Bearer sk_live_…'."}
	}
	g, err := a.grantOf(ctx, bearer, now)
	if errors.Is(err, mail.ErrNotFound) {
		return Principal{}, &mail.Error{Code: "invalid_api_key", Status: 401,
			Message: "The API key is not known here. Check that it was copied whole and belongs to this server."}
	}
	if err != nil {
		a.log.ErrorContext(ctx, "look up an API key", "error", err)
		return Principal{}, &mail.Error{Code: "storage_unavailable", Status: 503, Message: "The server cannot check API keys at the moment. Try again shortly."}
	}
	if fault := usable(g.who.Key, now); fault != nil {
		return Principal{}, fault
	}
	who := g.who
	if ip.IsValid() {
		who.IP = ip.String()
	}
	return who, nil
}

// usable tells why a known key opens nothing any more. Only who holds the secret
// learns it.
func usable(k *Key, now time.Time) *mail.Error {
	switch {
	case !k.RevokedAt.IsZero():
		return &mail.Error{Code: "api_key_revoked", Status: 401, Message: "This API key was revoked. Create another one."}
	case !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(now):
		return &mail.Error{Code: "api_key_expired", Status: 401, Message: "This API key expired on " + k.ExpiresAt.UTC().Format(time.RFC3339) + ". Create another one."}
	case k.Disabled:
		return &mail.Error{Code: "api_key_disabled", Status: 401, Message: "This API key is disabled. Enable it, or use another one."}
	}
	return nil
}

// Authorize tells whether the caller may do what needs this scope ("" = being known is
// enough) from this address. The scope is judged before the address.
func (a *Access) Authorize(p Principal, scope string, ip netip.Addr) *mail.Error {
	if !p.Key.Has(scope) {
		return &mail.Error{Code: "insufficient_scope", Status: 403, Suggestion: scope,
			Message: "This API key lacks the scope '" + scope + "'. Use a key that has it."}
	}
	if scope == "messages.send" {
		if fault := p.MaySend(); fault != nil {
			return fault
		}
	}
	if !AddressAllowed(p.Key.IPAllowlist, ip) {
		return &mail.Error{Code: "ip_not_allowed", Status: 403,
			Message: "This API key may not be used from " + ip.Unmap().String() + ": its ip_allowlist has other networks. Add this one, or use the key from one of them."}
	}
	return nil
}

// AddressAllowed tells whether a client address is in one of these networks; no
// networks allow every address.
func AddressAllowed(networks []string, ip netip.Addr) bool {
	if len(networks) == 0 {
		return true
	}
	ip = ip.Unmap().WithZone("")
	for _, n := range networks {
		if p, err := parseNetwork(n); err == nil && p.Contains(ip) {
			return true
		}
	}
	return false
}

// Note remembers that a principal's key was used; Run writes it down.
func (a *Access) Note(p Principal, agent string, now time.Time) {
	use := p.use
	if use == nil || now.UnixNano()-use.noted.Load() < int64(notedEvery) {
		return
	}
	use.noted.Store(now.UnixNano())
	if len(agent) > 200 {
		agent = agent[:200]
	}
	use.mu.Lock()
	defer use.mu.Unlock()
	use.last = KeyUse{ID: p.Key.ID, At: now, IP: p.IP, Agent: agent}
	use.dirty = true
}

// Run writes down last uses every 30 s, and once more when ctx ends; it tells of keys that
// are about to expire and forgets old audit entries.
func (a *Access) Run(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		a.Upkeep(ctx)
		select {
		case <-tick.C:
			a.flush(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			a.flush(last)
			return nil
		}
	}
}

// Upkeep is one round of what Run does besides.
func (a *Access) Upkeep(ctx context.Context) {
	if err := a.warn(ctx); err != nil && ctx.Err() == nil {
		a.log.WarnContext(ctx, "look after the API keys", "error", err)
	}
	if a.auditDays == 0 {
		return
	}
	if _, err := a.store.ForgetAudit(ctx, a.now().Add(-time.Duration(a.auditDays)*day)); err != nil && ctx.Err() == nil {
		a.log.WarnContext(ctx, "forget old audit entries", "error", err)
	}
}

func (a *Access) flush(ctx context.Context) {
	var used []KeyUse
	a.mu.Lock()
	for _, g := range a.known {
		used = g.use.collect(used)
	}
	used = append(used, a.forgotten...)
	a.forgotten = nil
	a.mu.Unlock()
	if len(used) == 0 {
		return
	}
	if err := a.store.TouchKeys(ctx, used); err != nil {
		a.log.WarnContext(ctx, "write down the last use of keys", "keys", len(used), "error", err)
	}
}

// grantOf finds what a secret grants, from memory when that is fresh.
func (a *Access) grantOf(ctx context.Context, secret string, now time.Time) (*grant, error) {
	hash := HashSecret(secret)
	a.mu.RLock()
	g, generation := a.known[hash], a.generation
	a.mu.RUnlock()
	// The map found it by a hash nobody can aim at; the comparison keeps the rule that
	// secrets are compared in constant time true for whoever reads this.
	if g != nil && subtle.ConstantTimeCompare(g.hash[:], hash[:]) == 1 {
		age := now.Sub(g.read)
		switch {
		case age < fresh && age >= 0:
			return g, nil
		case age < stale && age >= 0 && !g.reading.CompareAndSwap(false, true):
			return g, nil
		}
	}
	next, err := a.read(ctx, secret, hash, now)
	if err != nil {
		a.mu.Lock()
		if errors.Is(err, mail.ErrNotFound) || a.known[hash] == g {
			delete(a.known, hash)
		}
		a.mu.Unlock()
		return nil, err
	}
	a.keep(next, g, generation)
	return next, nil
}

func (a *Access) read(ctx context.Context, secret string, hash [32]byte, now time.Time) (*grant, error) {
	key, err := a.keyOf(ctx, secret, hash)
	if err != nil {
		return nil, err
	}
	p, err := a.store.ProjectByRow(ctx, key.Project)
	if err != nil {
		return nil, err
	}
	g := &grant{hash: hash, read: now, use: &keyUse{}}
	owner := mail.Owner{Project: key.Project, Env: key.Env}
	g.who = Principal{Owner: owner, Project: &p, Key: &key, meters: a.limits.meters(owner, key.ID), use: g.use}
	return g, nil
}

// keyOf looks a secret up: by its id when it has our shape, else by its hash.
func (a *Access) keyOf(ctx context.Context, secret string, hash [32]byte) (Key, error) {
	if len(secret) > 1024 {
		return Key{}, mail.ErrNotFound
	}
	if _, id, ok := ParseSecret(secret); ok {
		key, err := a.store.KeyByID(ctx, id)
		if err == nil && subtle.ConstantTimeCompare(key.Hash[:], hash[:]) == 1 {
			return key, nil
		}
		if err != nil && !errors.Is(err, mail.ErrNotFound) {
			return Key{}, err
		}
	}
	return a.store.KeyByHash(ctx, hash)
}

// keep makes a grant the known one, unless something was changed since it was read.
func (a *Access) keep(next, old *grant, generation uint64) {
	if old != nil {
		next.use, next.who.use = old.use, old.use
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.generation != generation {
		return
	}
	if len(a.known) >= keysKept {
		for _, g := range a.known {
			a.forgotten = g.use.collect(a.forgotten)
		}
		clear(a.known)
	}
	a.known[next.hash] = next
}

// forget drops what is known of keys: something was changed. It is called after the
// change is on disk; a reader that read before it does not put the old back.
func (a *Access) forget(drop func(*grant) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.generation++
	for hash, g := range a.known {
		if drop(g) {
			a.forgotten = g.use.collect(a.forgotten)
			delete(a.known, hash)
		}
	}
}

// collect takes the noted use away, if it was not written down yet.
func (u *keyUse) collect(into []KeyUse) []KeyUse {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.dirty {
		return into
	}
	u.dirty = false
	return append(into, u.last)
}
