package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/postroad/postroad/internal/mail"
)

// readiness tells whether we can take mail: the store commits, its schema is ours, and
// the disk has room. Probes come from several sides many times a second, so an answer is
// kept for a while; the look itself is made by one caller at a time.
type readiness struct {
	ping     func(context.Context) error
	schema   func(context.Context) (have, want int, err error)
	room     func(time.Time) *mail.Error // why no mail is taken in; nil: there is room
	now      func() time.Time
	log      *slog.Logger
	stopping atomic.Bool

	mu   sync.Mutex
	at   time.Time
	last error
}

const (
	readinessKept = time.Second
	readinessTime = 5 * time.Second
)

var errStopping = errors.New("stopping")

// check gives nil or why we are not ready. What it says is safe to show: a word or two.
func (r *readiness) check(ctx context.Context) error {
	if r.stopping.Load() {
		return errStopping
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.now(); !r.at.IsZero() && now.Sub(r.at) < readinessKept && !now.Before(r.at) {
		return r.last
	}
	// The look outlives an impatient prober: its result serves the next one.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readinessTime)
	defer cancel()
	before := r.last
	r.last = r.look(ctx)
	r.at = r.now()
	if r.last != nil && before == nil {
		r.log.Warn("not ready to take mail", "reason", r.last.Error())
	} else if r.last == nil && before != nil {
		r.log.Info("ready to take mail again")
	}
	return r.last
}

func (r *readiness) look(ctx context.Context) error {
	if fault := r.room(r.now()); fault != nil {
		return errors.New(fault.Message)
	}
	have, want, err := r.schema(ctx)
	if err != nil {
		r.log.Error("read the schema's version", "error", err)
		return errors.New("store")
	}
	if have != want {
		return fmt.Errorf("schema: %d, this version needs %d", have, want)
	}
	if err := r.ping(ctx); err != nil {
		r.log.Error("write to the store", "error", err)
		return errors.New("store")
	}
	return nil
}

// serveHealth answers /healthz: the process lives.
func serveHealth(w http.ResponseWriter, _ *http.Request) {
	writeState(w, http.StatusOK, "ok", "")
}

// ServeHTTP answers /readyz.
func (r *readiness) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if err := r.check(q.Context()); err != nil {
		w.Header().Set("Retry-After", "1")
		writeState(w, http.StatusServiceUnavailable, "not ready", err.Error())
		return
	}
	writeState(w, http.StatusOK, "ready", "")
}

func writeState(w http.ResponseWriter, code int, status, reason string) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	text, err := json.Marshal(struct {
		Status string `json:"status"`
		Reason string `json:"reason,omitempty"`
	}{status, reason})
	if err == nil {
		_, _ = w.Write(append(text, '\n')) // a prober that went away is no fault of ours
	}
}
