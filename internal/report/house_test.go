package report_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
	"github.com/postroad/postroad/internal/report"
	"github.com/postroad/postroad/internal/store"
	"github.com/postroad/postroad/internal/store/sqlite"
	"github.com/postroad/postroad/internal/submit"
	"github.com/postroad/postroad/internal/tracking"
)

const office = "abuse@mx.here.test"

// house is the service on a real store, with mail that was delivered as deliver does it.
type house struct {
	*testing.T
	store store.Store
	s     *report.Service
	paths *feedback.Tokens
	links *tracking.Tokens
	owner mail.Owner
	now   time.Time
}

func newHouse(t *testing.T, change ...func(*report.Options)) *house {
	t.Helper()
	s, err := sqlite.Open(sqlite.Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := &house{T: t, store: s, paths: feedback.NewTokens([32]byte{1}), links: tracking.NewTokens([32]byte{2}),
		owner: mail.Owner{Project: 1, Env: mail.Live}, now: time.Date(2026, 4, 19, 14, 30, 0, 0, time.UTC)}
	clock := func() time.Time { return h.now }
	o := report.Options{Store: s, Paths: h.paths, Links: h.links, Wishes: feedback.NewService(s, clock), Hostname: "mx.here.test", Now: clock,
		Log: slog.New(slog.DiscardHandler), Patience: time.Minute}
	for _, f := range change {
		f(&o)
	}
	h.s = report.New(o)
	return h
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// message is one that was sent, with what the site was told.
type message struct {
	id    mail.ID
	row   int64
	works []*mail.Work
}

// begun accepts a message and begins with all its deliveries.
func (h *house) begun(stamp string, to ...string) *message {
	h.Helper()
	m := &mail.Message{ID: mail.NewID(h.now), Owner: h.owner, From: mail.Address{Email: "hello@acme.test"}, CreatedAt: h.now, Size: 5, Stamp: stamp}
	a := &submit.Acceptance{Message: m, Content: mail.Bytes("hello"), Lease: submit.Lease{Node: "one", Until: h.now.Add(time.Minute)}}
	for _, address := range to {
		a.Deliveries = append(a.Deliveries, submit.NewDelivery{
			Delivery: mail.Delivery{ID: mail.NewID(h.now), Message: m.ID, Owner: h.owner, Address: address, Destination: mail.Address{Email: address}.Domain(),
				Status: mail.Queued, Wait: mail.WaitNew, Due: h.now},
			Events: []mail.Event{{ID: mail.NewID(h.now), Owner: h.owner, Type: mail.EventQueued, At: h.now}},
		})
	}
	_, err := h.store.Accept(h.Context(), []*submit.Acceptance{a})
	h.must(err)
	works, err := h.store.Claim(h.Context(), queue.ClaimParams{Node: "one", Now: h.now, Until: h.now.Add(time.Minute), Max: 100,
		Room: func(string, mail.Owner, mail.Tier) int { return 100 }})
	h.must(err)
	for _, w := range works {
		v, err := h.store.Begin(h.Context(), h.now, []queue.Beginning{{Lease: w.Lease, Message: w.Message.Row, Address: mail.FoldAddress(w.Delivery.Address), Owner: h.owner, Site: "site"}})
		h.must(err)
		if !v[0].Go {
			h.Fatalf("%s may not go: %+v", w.Delivery.Address, v[0])
		}
	}
	slices.SortFunc(works, func(a, b *mail.Work) int { return int(a.Delivery.Row - b.Delivery.Row) })
	return &message{m.ID, works[0].Message.Row, works}
}

// path is the return path of a delivery.
func (h *house) path(m *message, i int) string {
	return h.paths.ReturnPath("bounce.acme.test", nil, &m.works[i].Delivery)
}

// settle ends an attempt with deliveries of a message that went in one transaction, under the
// path of the first.
func (h *house) settle(m *message, status mail.Status, those ...int) {
	h.Helper()
	for _, i := range those {
		at := &mail.Attempt{ID: mail.NewID(h.now), Number: 1, At: h.now, Outcome: mail.OutcomeDelivered, Reply: mail.Reply{Code: 250, Text: "ok"}, Host: "mx.site.test", Site: "site",
			Transcript: []mail.Line{{From: "C", Text: "MAIL FROM:<" + h.path(m, those[0]) + "> SIZE=5"}}}
		r := queue.Result{Lease: m.works[i].Lease, Attempt: at, Status: status, Tries: 1, Site: "site", Events: []mail.Event{{ID: mail.NewID(h.now), Owner: h.owner, Type: mail.EventDelivered, At: h.now}}}
		switch status {
		case mail.Deferred:
			r.Wait, r.Due, r.Events[0].Type, at.Outcome = mail.WaitRetry, h.now.Add(time.Hour), mail.EventDeferred, mail.OutcomeUncertain
		case mail.Bounced:
			r.Bounce, r.Events[0].Type, at.Outcome = &mail.Bounce{Type: "hard", Reason: "rejected"}, mail.EventBounced, mail.OutcomeBounced
		}
		lost, err := h.store.Settle(h.Context(), h.now, []queue.Result{r})
		h.must(err)
		if len(lost) > 0 {
			h.Fatal("the lease was lost")
		}
	}
}

// crash ends attempts as those of a process that died with them: they have no transcript.
func (h *house) crash(m *message, those ...int) {
	h.Helper()
	for _, i := range those {
		r := queue.Result{Lease: m.works[i].Lease, Status: mail.Deferred, Wait: mail.WaitRetry, Due: h.now.Add(time.Hour), Tries: 1, Site: "site",
			Attempt: &mail.Attempt{ID: mail.NewID(h.now), Number: 1, At: h.now, Outcome: mail.OutcomeUncertain, Class: mail.ClassOther},
			Events:  []mail.Event{{ID: mail.NewID(h.now), Owner: h.owner, Type: mail.EventDeferred, At: h.now}}}
		_, err := h.store.Settle(h.Context(), h.now, []queue.Result{r})
		h.must(err)
	}
}

// delivered sends a message to recipients that shared a transaction.
func (h *house) delivered(to ...string) *message {
	h.Helper()
	m := h.begun("", to...)
	var all []int
	for i := range to {
		all = append(all, i)
	}
	h.settle(m, mail.Delivered, all...)
	return m
}

// take hands in a letter.
func (h *house) take(to, content string) {
	h.Helper()
	h.must(h.try(to, content))
}

func (h *house) try(to, content string) error {
	return h.s.Take(context.WithoutCancel(h.Context()), &report.Letter{To: strings.Fields(to), Client: netip.MustParseAddr("192.0.2.9"), Helo: "mx.site.test", Arrived: h.now,
		Content: []byte(content), Size: int64(len(content))})
}

// statuses are those of a message's recipients, in order.
func (h *house) statuses(m *message, want ...mail.Status) {
	h.Helper()
	r, err := h.store.Message(h.Context(), h.owner, m.id)
	h.must(err)
	var got []mail.Status
	for _, d := range r.Deliveries {
		got = append(got, d.Status)
	}
	if !slices.Equal(got, want) {
		h.Errorf("the recipients are %v, want %v", got, want)
	}
}

// told are the events of a message behind those of its sending.
func (h *house) told(m *message) (out []mail.Event) {
	h.Helper()
	all, err := h.store.Events(h.Context(), h.owner, m.row)
	h.must(err)
	return all[2*len(m.works):]
}

func (h *house) tells(m *message, want ...mail.EventType) []mail.Event {
	h.Helper()
	var got []mail.EventType
	events := h.told(m)
	for _, e := range events {
		got = append(got, e.Type)
	}
	if !slices.Equal(got, want) {
		h.Fatalf("told were %v, want %v", got, want)
	}
	return events
}

// suppressed are the kinds of what stands against an address.
func (h *house) suppressed(address string, want ...string) {
	h.Helper()
	all, err := h.store.SuppressionsOf(h.Context(), h.owner, address)
	h.must(err)
	var got []string
	for _, s := range all {
		got = append(got, s.Kind)
	}
	if !slices.Equal(got, want) {
		h.Errorf("%s is suppressed for %v, want %v", address, got, want)
	}
}

// counted is what the counters say, as "kind/result=n …".
func (h *house) counted(want string) {
	h.Helper()
	var got []string
	for c, n := range h.s.Stats() {
		got = append(got, fmt.Sprintf("%s/%s=%d", c.Kind, c.Result, n))
	}
	slices.Sort(got)
	if s := strings.Join(got, " "); s != want {
		h.Errorf("counted: %s; want %s", s, want)
	}
}

func (h *house) records() []feedback.Record {
	h.Helper()
	all, err := h.s.List(h.Context(), 0, 100)
	h.must(err)
	return all
}

// dsn writes a bounce report; each group is the fields of a recipient.
func dsn(groups ...string) string {
	return strings.ReplaceAll("From: MAILER-DAEMON@mx.site.test\nSubject: Undelivered Mail Returned to Sender\nMIME-Version: 1.0\n"+
		"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\nContent-Type: text/plain\n\nSorry.\n\n"+
		"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.site.test\n\n"+strings.Join(groups, "\n")+"\n--b--\n", "\n", "\r\n")
}

func group(final, action, status, diagnostic string) string {
	return "Final-Recipient: rfc822; " + final + "\nAction: " + action + "\nStatus: " + status + "\nDiagnostic-Code: smtp; " + diagnostic + "\n"
}

// arf writes a complaint about a message.
func arf(kind, fields, returned string) string {
	return strings.ReplaceAll("From: <fbl@site.test>\nSubject: FW: hello\nMIME-Version: 1.0\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\n\n"+
		"--b\nContent-Type: text/plain\n\nThis is an email abuse report.\n\n--b\nContent-Type: message/feedback-report\n\n"+
		"Feedback-Type: "+kind+"\nUser-Agent: SomeGenerator/1.0\nVersion: 1\n"+fields+"\n--b\nContent-Type: message/rfc822\n\n"+returned+"From: <hello@acme.test>\nSubject: hello\n\nhello\n--b--\n", "\n", "\r\n")
}
