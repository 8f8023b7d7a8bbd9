package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/lane"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
	"github.com/postroad/postroad/internal/report"
	"github.com/postroad/postroad/internal/smtpd"
	"github.com/postroad/postroad/internal/submit"
)

func scrape(t *testing.T, m *measured) string {
	t.Helper()
	w := httptest.NewRecorder()
	newMetrics(m).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func newMeasured() *measured {
	now := time.Unix(1000, 0)
	return &measured{
		now: func() time.Time { return now },
		log: slog.New(slog.DiscardHandler),
		queue: func() queue.Stats {
			return queue.Stats{Delivered: 7, Uncertain: 1, Held: 3, Lanes: []lane.LaneStats{{Key: lane.Key{Source: "default", Site: "google"}, Waiting: [mail.Tiers]int{0, 2, 1}, Sessions: 3, Busy: 2}}}
		},
		door: func() httpapi.Stats {
			return httpapi.Stats{Status: [6]int64{2: 9, 4: 1}, Replays: 4, Crowded: 2, Pressed: 5}
		},
		pressure: func(time.Time) submit.PressureStats {
			return submit.PressureStats{Room: submit.Room{DiskBytes: 512, DiskFiles: -1}, Reason: "memory", Refused: map[string]int64{"memory": 3, "disk": 0}}
		},
		smtp: func() smtpd.Stats { return smtpd.Stats{Connected: 3, Accepted: 5, WrongKeys: 2, Panics: 1} },
		inbound: func() smtpd.Stats {
			return smtpd.Stats{Connected: 2, Accepted: 6, Rejected: 3, Unwelcome: 4, Panics: 1}
		},
		reports: func() map[report.Count]int64 { return map[report.Count]int64{{Kind: "bounce", Result: "recorded"}: 8} },
		depth: func(context.Context) ([]queue.Depth, error) {
			return []queue.Depth{{Tier: mail.Bulk, Wait: mail.WaitLaneFull, Count: 200000, Oldest: now.Add(-time.Minute)}, {Tier: mail.Normal, Count: 5}}, nil
		},
	}
}

func TestTheNumbersOfThePartsAreShownUnderTheirNames(t *testing.T) {
	t.Parallel()
	text := scrape(t, newMeasured())
	for _, line := range []string{
		`postroad_reports_total{kind="bounce",result="recorded"} 8`, `postroad_inbound_letters_total{outcome="accepted"} 6`,
		`postroad_inbound_letters_total{outcome="rejected"} 3`, `postroad_inbound_letters_total{outcome="stranger"} 4`, `postroad_inbound_connections 2`, `postroad_smtp_panics_total 2`,
		`postroad_attempts_total{outcome="delivered"} 7`, `postroad_attempts_total{outcome="uncertain"} 1`,
		`postroad_http_requests_total{status="2xx"} 9`, `postroad_idempotency_replays_total 4`, `postroad_queue_held 3`,
		`postroad_http_concurrency_limited_total 2`, `postroad_http_pressed_total 5`, `postroad_intake_refused_total{short="memory"} 3`,
		`postroad_intake_short{short="memory"} 1`, `postroad_intake_short{short="disk"} 0`, `postroad_disk_free_bytes 512`,
		`postroad_queue_deliveries{place="lane_full",tier="bulk"} 200000`, `postroad_queue_deliveries{place="leased",tier="normal"} 5`,
		`postroad_queue_oldest_seconds{place="lane_full",tier="bulk"} 60`,
		`postroad_lane_sessions{site="google",state="idle"} 1`, `postroad_lane_waiting{site="google",tier="normal"} 2`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("missing %s", line)
		}
	}
	if !strings.Contains(text, "process_cpu_seconds_total") || !strings.Contains(text, "postroad_build_info{") {
		t.Error("no process or build metrics")
	}
}

func TestStrangersCannotChooseTheNumberOfSeries(t *testing.T) {
	t.Parallel()
	m := newMeasured()
	m.queue = func() queue.Stats {
		var s queue.Stats
		for i := range 5000 {
			s.Lanes = append(s.Lanes, lane.LaneStats{Key: lane.Key{Site: fmt.Sprintf("mx%d.test", i)}, Waiting: [mail.Tiers]int{0, 1, 0}, Sessions: 1})
		}
		s.Lanes = append(s.Lanes, lane.LaneStats{Key: lane.Key{Site: "busiest.test"}, Waiting: [mail.Tiers]int{9, 9, 9}})
		return s
	}
	text := scrape(t, m)
	if n := strings.Count(text, "\npostroad_lane_sessions{"); n != 2*(shownSites+1) {
		t.Errorf("%d series", n)
	}
	if !strings.Contains(text, `postroad_lane_waiting{site="busiest.test",tier="urgent"} 9`) || !strings.Contains(text, `postroad_lane_waiting{site="other",tier="normal"} 4981`) {
		t.Errorf("the busiest is not named, or the rest not summed up")
	}
}

func TestTheQueueIsCountedOnceInAWhileAndNeverStale(t *testing.T) {
	t.Parallel()
	m := newMeasured()
	now, counts := time.Unix(1000, 0), 0
	m.now = func() time.Time { return now }
	depth := m.depth
	m.depth = func(ctx context.Context) ([]queue.Depth, error) { counts++; return depth(ctx) }
	for range 10 {
		m.depthNow()
	}
	if counts != 1 {
		t.Errorf("counted %d times", counts)
	}
	now = now.Add(depthKept)
	m.depth = func(context.Context) ([]queue.Depth, error) { return nil, errors.New("store down") }
	if got := m.depthNow(); got != nil {
		t.Errorf("old numbers: %v", got)
	}
}
