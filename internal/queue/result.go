package queue

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/lane"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/route"
)

const (
	// What was given back for a fault of ours is not tried again at once, so that a
	// fault that stays does not spin.
	faultWait = 5 * time.Second
	// A suppression that mail to the sandbox's own recipients caused goes away again.
	sandboxSuppression = time.Hour
)

func random() float64 { return rand.Float64() }

// done takes back a job from the lanes, or from before them: with what became of each of
// its works.
func (q *Queue) done(job *lane.Job, attempts []mail.Attempt) {
	now := q.o.Now()
	l := job.Holder.(*load)
	q.foresight.forget(l.Works)
	if len(l.Works) == 1 {
		q.stats.count(attempts[0].Outcome)
		q.settler.add(settling{load: l, one: q.resultOf(l.Works[0], &attempts[0], now)})
		return
	}
	results := make([]Result, len(l.Works))
	for i, w := range l.Works {
		q.stats.count(attempts[i].Outcome)
		results[i] = q.resultOf(w, &attempts[i], now)
	}
	q.settler.add(settling{load: l, more: results})
}

// resultOf works out what a delivery becomes by an attempt.
func (q *Queue) resultOf(w *mail.Work, a *mail.Attempt, now time.Time) Result {
	r := Result{Lease: w.Lease, Tries: w.Delivery.Tries}
	if a.Outcome.Tried() {
		r.Attempt, r.Site = a, a.Site
		r.Tries++
		a.Number = r.Tries
		if a.ID.IsZero() {
			a.ID = mail.NewID(now)
		}
	}
	switch a.Outcome {
	case mail.OutcomeDelivered:
		q.delivered(&r, w, now)
	case mail.OutcomeBounced:
		q.bounced(&r, w, now)
	case mail.OutcomeDeferred, mail.OutcomeUncertain:
		q.deferred(&r, w, now)
	case mail.OutcomeSuppressed:
		q.suppressed(&r, w, now)
	case mail.OutcomeExpired:
		expires := w.Message.ExpiresAt
		q.end(&r, w, now, mail.Expired, mail.EventExpired, mail.Detail{ExpiresAt: &expires, Attempt: r.Tries})
	case mail.OutcomeFailed:
		q.end(&r, w, now, mail.Failed, mail.EventFailed, mail.Detail{Reason: "content_lost", Attempt: r.Tries, Summary: a.Reply.Text})
	default:
		// Untried, and cancelled: then the store ended the lease already, with its event,
		// and this result is lost.
		q.returned(&r, w, a, now)
	}
	return r
}

// end makes a result final, with one event.
func (q *Queue) end(r *Result, w *mail.Work, now time.Time, status mail.Status, kind mail.EventType, d mail.Detail) {
	r.Status = status
	d.Previous = w.Delivery.Status.String()
	e := q.event(w, kind, now)
	e.Detail = d
	r.Events = []mail.Event{e}
}

// told is what the event of an attempt says in any case.
func told(r *Result) mail.Detail {
	a := r.Attempt
	return mail.Detail{
		Summary: summary(&a.Reply), Attempt: r.Tries, AttemptID: a.ID.Text(mail.PrefixAttempt),
		Site: a.Site, Host: a.Host, Source: a.Source, TLS: a.TLS, Reply: &a.Reply, Class: a.Class,
	}
}

// summary is a reply in one line.
func summary(r *mail.Reply) string {
	text, _, _ := strings.Cut(r.Text, "\n")
	if r.Code == 0 {
		return text
	}
	b := make([]byte, 0, 12+len(text))
	b = strconv.AppendInt(b, int64(r.Code), 10)
	if r.Enhanced != "" && !strings.HasPrefix(text, r.Enhanced) {
		b = append(append(b, ' '), r.Enhanced...)
	}
	return string(append(append(b, ' '), text...))
}

func (q *Queue) delivered(r *Result, w *mail.Work, now time.Time) {
	d := told(r)
	ms := r.Attempt.Duration.Milliseconds()
	d.DeliveryMS = &ms
	q.end(r, w, now, mail.Delivered, mail.EventDelivered, d)
}

// bounced is a refusal for good. If it blames the recipient, writing again would be
// wrong: the address enters the suppression list.
func (q *Queue) bounced(r *Result, w *mail.Work, now time.Time) {
	a, d := r.Attempt, told(r)
	r.Bounce = &mail.Bounce{Type: "hard", Reason: "rejected", Class: a.Class, Attempts: r.Tries, Reply: &a.Reply}
	d.Bounce = r.Bounce
	if a.Class.Suppresses() {
		r.Suppress = suppression(w, mail.KindHardBounce, now)
		r.Suppress.Detail = d.Summary
		d.SuppressionID = r.Suppress.ID.Text(mail.PrefixSuppression)
	}
	q.end(r, w, now, mail.Bounced, mail.EventBounced, d)
}

func suppression(w *mail.Work, kind string, now time.Time) *mail.Suppression {
	s := &mail.Suppression{
		ID: mail.NewID(now), Owner: w.Delivery.Owner, Address: mail.FoldAddress(w.Delivery.Address),
		Reason: kind, Kind: kind, Source: "system", Message: w.Message.ID, CreatedAt: now,
	}
	if route.IsSandbox(w.Delivery.Destination) {
		s.ExpiresAt = now.Add(sandboxSuppression)
	}
	return s
}

// deferred is a failure for now: the next attempt has a time, or there is none left.
// After an uncertain one the site may have the message; it is tried again all the same,
// under the same Message-ID, since losing it would be worse.
func (q *Queue) deferred(r *Result, w *mail.Work, now time.Time) {
	a, d := r.Attempt, told(r)
	if a.Outcome == mail.OutcomeUncertain {
		d.Reason = "uncertain_after_data"
	}
	if r.Tries > len(q.o.Schedule) {
		r.Bounce = &mail.Bounce{Type: "soft", Reason: "retries_exhausted", Class: a.Class, Attempts: r.Tries, Reply: &a.Reply}
		d.Bounce = r.Bounce
		q.end(r, w, now, mail.Bounced, mail.EventBounced, d)
		return
	}
	r.Status, r.Wait = mail.Deferred, mail.WaitRetry
	r.Due = now.Add(q.wait(r.Tries, a.Scale, a.RetryAfter))
	if until := w.Message.ExpiresAt; !until.IsZero() && until.Before(r.Due) {
		r.Due = until // to tell of its end in time
	}
	left := len(q.o.Schedule) + 1 - r.Tries
	due := r.Due
	d.NextAttemptAt, d.AttemptsLeft = &due, &left
	d.Previous = w.Delivery.Status.String()
	e := q.event(w, mail.EventDeferred, now)
	e.Detail = d
	r.Events = []mail.Event{e}
}

// wait is how long to wait after so many tries: the ladder's step ±10 %, hastened by scale,
// at least floor.
func (q *Queue) wait(tries int, scale float64, floor time.Duration) time.Duration {
	step := q.o.Schedule[max(tries, 1)-1]
	if scale > 0 {
		step = time.Duration(float64(step) * scale)
	}
	return max(time.Duration(float64(step)*(0.9+0.2*q.o.Jitter())), floor)
}

func (q *Queue) suppressed(r *Result, w *mail.Work, now time.Time) {
	if s, ok := q.blocked.LoadAndDelete(w); ok {
		r.Blocked = s.(*mail.Suppression)
	}
	var d mail.Detail
	if s := r.Blocked; s != nil {
		d.Suppression = &mail.SuppressedBy{
			ID: s.ID, Public: s.ID.Text(mail.PrefixSuppression), Reason: s.Reason, Kind: s.Kind, Since: s.CreatedAt,
		}
	}
	q.end(r, w, now, mail.Suppressed, mail.EventSuppressed, d)
}

// returned is a lease given back: nothing was tried, nobody is told. What only lacked
// room keeps its place in the order; after a fault of ours it waits a moment.
func (q *Queue) returned(r *Result, w *mail.Work, a *mail.Attempt, now time.Time) {
	r.Status, r.Wait, r.Due = w.Delivery.Status, a.Wait, w.Delivery.Due
	if r.Due.IsZero() {
		r.Due = w.Message.CreatedAt
	}
	switch {
	case a.RetryAfter > 0:
		r.Due = now.Add(a.RetryAfter)
	case a.Wait == mail.WaitLaneFull || a.Wait == mail.WaitRescued:
	case q.stopping.Load():
		r.Wait = mail.WaitRescued
	default:
		r.Due = now.Add(faultWait)
	}
	if r.Wait == mail.NoWait {
		r.Wait = mail.WaitRetry
	}
}
