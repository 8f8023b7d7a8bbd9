package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// Idempotency, as far as it is the door's: which key a request carries, twins that meet
// in this process, and remembered answers. What makes it true is the key's row, which
// commits with what it guards (mail.Once); nothing here is needed for correctness.

const (
	// OnceTime is how long an answer is kept under its key.
	OnceTime = 24 * time.Hour
	maxKey   = 256
)

// Keys gathers the idempotency keys of one request, wherever they stand.
type Keys struct {
	key   string
	given bool
	err   *mail.Error
}

// KeysOf begins with those of the headers.
func KeysOf(h http.Header) Keys {
	var k Keys
	for _, v := range h["Idempotency-Key"] {
		k.Add(v)
	}
	for _, v := range h["X-Idempotency-Key"] {
		k.Add(v)
	}
	return k
}

// Add takes one more, as written. Two that differ are a fault.
func (k *Keys) Add(raw string) {
	if k.err != nil {
		return
	}
	v := strings.TrimSpace(raw)
	if len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
		v = strings.TrimSpace(v[1 : len(v)-1])
	}
	switch {
	case !printable(v):
		k.err = &mail.Error{Code: "invalid_idempotency_key", Status: 400, Message: "An idempotency key is 1 to 256 printable ASCII characters."}
	case k.given && v != k.key:
		k.err = &mail.Error{Code: "idempotency_key_conflict", Status: 400, Message: "The request carries two different idempotency keys. Send one."}
	default:
		k.key, k.given = v, true
	}
}

func printable(s string) bool {
	if len(s) == 0 || len(s) > maxKey {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// Key is the request's key, "" when it has none.
func (k *Keys) Key() (string, *mail.Error) { return k.key, k.err }

// onceID is what makes a key unique.
type onceID struct {
	owner      mail.Owner
	route, key string
}

// inflight lets twins in this process wait for one another instead of doing the work
// twice. Twins on two nodes meet in the store's unique index.
type inflight struct {
	patience time.Duration // of a twin
	mu       sync.Mutex
	open     map[onceID]chan struct{}
}

// enter waits until no other request of this key is being worked on; false when that
// took longer than its patience or the caller went away.
func (f *inflight) enter(ctx context.Context, id onceID) (waited time.Duration, ok bool) {
	var began time.Time
	var patience <-chan time.Time
	for {
		f.mu.Lock()
		first, busy := f.open[id]
		if !busy {
			f.open[id] = make(chan struct{})
			f.mu.Unlock()
			if patience != nil {
				waited = time.Since(began)
			}
			return waited, true
		}
		f.mu.Unlock()
		if patience == nil {
			began = time.Now()
			timer := time.NewTimer(f.patience)
			defer timer.Stop()
			patience = timer.C
		}
		select {
		case <-first:
		case <-patience:
			return time.Since(began), false
		case <-ctx.Done():
			return time.Since(began), false
		}
	}
}

func (f *inflight) leave(id onceID) {
	f.mu.Lock()
	done := f.open[id]
	delete(f.open, id)
	f.mu.Unlock()
	close(done)
}

// Turn is one request's turn at its key.
type Turn struct {
	Once *mail.Once // nil: the request has no key
	call *Call
	id   onceID
	// Waited tells that a twin was worked on before: its answer may be there.
	Waited bool
}

// Turn waits for the request's turn at its key. False: it has answered. The caller
// leaves the turn when the work is done.
func (c *Call) Turn(route, key string, fingerprint [32]byte) (Turn, bool) {
	if key == "" {
		return Turn{}, true
	}
	t := Turn{call: c, id: onceID{c.Who.Owner, route, key}}
	waited, ok := c.door.inflight.enter(c.Context(), t.id)
	c.door.counts.waited.Add(int64(waited))
	if !ok {
		c.door.counts.inProgress.Add(1)
		c.Fail(&mail.Error{Code: "idempotency_in_progress", Status: 409, Message: "A request with this idempotency key is being worked on. Try again in a moment."})
		return Turn{}, false
	}
	t.Waited = waited > 0
	t.Once = &mail.Once{Owner: c.Who.Owner, Route: route, Key: key, Fingerprint: fingerprint, RequestID: c.RequestID,
		Created: c.Arrived, Expires: c.Arrived.Add(OnceTime)}
	return t, true
}

// Leave lets the next twin go on.
func (t Turn) Leave() {
	if t.Once != nil {
		t.call.door.inflight.leave(t.id)
	}
}

// Remembered answers with what the key's first request was told, if there was one.
// True: it has answered (or could not find out, and said so).
func (c *Call) Remembered(t Turn) bool {
	if t.Once == nil || c.door.memory == nil {
		return false
	}
	began := c.door.now()
	a, err := c.door.memory.Remembered(c.Context(), t.Once.Owner, t.Once.Route, t.Once.Key, c.Arrived)
	c.Timed("lookup", c.door.now().Sub(began))
	switch {
	case errors.Is(err, mail.ErrNotFound):
		return false
	case err != nil:
		c.Fail(err)
	default:
		c.Replay(t, a)
	}
	return true
}

// RememberedExcused is Remembered after something was drawn: a replay gives it back.
func (c *Call) RememberedExcused(t Turn) bool {
	c.Excuse()
	if c.Remembered(t) {
		return true
	}
	c.Draw()
	return false
}

// Mismatch answers that the request's key was used for another one.
func (c *Call) Mismatch() {
	c.door.counts.mismatches.Add(1)
	c.Fail(KeyReused())
}

// Replay gives a kept answer again, or says that the key was used for something else.
func (c *Call) Replay(t Turn, a mail.Answer) {
	if a.Fingerprint != t.Once.Fingerprint {
		c.Mismatch()
		return
	}
	c.Answer(a, t.Once.Key, true)
}

// KeyReused is the fault of a key used again with another request.
func KeyReused() *mail.Error {
	return &mail.Error{Code: "idempotency_key_reused", Status: 422,
		Message: "This idempotency key was used with another request. Use a new key for a new request."}
}

// Begin is all that comes before the work of a POST that can be repeated: the turn at
// its key, the look-up of a remembered answer, then the limits. False: it has answered,
// and there is no turn to leave.
func (c *Call) Begin(route, key string, fingerprint [32]byte) (Turn, bool) {
	t, ok := c.Turn(route, key, fingerprint)
	if !ok {
		return t, false
	}
	if c.Remembered(t) || !c.Admit() {
		t.Leave()
		return Turn{}, false
	}
	return t, true
}

// Finish answers a work's end: its answer, a replay that the store found, or an error.
func (c *Call) Finish(t Turn, a mail.Answer, err error) {
	var replayed *mail.Replayed
	switch {
	case errors.As(err, &replayed) && t.Once != nil:
		c.Excuse()
		c.Replay(t, replayed.Answer)
	case err != nil:
		c.Fail(err)
	case t.Once != nil:
		c.Answer(a, t.Once.Key, false)
	default:
		c.Answer(a, "", false)
	}
}
