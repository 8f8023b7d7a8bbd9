package project

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// Unlimited is what Limit and Remaining say when there is no limit.
const Unlimited = 1<<31 - 1

// Window is the time over which limits count; a whole limit may be used at once.
const Window = time.Minute

// Limits counts requests: per project and environment, per key that has a limit of its
// own, and per client address for callers without a valid key. It guards the door of
// this node; pacing towards sites is the lanes' work.
type Limits struct {
	perMinute int // of projects that set none, and of addresses; 0 = unlimited
	atOnce    int // requests of one key at the same time; 0 = unlimited

	mu     sync.RWMutex
	owners map[mail.Owner]*meter
	keys   map[string]*meter

	addresses [addressShards]addressShard
}

// Standing is where a caller stands with the tightest of its limits.
type Standing struct {
	OK        bool
	Policy    string // "project", "key" or "address"
	Limit     int    // Unlimited when there is none
	Remaining int
	Reset     int           // whole seconds until the whole limit is there again
	Window    time.Duration // over which it counts; 0 = Window
	Violated  []string      // the policies that refused; nil when OK
}

// NewLimits counts with a default limit per minute; 0 is unlimited.
func NewLimits(perMinute int) *Limits {
	l := &Limits{perMinute: perMinute, owners: map[mail.Owner]*meter{}, keys: map[string]*meter{}}
	for i := range l.addresses {
		l.addresses[i].until = map[netip.Addr]int64{}
	}
	return l
}

// AtOnce sets how many requests of one key may run at the same time; 0 is unlimited. It is
// called before the limits are used.
func (l *Limits) AtOnce(n int) *Limits { l.atOnce = max(n, 0); return l }

// Enter counts a request that begins; false: the key has as many as it may, and this one is
// not counted. Who entered leaves.
func (l *Limits) Enter(p Principal) bool {
	if l.atOnce == 0 {
		return true
	}
	l.metersOf(&p)
	if running := p.meters.key.running.Add(1); running > int64(l.atOnce) {
		p.meters.key.running.Add(-1)
		return false
	}
	return true
}

// Leave counts a request that ended.
func (l *Limits) Leave(p Principal) {
	if l.atOnce > 0 {
		l.metersOf(&p)
		p.meters.key.running.Add(-1)
	}
}

// Default is the limit of projects that set none.
func (l *Limits) Default() int { return l.perMinute }

// Take draws one request from the project's limit and from the key's; nothing is drawn
// when either refuses.
func (l *Limits) Take(p Principal, now time.Time) Standing { return l.draw(p, now, 1) }

// Look tells the standing and draws nothing.
func (l *Limits) Look(p Principal, now time.Time) Standing { return l.draw(p, now, 0) }

// GiveBack returns what Take drew: replays of an answer cost nothing.
func (l *Limits) GiveBack(p Principal) {
	l.metersOf(&p)
	if limit := l.ofProject(p.Project); limit > 0 {
		p.meters.project.giveBack(limit)
	}
	if limit := ofKey(p.Key); limit > 0 {
		p.meters.key.giveBack(limit)
	}
}

func (l *Limits) draw(p Principal, now time.Time, n int64) Standing {
	l.metersOf(&p)
	at := now.UnixNano()
	project := p.meters.project.take(at, l.ofProject(p.Project), n)
	project.Policy = "project"
	keyLimit := ofKey(p.Key)
	if keyLimit == 0 {
		return project.refused()
	}
	if !project.OK {
		n = 0
	}
	key := p.meters.key.take(at, keyLimit, n)
	key.Policy = "key"
	switch {
	case !project.OK:
		project = project.refused()
		if key.Remaining == 0 {
			project.Violated = append(project.Violated, key.Policy)
		}
		return project
	case !key.OK:
		if limit := l.ofProject(p.Project); n > 0 && limit > 0 {
			p.meters.project.giveBack(limit)
		}
		return key.refused()
	case key.Remaining < project.Remaining:
		return key
	}
	return project
}

func (s Standing) refused() Standing {
	if !s.OK {
		s.Violated = []string{s.Policy}
	}
	return s
}

// ofProject is the limit per minute that holds for a project.
func (l *Limits) ofProject(p *Project) int {
	if p != nil && p.Settings.RatePerMinute != nil {
		return max(*p.Settings.RatePerMinute, 0)
	}
	return l.perMinute
}

func ofKey(k *Key) int {
	if k != nil && k.RatePerMinute != nil {
		return max(*k.RatePerMinute, 0)
	}
	return 0
}

// meters are a principal's own, kept with it so that the hot path looks nothing up.
type meters struct{ project, key *meter }

// metersOf finds the principal's meters unless authentication already put them there.
func (l *Limits) metersOf(p *Principal) {
	if p.meters.project != nil {
		return
	}
	id := ""
	if p.Key != nil {
		id = p.Key.ID
	}
	p.meters = l.meters(p.Owner, id)
}

func (l *Limits) meters(owner mail.Owner, key string) meters {
	l.mu.RLock()
	found := meters{l.owners[owner], l.keys[key]}
	l.mu.RUnlock()
	if found.project != nil && found.key != nil {
		return found
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owners[owner] == nil {
		l.owners[owner] = &meter{}
	}
	if l.keys[key] == nil {
		l.keys[key] = &meter{}
	}
	return meters{l.owners[owner], l.keys[key]}
}

// meter is a token bucket in one number (the generic cell rate algorithm): the time in
// Unix nanoseconds at which the bucket will be full again. A full bucket holds one
// limit; drawing one moves the time by Window/limit.
type meter struct {
	full    atomic.Int64
	running atomic.Int64 // requests at this moment; of keys only
}

// take draws n (0 or 1) at a limit per Window; a limit of 0 is none.
func (m *meter) take(now int64, limit int, n int64) Standing {
	if limit <= 0 {
		return Standing{OK: true, Limit: Unlimited, Remaining: Unlimited}
	}
	for {
		old := m.full.Load()
		next, s := drawFrom(old, now, limit, n)
		if n == 0 || next == old || m.full.CompareAndSwap(old, next) {
			return s
		}
	}
}

func (m *meter) giveBack(limit int) { m.full.Add(-int64(Window) / int64(limit)) }

// drawFrom is the arithmetic of take. A clock that went back cannot lock anybody out
// for longer than one Window.
func drawFrom(full, now int64, limit int, n int64) (int64, Standing) {
	return drawWithin(int64(Window), full, now, limit, n)
}

func drawWithin(window, full, now int64, limit int, n int64) (int64, Standing) {
	step := max(window/int64(limit), 1)
	full = min(max(full, now), now+window)
	next := full + n*step
	s := Standing{OK: next-now <= window, Limit: limit}
	if !s.OK {
		next = full
	}
	s.Remaining = min(int((window-(next-now))/step), limit)
	s.Reset = int((next - now + int64(time.Second) - 1) / int64(time.Second))
	return next, s
}

const (
	addressShards = 16
	// addressesKept bounds one shard; what is full again goes first, then any.
	addressesKept = 4096
)

type addressShard struct {
	mu    sync.Mutex
	until map[netip.Addr]int64
}

// TakeAddress draws one request from a client address's limit: that of callers without
// a valid key. An IPv6 client is its /64.
func (l *Limits) TakeAddress(ip netip.Addr, now time.Time) Standing {
	s := Standing{OK: true, Limit: Unlimited, Remaining: Unlimited}
	if l.perMinute > 0 {
		ip = clientNetwork(ip)
		b := ip.As16()
		s = l.addresses[(b[7]^b[12]^b[13]^b[14]^b[15])%addressShards].take(ip, now.UnixNano(), l.perMinute)
	}
	s.Policy = "address"
	return s.refused()
}

func clientNetwork(ip netip.Addr) netip.Addr {
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return ip
}

func (a *addressShard) take(ip netip.Addr, now int64, limit int) Standing {
	a.mu.Lock()
	defer a.mu.Unlock()
	full, known := a.until[ip]
	if !known && len(a.until) >= addressesKept {
		a.makeRoom(now)
	}
	next, s := drawFrom(full, now, limit, 1)
	a.until[ip] = next
	return s
}

func (a *addressShard) makeRoom(now int64) {
	for ip, full := range a.until {
		if full <= now {
			delete(a.until, ip)
		}
	}
	for ip := range a.until {
		if len(a.until) < addressesKept*3/4 { // so that the next thousand cost nothing
			return
		}
		delete(a.until, ip)
	}
}

// AddressesHeld is how many client addresses have a bucket now.
func (l *Limits) AddressesHeld() (n int) {
	for i := range l.addresses {
		a := &l.addresses[i]
		a.mu.Lock()
		n += len(a.until)
		a.mu.Unlock()
	}
	return n
}
