package app

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/lane"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
	"github.com/postroad/postroad/internal/report"
	"github.com/postroad/postroad/internal/smtpd"
	"github.com/postroad/postroad/internal/submit"
)

// measured is where the numbers come from. The parts count for themselves; here the
// numbers get their names.
type measured struct {
	queue    func() queue.Stats
	depth    func(context.Context) ([]queue.Depth, error)
	door     func() httpapi.Stats
	hooks    hookMeter
	pressure func(time.Time) submit.PressureStats
	smtp     func() smtpd.Stats
	inbound  func() smtpd.Stats // of the door for reports
	reports  func() map[report.Count]int64
	now      func() time.Time
	log      *slog.Logger

	mu     sync.Mutex // of the depth, which costs a query and is kept for a while
	at     time.Time
	depths []queue.Depth
}

const depthKept = 2 * time.Second

// shownSites bounds the label "site": the sites with the most mail are named, the rest is
// summed up as "other". Sites are named by strangers' DNS, so without a bound the number
// of series would be theirs to choose.
const shownSites = 20

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("postroad_"+name, help, labels, nil)
}

var (
	descRequests   = describe("http_requests_total", "Requests answered, by class of status.", "status")
	descLimited    = describe("http_rate_limited_total", "Requests refused with 429.")
	descCrowded    = describe("http_concurrency_limited_total", "Requests refused with 429 because their key had too many running.")
	descPressed    = describe("http_pressed_total", "Requests refused with 503 before their body was read.")
	descRefused    = describe("intake_refused_total", "Refusals of mail while something was short, by what.", "short")
	descShort      = describe("intake_short", "1 while mail is refused because this is short.", "short")
	descDiskFree   = describe("disk_free_bytes", "Free bytes in the data directory's file system.")
	descFilesFree  = describe("disk_free_files", "Files that can still be made there.")
	descReplays    = describe("idempotency_replays_total", "Answers given again under an idempotency key.")
	descMismatches = describe("idempotency_mismatches_total", "Idempotency keys used again with another request.")
	descPanics     = describe("http_panics_total", "Panics caught in handlers.")
	descBodies     = describe("http_large_body_bytes", "Bytes of request bodies over 1 MB held now.")
	descAttempts   = describe("attempts_total", "Attempts by outcome.", "outcome")
	descUnsent     = describe("deliveries_unsent_total", "Deliveries that ended before the wire, by status.", "status")
	descClaimed    = describe("queue_claimed_total", "Deliveries leased by a claim.")
	descDispatched = describe("queue_dispatched_total", "Deliveries leased by their acceptance.")
	descRescued    = describe("queue_rescued_total", "Leases taken back from a crash or a lost node.")
	descLost       = describe("queue_lost_total", "Results whose lease was another's by then.")
	descRetried    = describe("queue_settle_retries_total", "Commits of results that failed and were tried again.")
	descGivenBack  = describe("queue_given_back_total", "Leases given back without an attempt.")
	descHeld       = describe("queue_held", "Deliveries in memory now.")
	descContent    = describe("queue_held_bytes", "Bytes of content in memory now.")
	descDeliveries = describe("queue_deliveries", "Open deliveries by tier and place; leased, or why they wait.", "tier", "place")
	descOldest     = describe("queue_oldest_seconds", "Age of the oldest open delivery by tier and place.", "tier", "place")
	descLanes      = describe("lanes", "Lanes with something to do.")
	descSessions   = describe("lane_sessions", "Sessions by site, the busiest sites only.", "site", "state")
	descWaiting    = describe("lane_waiting", "Jobs waiting in lanes by site and tier, the busiest sites only.", "site", "tier")
	descSMTP       = describe("smtp_messages_total", "Messages handed in by SMTP, by outcome.", "outcome")
	descSMTPConns  = describe("smtp_connections", "SMTP connections now.")
	descSMTPTaken  = describe("smtp_connections_total", "SMTP connections taken, and refused because there were too many.", "outcome")
	descSMTPKeys   = describe("smtp_wrong_keys_total", "SMTP AUTHs with a key that is unknown or over.")
	descSMTPPanics = describe("smtp_panics_total", "Panics caught in SMTP sessions.")
	descReports    = describe("reports_total", "What came back by mail, by kind and by what it did: once for each recipient it did something to.", "kind", "result")
	descInbound    = describe("inbound_letters_total", "Letters at the door for reports, by outcome; stranger: recipients that are none of ours.", "outcome")
	descInboundNow = describe("inbound_connections", "Connections to the door for reports now.")
	descInboundAll = describe("inbound_connections_total", "Connections to the door for reports taken, and refused because there were too many.", "outcome")
	descBuild      = describe("build_info", "What is running.", "version", "commit", "go")
)

// Describe names all of them.
func (m *measured) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descRequests, descLimited, descCrowded, descPressed, descRefused, descShort, descDiskFree, descFilesFree, descReplays, descMismatches, descPanics, descBodies, descAttempts, descUnsent,
		descClaimed, descDispatched, descRescued, descLost, descRetried, descGivenBack, descHeld, descContent, descDeliveries, descOldest,
		descLanes, descSessions, descWaiting, descSMTP, descSMTPConns, descSMTPTaken, descSMTPKeys, descSMTPPanics, descReports, descInbound, descInboundNow, descInboundAll, descBuild} {
		to <- d
	}
	for _, d := range hookDescs {
		to <- d
	}
}

// Collect reads the parts' counters once for a scrape.
func (m *measured) Collect(to chan<- prometheus.Metric) {
	emit := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	count := func(d *prometheus.Desc, n int64, labels ...string) {
		emit(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) { emit(d, prometheus.GaugeValue, v, labels...) }

	b := ThisBuild()
	gauge(descBuild, 1, b.Version, b.Commit, b.Go)
	m.collectDoor(count, gauge)
	m.collectSMTP(count, gauge)
	m.collectReports(count, gauge)
	q := m.queue()
	m.collectQueue(q, count, gauge)
	m.collectHooks(to, count, gauge)
	collectLanes(q.Lanes, gauge)
	for _, d := range m.depthNow() {
		place := d.Wait.String()
		if d.Wait == mail.NoWait {
			place = "leased"
		}
		gauge(descDeliveries, float64(d.Count), d.Tier.String(), place)
		if !d.Oldest.IsZero() {
			gauge(descOldest, max(0, m.now().Sub(d.Oldest).Seconds()), d.Tier.String(), place)
		}
	}
}

func (m *measured) collectSMTP(count func(*prometheus.Desc, int64, ...string), gauge func(*prometheus.Desc, float64, ...string)) {
	s := m.smtp()
	ofDoor{descSMTPConns, descSMTPTaken, descSMTP}.collect(&s, count, gauge)
	count(descSMTP, s.Replays, "replayed")
	count(descSMTPKeys, s.WrongKeys)
}

// ofDoor are the numbers that both SMTP doors have.
type ofDoor struct{ connected, connections, outcomes *prometheus.Desc }

func (d ofDoor) collect(s *smtpd.Stats, count func(*prometheus.Desc, int64, ...string), gauge func(*prometheus.Desc, float64, ...string)) {
	gauge(d.connected, float64(s.Connected))
	count(d.connections, s.Connections, "taken")
	count(d.connections, s.Refused, "refused")
	count(d.outcomes, s.Accepted, "accepted")
	count(d.outcomes, s.Rejected, "rejected")
	count(d.outcomes, s.Deferred, "deferred")
}

func (m *measured) collectReports(count func(*prometheus.Desc, int64, ...string), gauge func(*prometheus.Desc, float64, ...string)) {
	for c, n := range m.reports() {
		count(descReports, n, c.Kind, c.Result)
	}
	s := m.inbound()
	ofDoor{descInboundNow, descInboundAll, descInbound}.collect(&s, count, gauge)
	count(descInbound, s.Unwelcome, "stranger")
	count(descSMTPPanics, m.smtp().Panics+s.Panics)
}

func (m *measured) collectDoor(count func(*prometheus.Desc, int64, ...string), gauge func(*prometheus.Desc, float64, ...string)) {
	s := m.door()
	for class, n := range s.Status {
		if class > 0 {
			count(descRequests, n, strconv.Itoa(class)+"xx")
		}
	}
	count(descLimited, s.RateLimited)
	count(descCrowded, s.Crowded)
	count(descPressed, s.Pressed)
	m.collectPressure(count, gauge)
	count(descReplays, s.Replays)
	count(descMismatches, s.Mismatches)
	count(descPanics, s.Panics)
	gauge(descBodies, float64(s.BodyBytes))
}

func (m *measured) collectPressure(count func(*prometheus.Desc, int64, ...string), gauge func(*prometheus.Desc, float64, ...string)) {
	p := m.pressure(m.now())
	for short, n := range p.Refused {
		count(descRefused, n, short)
		now := 0.0
		if short == p.Reason {
			now = 1
		}
		gauge(descShort, now, short)
	}
	if p.Room.DiskBytes >= 0 {
		gauge(descDiskFree, float64(p.Room.DiskBytes))
	}
	if p.Room.DiskFiles >= 0 {
		gauge(descFilesFree, float64(p.Room.DiskFiles))
	}
}

func (m *measured) collectQueue(q queue.Stats, count func(*prometheus.Desc, int64, ...string), gauge func(*prometheus.Desc, float64, ...string)) {
	for outcome, n := range map[mail.Outcome]int64{mail.OutcomeDelivered: q.Delivered, mail.OutcomeDeferred: q.Deferred,
		mail.OutcomeBounced: q.Bounced, mail.OutcomeUncertain: q.Uncertain} {
		count(descAttempts, n, outcome.String())
	}
	for status, n := range map[mail.Status]int64{mail.Suppressed: q.Suppressed, mail.Expired: q.Expired, mail.Cancelled: q.Cancelled, mail.Failed: q.Failed} {
		count(descUnsent, n, status.String())
	}
	count(descClaimed, q.Claimed)
	count(descDispatched, q.Dispatched)
	count(descRescued, q.Rescued)
	count(descLost, q.Lost)
	count(descRetried, q.Retried)
	count(descGivenBack, q.GivenBack)
	gauge(descHeld, float64(q.Held))
	gauge(descContent, float64(q.Content))
	gauge(descLanes, float64(len(q.Lanes)))
}

// siteLoad sums up the lanes of one site.
type siteLoad struct {
	site          string
	waiting       [mail.Tiers]int
	sessions      int
	busy, backlog int
}

// collectLanes names the busiest sites and sums up the others.
func collectLanes(lanes []lane.LaneStats, gauge func(*prometheus.Desc, float64, ...string)) {
	bySite := map[string]*siteLoad{}
	for _, l := range lanes {
		s := bySite[l.Key.Site]
		if s == nil {
			s = &siteLoad{site: l.Key.Site}
			bySite[l.Key.Site] = s
		}
		s.add(l.Waiting, l.Sessions, l.Busy)
	}
	loads := make([]*siteLoad, 0, len(bySite))
	for _, s := range bySite {
		loads = append(loads, s)
	}
	slices.SortFunc(loads, func(a, b *siteLoad) int {
		return cmp.Or(cmp.Compare(b.backlog+b.sessions, a.backlog+a.sessions), cmp.Compare(a.site, b.site))
	})
	if len(loads) > shownSites {
		other := &siteLoad{site: "other"}
		for _, s := range loads[shownSites:] {
			other.add(s.waiting, s.sessions, s.busy)
		}
		loads = append(loads[:shownSites], other)
	}
	for _, s := range loads {
		gauge(descSessions, float64(s.busy), s.site, "busy")
		gauge(descSessions, float64(s.sessions-s.busy), s.site, "idle")
		for tier, n := range s.waiting {
			gauge(descWaiting, float64(n), s.site, mail.Tier(tier).String())
		}
	}
}

func (s *siteLoad) add(waiting [mail.Tiers]int, sessions, busy int) {
	for tier, n := range waiting {
		s.waiting[tier] += n
		s.backlog += n
	}
	s.sessions += sessions
	s.busy += busy
}

// depthNow counts what is in the store, at most once in a while. When the store cannot
// say, the numbers are missing rather than old.
func (m *measured) depthNow() []queue.Depth {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := m.now(); m.at.IsZero() || now.Sub(m.at) >= depthKept || now.Before(m.at) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		depths, err := m.depth(ctx)
		if err != nil {
			m.log.Warn("count the queue for the metrics", "error", err)
		}
		m.depths, m.at = depths, now
	}
	return m.depths
}

// newMetrics gives the handler of /metrics.
func newMetrics(m *measured) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: 4, ErrorLog: slog.NewLogLogger(m.log.Handler(), slog.LevelWarn)})
}
