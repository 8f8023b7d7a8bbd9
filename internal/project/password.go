package project

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"github.com/postroad/postroad/internal/mail"
)

// Passwords are kept as argon2id (RFC 9106) with the parameters OWASP names first: 19 MiB,
// two passes, one lane; some 30 ms. No more than two are reckoned at a time, so that logins
// cannot take the memory or the processors from the mail.
const (
	argonTime    = 2
	argonMemory  = 19 << 10 // KiB
	argonLanes   = 1
	argonKey     = 32 // bytes
	argonSalt    = 16
	argonAtOnce  = 2
	argonPatient = 5 * time.Second

	minPassword = 8
	maxPassword = 200
)

type passwords struct{ turn chan struct{} }

func newPasswords() *passwords { return &passwords{make(chan struct{}, argonAtOnce)} }

var errBusy = &mail.Error{Code: "overloaded", Status: 503, Message: "Too many people log in at the same time. Try again shortly."}

func (p *passwords) enter(ctx context.Context) error {
	patience := time.NewTimer(argonPatient)
	defer patience.Stop()
	select {
	case p.turn <- struct{}{}:
		return nil
	case <-patience.C:
		return errBusy
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *passwords) leave() { <-p.turn }

// hash gives what is kept of a password, in PHC's form.
func (p *passwords) hash(ctx context.Context, password string) (string, error) {
	if err := p.enter(ctx); err != nil {
		return "", err
	}
	defer p.leave()
	var salt [argonSalt]byte
	_, _ = rand.Read(salt[:]) // never fails (crypto/rand since Go 1.24)
	sum := argon2.IDKey([]byte(password), salt[:], argonTime, argonMemory, argonLanes, argonKey)
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes, b64(salt[:]), b64(sum)), nil
}

// nobody's password fits nothing, and takes as long to find out as somebody's.
const nobody = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// fits compares a password with what was kept; "" is nobody's.
func (p *passwords) fits(ctx context.Context, kept, password string) (bool, error) {
	known := kept != ""
	if !known {
		kept = nobody
	}
	if len(password) > maxPassword*utf8.UTFMax {
		return false, nil
	}
	h, err := parseHash(kept)
	if err != nil {
		return false, err
	}
	if err := p.enter(ctx); err != nil {
		return false, err
	}
	defer p.leave()
	sum := argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.lanes, uint32(len(h.sum)))
	return subtle.ConstantTimeCompare(sum, h.sum) == 1 && known, nil
}

type parsedHash struct {
	time, memory uint32
	lanes        uint8
	salt, sum    []byte
}

// parseHash reads PHC's form. The parameters come from our own store, but bounds keep a
// damaged row from taking all the memory.
func parseHash(s string) (h parsedHash, err error) {
	parts := strings.Split(s, "$")
	var version int
	if len(parts) != 6 || parts[1] != "argon2id" {
		return h, errors.New("a kept password is not argon2id")
	}
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return h, errors.New("a kept password has another version of argon2id")
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.lanes); err != nil ||
		h.memory > 1<<20 || h.time == 0 || h.time > 100 || h.lanes == 0 {
		return h, errors.New("a kept password has bad parameters")
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	sum, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(salt) < 8 || len(sum) < 16 {
		return h, errors.New("a kept password is damaged")
	}
	h.salt, h.sum = salt, sum
	return h, nil
}

// judgePassword tells what is wrong with a new password; nil: nothing.
func judgePassword(s, field string) *mail.Error {
	n := utf8.RuneCountInString(s)
	switch {
	case !utf8.ValidString(s):
		return &mail.Error{Code: "invalid_value", Field: field, Pointer: "#/" + field, Message: "The password is not text in UTF-8."}
	case n < minPassword:
		return &mail.Error{Code: "invalid_value", Field: field, Pointer: "#/" + field, Message: "A password has at least 8 characters. A few words are easier to keep than one."}
	case n > maxPassword:
		return &mail.Error{Code: "too_long", Field: field, Pointer: "#/" + field, Message: "A password has at most 200 characters."}
	}
	return nil
}

// WaitError says that a login must wait: there were too many wrong ones.
type WaitError struct{ Wait time.Duration }

func (e *WaitError) Error() string { return "too many attempts to log in" }

// attempts slows guessing down. Five wrong passwords of a client address (an IPv6 /64) are
// free; each one after that doubles the wait, up to 15 minutes. All addresses together have 60 a
// minute, so that many of them are no way around it.
type attempts struct {
	mu  sync.Mutex
	by  map[netip.Addr]*tries
	all meter
}

type tries struct {
	count int
	until time.Time // no other before this
	last  time.Time
}

const (
	freeTries     = 5
	longestDelay  = 15 * time.Minute
	triesForget   = time.Hour
	triesKept     = 4096
	triesOfAll    = 60 // a minute
	shortestDelay = time.Second
)

func newAttempts() *attempts { return &attempts{by: map[netip.Addr]*tries{}} }

// begin counts one that will be wrong, unless succeed or giveBack says otherwise: so those
// made at the same time cannot pass all at once. It gives how long to wait; 0: go on.
func (a *attempts) begin(ip netip.Addr, now time.Time) time.Duration {
	ip = clientNetwork(ip)
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.by[ip]
	if t == nil || now.Sub(t.last) > triesForget {
		if len(a.by) >= triesKept {
			a.makeRoom(now)
		}
		t = &tries{}
		a.by[ip] = t
	}
	if wait := t.until.Sub(now); wait > 0 {
		return wait
	}
	if s := a.all.take(now.UnixNano(), triesOfAll, 1); !s.OK {
		return shortestDelay
	}
	t.count++
	t.last = now
	if over := t.count - freeTries; over >= 0 {
		t.until = now.Add(min(shortestDelay<<min(over, 20), longestDelay))
	}
	return 0
}

func (a *attempts) makeRoom(now time.Time) {
	for ip, t := range a.by {
		if now.Sub(t.last) > triesForget || len(a.by) >= triesKept {
			delete(a.by, ip)
		}
	}
}

// succeed forgets an address's wrong ones.
func (a *attempts) succeed(ip netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.by, clientNetwork(ip))
	a.all.giveBack(triesOfAll)
}

// giveBack uncounts one that was not judged.
func (a *attempts) giveBack(ip netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.by[clientNetwork(ip)]; t != nil && t.count > 0 {
		t.count--
		t.until = time.Time{}
	}
	a.all.giveBack(triesOfAll)
}
