package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/submit"
)

// prober is a readiness over things a test can break.
type prober struct {
	readiness
	clock      time.Time
	pings      int
	pingErr    error
	have, want int
	room       int64
	files      int64
}

func newProber() *prober {
	p := &prober{clock: time.Unix(1000, 0), have: 3, want: 3, room: 1 << 30, files: 1 << 20}
	p.now = func() time.Time { return p.clock }
	p.log = slog.New(slog.DiscardHandler)
	p.readiness.room = submit.NewPressure(submit.PressureOptions{DiskFloor: 256 << 20,
		Room: func() (submit.Room, error) { return submit.Room{DiskBytes: p.room, DiskFiles: p.files}, nil }}).Check
	p.schema = func(context.Context) (int, int, error) { return p.have, p.want, nil }
	p.ping = func(context.Context) error { p.pings++; return p.pingErr }
	return p
}

func (p *prober) probe() (int, string) {
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
	return w.Code, w.Body.String()
}

func TestReadinessFollowsStoreSchemaAndDisk(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(*prober)
		says  string
	}{
		"the store cannot commit": {func(p *prober) { p.pingErr = errors.New("disk I/O error at /secret/path") }, `"store"`},
		"the schema is behind":    {func(p *prober) { p.have = 2 }, "schema: 2, this version needs 3"},
		"the disk is nearly full": {func(p *prober) { p.room = 100 << 20 }, "100 MB free"},
		"the server is stopping":  {func(p *prober) { p.stopping.Store(true) }, "stopping"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProber()
			if code, body := p.probe(); code != 200 || !strings.Contains(body, `"ready"`) {
				t.Fatalf("before: %d %s", code, body)
			}
			c.spoil(p)
			p.clock = p.clock.Add(readinessKept)
			code, body := p.probe()
			if code != 503 || !strings.Contains(body, c.says) {
				t.Errorf("%d %s", code, body)
			}
			if strings.Contains(body, "secret") {
				t.Errorf("the answer tells too much: %s", body)
			}
		})
	}
}

func TestManyProbesAreOneLookAtTheStore(t *testing.T) {
	t.Parallel()
	p := newProber()
	for range 50 {
		p.probe()
	}
	if p.pings != 1 {
		t.Errorf("%d pings within a second", p.pings)
	}
	p.clock = p.clock.Add(-time.Hour) // a clock set back must not keep the answer for an hour
	if p.probe(); p.pings != 2 {
		t.Errorf("%d pings after the clock went back", p.pings)
	}
}
