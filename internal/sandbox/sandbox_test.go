package sandbox_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/internal/deliver"
	"github.com/postroad/postroad/internal/lane"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/route"
	"github.com/postroad/postroad/internal/sandbox"
)

// fakeQueue says what verdicts says, else yes.
type fakeQueue struct {
	verdicts []deliver.Verdict
	err      error
	begun    int
	site     string
	griefs   map[string]time.Duration
}

func (q *fakeQueue) Begin(_ context.Context, works []*mail.Work, site string) ([]deliver.Verdict, error) {
	q.begun += len(works)
	q.site = site
	if q.verdicts != nil || q.err != nil {
		return q.verdicts, q.err
	}
	all := make([]deliver.Verdict, len(works))
	for i := range all {
		all[i].Go = true
	}
	return all, nil
}

func (q *fakeQueue) Complain(w *mail.Work, after time.Duration) {
	if q.griefs == nil {
		q.griefs = map[string]time.Duration{}
	}
	q.griefs[w.Delivery.Address] = after
}

func job(tries int, addresses ...string) *lane.Job {
	j := &lane.Job{
		Message: &mail.Message{From: mail.Address{Email: "me@acme.test"}, Size: 2048},
		Route:   &route.Route{Site: "sandbox", Capture: true, Source: route.Source{Name: "default", EHLO: "mx.acme.test"}},
	}
	for _, a := range addresses {
		j.Works = append(j.Works, &mail.Work{Message: j.Message, Delivery: mail.Delivery{Address: a, Destination: mail.Address{Email: a}.Domain(), Tries: tries}})
	}
	return j
}

func carry(t *testing.T, q *fakeQueue, j *lane.Job) []mail.Attempt {
	t.Helper()
	s := sandbox.New(sandbox.Options{Begin: q}).Session(lane.Key{}, j.Route)
	defer s.Close()
	got := s.Carry(t.Context(), make(chan struct{}), j)
	if len(got) != len(j.Works) || !s.Reusable() {
		t.Fatalf("%d attempts for %d works", len(got), len(j.Works))
	}
	return got
}

func TestEachRecipientPlaysItsPart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		address  string
		tries    int
		outcome  mail.Outcome
		code     int
		enhanced string
		class    mail.Class
	}{
		{"ada@example.com", 0, mail.OutcomeDelivered, 250, "2.0.0", ""},
		{"bounced@example.com", 0, mail.OutcomeDelivered, 250, "2.0.0", ""}, // only the sandbox's own play parts
		{"delivered@sandbox.test", 0, mail.OutcomeDelivered, 250, "2.0.0", ""},
		{"whoever@sandbox.test", 0, mail.OutcomeDelivered, 250, "2.0.0", ""},
		{"bounced@sandbox.test", 0, mail.OutcomeBounced, 550, "5.1.1", mail.ClassUnknownUser},
		{"Bounced@deep.sandbox.test", 0, mail.OutcomeBounced, 550, "5.1.1", mail.ClassUnknownUser},
		{"bounced+5.2.2@sandbox.test", 0, mail.OutcomeBounced, 550, "5.2.2", mail.ClassMailboxFull},
		{"bounced+5.2.1@sandbox.test", 0, mail.OutcomeBounced, 550, "5.2.1", mail.ClassInactive},
		{"bounced+5.7.1@sandbox.test", 0, mail.OutcomeBounced, 550, "5.7.1", mail.ClassPolicy},
		{"bounced+5.5.0@sandbox.test", 0, mail.OutcomeBounced, 550, "5.5.0", mail.ClassOther},
		{"deferred@sandbox.test", 0, mail.OutcomeDeferred, 451, "4.7.1", mail.ClassGreylisted},
		{"deferred@sandbox.test", 1, mail.OutcomeDelivered, 250, "2.0.0", ""},
		{"deferred+3@sandbox.test", 2, mail.OutcomeDeferred, 451, "4.7.1", mail.ClassGreylisted},
		{"deferred+3@sandbox.test", 3, mail.OutcomeDelivered, 250, "2.0.0", ""},
		{"complained@sandbox.test", 0, mail.OutcomeDelivered, 250, "2.0.0", ""},
		{"tlsfail@sandbox.test", 4, mail.OutcomeDeferred, 451, "4.7.5", mail.ClassTLS},
	} {
		q := &fakeQueue{}
		a := carry(t, q, job(c.tries, c.address))[0]
		if a.Outcome != c.outcome || a.Reply.Code != c.code || a.Reply.Enhanced != c.enhanced || a.Class != c.class {
			t.Errorf("%s after %d tries: %v %+v %s", c.address, c.tries, a.Outcome, a.Reply, a.Class)
		}
		if (a.Advice == "") != (a.Class == "") || a.Host != "mx.sandbox.test" || a.Site != "sandbox" || a.At.IsZero() {
			t.Errorf("%s: %+v", c.address, a)
		}
		if q.begun != 1 || q.site != "sandbox" {
			t.Errorf("%s: begun %d times at %q", c.address, q.begun, q.site)
		}
	}
}

func TestTheTranscriptReadsLikeARealOneAndHasNoContent(t *testing.T) {
	t.Parallel()
	text := func(address string) string {
		var b strings.Builder
		for _, l := range carry(t, &fakeQueue{}, job(0, address))[0].Transcript {
			b.WriteString(l.From + ": " + l.Text + "\n")
		}
		return b.String()
	}
	want := `S: 220 mx.sandbox.test ESMTP sandbox
C: EHLO mx.acme.test
S: 250-mx.sandbox.test
S: 250 STARTTLS
C: MAIL FROM:<me@acme.test>
S: 250 2.1.0 Ok
C: RCPT TO:<ada@example.com>
S: 250 2.1.5 Ok
C: DATA
S: 354 End data with <CR><LF>.<CR><LF>
C: (2048 bytes)
S: 250 2.0.0 OK: captured
`
	if got := text("ada@example.com"); got != want {
		t.Errorf("got\n%s", got)
	}
	if got := text("bounced@sandbox.test"); !strings.HasSuffix(got, "S: 550 5.1.1 <bounced@sandbox.test>: Recipient address rejected: User unknown\n") {
		t.Errorf("got\n%s", got)
	}
	if got := text("tlsfail@sandbox.test"); !strings.HasSuffix(got, "S: 220 2.0.0 Ready to start TLS\n!: remote error: tls: handshake failure\n") {
		t.Errorf("got\n%s", got)
	}
}

func TestRecipientsOfOneMessageHaveTheirOwnOutcomes(t *testing.T) {
	t.Parallel()
	q := &fakeQueue{verdicts: []deliver.Verdict{{Go: true}, {Outcome: mail.OutcomeSuppressed}, {Go: true}}}
	got := carry(t, q, job(0, "bounced@sandbox.test", "complained@sandbox.test", "complained+60s@sandbox.test"))
	if got[0].Outcome != mail.OutcomeBounced || got[1].Outcome != mail.OutcomeSuppressed || got[2].Outcome != mail.OutcomeDelivered {
		t.Errorf("%v %v %v", got[0].Outcome, got[1].Outcome, got[2].Outcome)
	}
	if len(q.griefs) != 1 || q.griefs["complained+60s@sandbox.test"] != time.Minute {
		t.Errorf("complaints: %v", q.griefs)
	}
}

func TestASlowRecipientTakesItsTimeUnlessWeStop(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stop func(soft chan struct{}, cancel func())
		want mail.Outcome
		took time.Duration
	}{
		"to the end": {func(chan struct{}, func()) {}, mail.OutcomeDelivered, 30 * time.Second},
		"soft":       {func(soft chan struct{}, _ func()) { close(soft) }, mail.Untried, 10 * time.Second},
		"hard":       {func(_ chan struct{}, cancel func()) { cancel() }, mail.Untried, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				soft := make(chan struct{})
				j := job(0, "slow+30s@sandbox.test")
				time.AfterFunc(10*time.Second, func() { c.stop(soft, cancel) })
				start := time.Now()
				a := sandbox.New(sandbox.Options{Begin: &fakeQueue{}}).Session(lane.Key{}, j.Route).Carry(ctx, soft, j)[0]
				if took := time.Since(start); a.Outcome != c.want || took != c.took {
					t.Errorf("%v after %v", a.Outcome, took)
				}
				if a.Outcome == mail.OutcomeDelivered && a.Duration != c.took {
					t.Errorf("it says %v", a.Duration)
				}
				time.Sleep(time.Minute) // lets the timer of a run to the end go off
			})
		})
	}
}

func TestNothingIsBegunAfterTheStop(t *testing.T) {
	t.Parallel()
	soft := make(chan struct{})
	close(soft)
	q, j := &fakeQueue{}, job(0, "ada@example.com")
	if a := sandbox.New(sandbox.Options{Begin: q}).Session(lane.Key{}, j.Route).Carry(t.Context(), soft, j)[0]; a.Outcome != mail.Untried || q.begun != 0 {
		t.Errorf("%v, begun %d", a.Outcome, q.begun)
	}
}

func TestAFaultOfOursIsNotTheRecipients(t *testing.T) {
	t.Parallel()
	a := carry(t, &fakeQueue{err: errors.New("the store is away")}, job(0, "bounced@sandbox.test"))[0]
	if a.Outcome != mail.Untried || a.RetryAfter == 0 {
		t.Errorf("%+v", a)
	}
}
