package webhook

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

const (
	breakAfter   = 10 // failures in a row open the breaker
	reopenAfter  = 3  // while it is half open
	probeEvery   = time.Minute
	longestRest  = time.Minute // of a whole endpoint, after a Retry-After: that one hook waits as long as it says
	disableAfter = 5 * 24 * time.Hour
	disableTries = 20
	disableSpan  = 24 * time.Hour
	keptOfGood   = 4 << 10 // bytes kept of an answer to what was delivered
)

// warnings are how long an endpoint fails before its owner is told.
var warnings = []time.Duration{time.Hour, 24 * time.Hour, 4 * 24 * time.Hour}

// schedules are the waits after failed tries by format; one try more than waits.
var schedules = map[string][]time.Duration{
	FormatStandard: {30 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour},
	FormatHyvor:    {time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour, 24 * time.Hour},
}

// outcome is what came of one post, on its way to the store.
type outcome struct {
	q      *queue
	result Result
}

// finish judges a try: what becomes of the hook, and of its endpoint.
func (s *Service) finish(ctx context.Context, q *queue, e *Endpoint, h *Hook, try *Try, probe bool) {
	now := s.o.Now()
	s.mu.Lock()
	var end string
	if !try.Abort || try.Status != 0 { // else it was never sent
		end = s.weigh(q, e, try, now)
	}
	r := s.resultOf(e, h, try, probe, now)
	q.fly--
	s.flying--
	s.mu.Unlock()
	s.counters.tried(&r, probe)
	s.settled <- outcome{q, r}
	s.postBell.ring()
	if end != "" {
		s.end(ctx, e, end)
	}
}

// weigh notes what a try says about its endpoint. It gives why the endpoint is to be
// disabled, "" when it is not.
func (s *Service) weigh(q *queue, e *Endpoint, try *Try, now time.Time) (end string) {
	st := &q.state
	if try.Delivered() {
		s.praise(q, e, now)
		return ""
	}
	st.Failures++
	st.FailedLast, st.LastError = now, describe(try)
	if st.FailingAt.IsZero() {
		st.FailingAt = now
	}
	if try.Slow() {
		q.most, q.pace = max(1, q.most/2), max(leastPace, q.pace/2)
	}
	if try.RetryAfter > 0 && (try.Status == 429 || try.Status == 503) {
		q.until = now.Add(min(try.RetryAfter, longestRest))
	}
	if st.Breaker != BreakerOpen && (st.Failures >= breakAfter || st.Breaker == BreakerHalfOpen && st.Failures >= reopenAfter) {
		st.Breaker, q.probe, q.ramp = BreakerOpen, now.Add(q.every), time.Time{}
		s.held -= q.empty()
		s.counters.opened.Add(1)
		s.o.Logger.Warn("a webhook fails; what it is owed waits", "webhook_id", e.ID.Text(PrefixEndpoint), "failures", st.Failures, "last", st.LastError)
	}
	failing := now.Sub(st.FailingAt)
	for st.Warned < len(warnings) && failing >= warnings[st.Warned] {
		s.o.Logger.Warn("a webhook has been failing", "webhook_id", e.ID.Text(PrefixEndpoint), "for", failing.Round(time.Minute).String(), "last", st.LastError)
		q.tell = append(q.tell, about(e, mail.EventWebhookFailing, "It has been failing for "+hours(warnings[st.Warned])+". "+st.LastError, now))
		st.Warned++
	}
	switch {
	case try.Gone():
		end = "the endpoint answered 410 (Gone)"
	case failing >= disableAfter && st.Failures >= disableTries && failing > disableSpan:
		end = "no success for 5 days: " + st.LastError
	}
	if end != "" && !q.ended {
		q.ended = true
		s.held -= q.empty()
		s.counters.disabled.Add(1)
		return end
	}
	return ""
}

// praise notes a success.
func (s *Service) praise(q *queue, e *Endpoint, now time.Time) {
	st := &q.state
	if st.Warned > 0 {
		s.o.Logger.Info("a webhook has recovered", "webhook_id", e.ID.Text(PrefixEndpoint))
		q.tell = append(q.tell, about(e, mail.EventWebhookRecovered, "It answers again, after "+hours(now.Sub(st.FailingAt))+".", now))
	}
	breaker := st.Breaker
	switch {
	case breaker == BreakerOpen:
		breaker, q.ramp, q.most, q.dirty = BreakerHalfOpen, now, 1, true
	case breaker == BreakerHalfOpen && now.Sub(q.ramp) >= q.every/rampPart:
		breaker, q.ramp = "", time.Time{}
	}
	*st = State{Breaker: breaker, SuccessAt: now}
	q.most, q.pace = min(mostFlying, q.most+1), min(1, q.pace*1.2+0.01)
}

// hours writes a long time.
func hours(d time.Duration) string {
	if h := int(d.Hours()); h != 1 {
		return strconv.Itoa(h) + " hours"
	}
	return "an hour"
}

// describe says in a few words how a try failed.
func describe(try *Try) string {
	if try.Status == 0 {
		return clip(try.Error, 300)
	}
	return statusVerdict(try.Status, "")
}

// resultOf decides what becomes of a hook.
func (s *Service) resultOf(e *Endpoint, h *Hook, try *Try, probe bool, now time.Time) Result {
	r := Result{Position: h.Position, Tries: h.Tries + 1, Record: Record{At: try.At, Duration: try.Duration, RequestHeaders: try.RequestHeaders, Status: try.Status,
		ResponseHeaders: try.ResponseHeaders, Response: try.Response, Error: try.Error}}
	if try.Delivered() {
		r.Status, r.Record.Response = Delivered, readable([]byte(try.Response), keptOfGood)
		return r
	}
	waits := s.o.Schedule
	if len(waits) == 0 {
		waits = schedules[e.Format]
	}
	switch {
	case try.Abort:
		r.Status = Failed
	case probe:
		r.Status, r.Tries, r.Due, r.Record.Probe = Pending, h.Tries, h.Due, true
	case r.Tries > len(waits):
		r.Status = Failed
	default:
		wait := waits[r.Tries-1]
		wait += time.Duration((rand.Float64()*0.2 - 0.1) * float64(wait))
		r.Status, r.Due = Pending, now.Add(max(wait, try.RetryAfter))
	}
	return r
}

const (
	settleMost = 256                  // results in one commit
	settleWait = 2 * time.Millisecond // how long they gather
)

// settle records outcomes, many in one commit, until there will be no more.
func (s *Service) settle(ctx context.Context) {
	for first := range s.settled {
		batch := append(make([]outcome, 0, 16), first)
		timer := time.NewTimer(settleWait)
	gather:
		for len(batch) < settleMost {
			select {
			case o, open := <-s.settled:
				if !open {
					break gather
				}
				batch = append(batch, o)
			case <-timer.C:
				break gather
			}
		}
		timer.Stop()
		s.record(ctx, batch)
	}
}

// record writes a batch; a store that fails is asked again.
func (s *Service) record(ctx context.Context, batch []outcome) {
	all := s.settlements(batch)
	for {
		lost, err := s.o.Store.SettleHooks(ctx, s.o.Now(), all)
		if err == nil {
			s.recorded(batch, lost)
			return
		}
		if ctx.Err() != nil {
			s.o.Logger.Error("what came of webhooks could not be recorded; they are posted again", "hooks", len(batch), "error", err)
			return
		}
		s.o.Logger.Error("what came of webhooks cannot be recorded; it is tried again", "hooks", len(batch), "error", err)
		pause(ctx, troubled)
	}
}

// settlements groups results by endpoint, with the states as they are now.
func (s *Service) settlements(batch []outcome) (all []Settlement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := map[*queue]int{}
	for _, o := range batch {
		i, known := at[o.q]
		if !known {
			i = len(all)
			at[o.q] = i
			all = append(all, Settlement{Endpoint: o.q.endpoint, Token: o.q.token, State: o.q.state, Events: o.q.tell})
			o.q.tell = nil
		}
		all[i].Results = append(all[i].Results, o.result)
	}
	return all
}

// recorded lets go of what is in the store now.
func (s *Service) recorded(batch []outcome, lost []int64) {
	s.mu.Lock()
	for _, o := range batch {
		o.q.done(o.result.Position)
		s.held--
		switch {
		case slices.Contains(lost, o.q.endpoint):
			s.counters.lost.Add(1)
		case o.result.Status == Pending:
			o.q.sooner(o.result.Due)
		}
		o.q.dirty = o.q.dirty || o.q.order // the next one of the message may go now
	}
	s.mu.Unlock()
	if len(lost) > 0 {
		s.leaseBell.ring()
	}
	s.postBell.ring()
}
