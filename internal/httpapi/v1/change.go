package v1

import (
	"errors"
	"net/http"
	"time"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
)

// deleteMessage takes a message back as long as no attempt began.
func (a *API) deleteMessage(c *httpapi.Call) {
	r, ok := a.find(c)
	if !ok {
		return
	}
	ch := a.change(c, r)
	ch.OnlyUntried, ch.Reason = true, "deleted"
	changed, err := a.o.Orders.Cancel(c.Context(), ch)
	if err == nil && changed.Count == 0 {
		err = &mail.Error{Code: "message_not_cancellable", Status: 404,
			Message: "It is too late to take this message back: an attempt began, or it is " + r.Overall().String() + " already."}
	}
	a.showChanged(c, r, err)
}

// cancel stops what can still be stopped, per recipient.
func (a *API) cancel(c *httpapi.Call) {
	reason := ""
	a.order(c, []string{"reason"}, func(f *form, name string, v value) {
		if v.isNull() {
			return
		}
		if reason, _ = f.text(name, v); len(reason) > 200 {
			f.fault(name, "too_long", "'reason' is at most 200 bytes.")
		}
	}, func(ch queue.Change) (queue.Changed, error) {
		ch.Reason = reason
		return a.o.Orders.Cancel(c.Context(), ch)
	}, func(d *mail.Delivery) {
		d.Status, d.Wait = mail.Cancelled, mail.NoWait
	})
}

// sendNow makes what is scheduled or deferred due at once; pacing still holds.
func (a *API) sendNow(c *httpapi.Call) {
	a.order(c, nil, func(*form, string, value) {}, func(ch queue.Change) (queue.Changed, error) {
		return a.o.Orders.SendNow(c.Context(), ch)
	}, func(d *mail.Delivery) {
		if d.Status == mail.Scheduled {
			d.Status, d.Wait = mail.Queued, mail.WaitNew
		}
	})
}

// order is a POST that changes one message. after says what it makes of an open
// delivery, for the answer that is kept under an idempotency key: it is written inside
// the commit, where the message cannot be read again. Where only some of the open
// deliveries were changed it shows the message's new status and its recipients as they
// were; links and GET have the present.
func (a *API) order(c *httpapi.Call, fields []string, each func(*form, string, value), do func(queue.Change) (queue.Changed, error), after func(*mail.Delivery)) {
	f, ok := a.readForm(c, fields, each)
	if !ok {
		return
	}
	turn, ok := f.start()
	if !ok {
		return
	}
	defer turn.Leave()
	r, ok := a.find(c)
	if !ok {
		return
	}
	ch := a.change(c, r)
	ch.Once = turn.Once
	ch.Answer = func(changed queue.Changed) mail.Answer { return orderAnswer(turn.Once, r, changed, after) }
	changed, err := do(ch)
	if err == nil && changed.Count == 0 {
		err = stateConflict(r)
	}
	if turn.Once != nil {
		a.finishOrder(c, turn, r, changed.Answer, err)
		return
	}
	a.showChanged(c, r, err)
}

func (a *API) finishOrder(c *httpapi.Call, turn httpapi.Turn, r *archive.Record, answer mail.Answer, err error) {
	var conflict *conflictError
	if errors.As(err, &conflict) {
		a.failOrder(c, err)
		return
	}
	if errors.Is(err, mail.ErrNotFound) {
		err = messageNotFound()
	}
	c.Finish(turn, answer, err)
}

func orderAnswer(once *mail.Once, r *archive.Record, changed queue.Changed, after func(*mail.Delivery)) mail.Answer {
	if once == nil || changed.Count == 0 {
		return mail.Answer{}
	}
	copied := *r
	copied.Deliveries = append([]mail.Delivery(nil), r.Deliveries...)
	open := 0
	for i := range copied.Deliveries {
		if !copied.Deliveries[i].Status.Final() {
			open++
		}
	}
	for i := range copied.Deliveries {
		if d := &copied.Deliveries[i]; open <= changed.Count && !d.Status.Final() {
			after(d)
		}
	}
	out := messageOf(&copied)
	if changed.Status != 0 {
		out.Status = changed.Status.String()
	}
	return mail.Answer{Status: http.StatusOK, Body: encode(out), RequestID: once.RequestID, Fingerprint: once.Fingerprint, Expires: once.Expires}
}

func (a *API) change(c *httpapi.Call, r *archive.Record) queue.Change {
	return queue.Change{Owner: c.Who.Owner, Message: r.Message.ID, Now: a.now(), By: c.Who.By(),
		Answer: func(queue.Changed) mail.Answer { return mail.Answer{} }}
}

// conflictError is an order the message's state does not allow.
type conflictError struct{ state string }

func (e *conflictError) Error() string { return "the message is " + e.state }

func stateConflict(r *archive.Record) error { return &conflictError{r.Overall().String()} }

func (a *API) failOrder(c *httpapi.Call, err error) {
	var conflict *conflictError
	if errors.As(err, &conflict) {
		c.Problem(httpapi.Problem{Code: "state_conflict", Detail: "The message is " + conflict.state + ": that does not allow it any more.",
			Extra: []httpapi.Extra{{Name: "current_state", Value: conflict.state}}})
		return
	}
	if errors.Is(err, mail.ErrNotFound) {
		err = messageNotFound()
	}
	c.Fail(err)
}

// showChanged answers the message as it is after an order.
func (a *API) showChanged(c *httpapi.Call, r *archive.Record, err error) {
	if err != nil {
		a.failOrder(c, err)
		return
	}
	now, err := a.o.Archive.Find(c.Context(), c.Who.Owner, r.Message.ID.Text(mail.PrefixMessage))
	if err != nil {
		a.failOrder(c, err)
		return
	}
	give(c, http.StatusOK, messageOf(now))
}

// How far a scheduled time may be off (api-v1.md §1.7, §3.1).
const (
	scheduleSlack   = time.Minute
	scheduleHorizon = 90 * 24 * time.Hour
	maxTags         = 10
	maxTag          = 64
	maxMetadata     = 50
	maxMetadatum    = 512
)

// patchMessage changes what is still scheduled: its time, tags and metadata.
func (a *API) patchMessage(c *httpapi.Call) {
	r, ok := a.find(c)
	if !ok {
		return
	}
	ch := a.change(c, r)
	ch.To = r.Message.ScheduledAt
	f, ok := a.readForm(c, []string{"scheduled_time", "scheduled_at", "send_at", "send_after", "tags", "metadata"}, func(f *form, name string, v value) {
		switch {
		case v.isNull():
			f.fault(name, "invalid_value", "'"+name+"' cannot be null. To send it at once use POST …/send-now.")
		case name == "tags":
			tags := f.texts(name, v)
			judgeTags(f, tags)
			ch.Tags = &tags
		case name == "metadata":
			ch.Metadata = judgeMetadata(f, v)
		default:
			if t, ok := f.moment(name, v); ok {
				ch.To = a.judgeSchedule(f, name, t)
			}
		}
	})
	if !ok || f.failed() {
		return
	}
	changed, err := a.o.Orders.Reschedule(c.Context(), ch)
	if err == nil && changed.Count == 0 {
		err = stateConflict(r)
	}
	a.showChanged(c, r, err)
}

func (a *API) judgeSchedule(f *form, name string, t time.Time) time.Time {
	now := a.now()
	switch {
	case t.Before(now.Add(-scheduleSlack)):
		f.fault(name, "scheduled_time_in_past", "The time has passed already.")
	case t.After(now.Add(scheduleHorizon)):
		f.fault(name, "scheduled_time_too_far", "A message can be scheduled at most 90 days ahead.")
	case t.Before(now):
		return now
	}
	return t
}

func judgeTags(f *form, tags []string) {
	if len(tags) > maxTags {
		f.fault("tags", "too_many", "A message has at most 10 tags.")
		return
	}
	for i, t := range tags {
		if len(t) > maxTag || t == "" {
			f.fault(indexed("tags", i), "too_long", "A tag has 1 to 64 characters.")
		}
	}
}

func judgeMetadata(f *form, v value) *map[string]string {
	out := map[string]string{}
	for _, h := range f.pairs("metadata", v) {
		if len(h.Value) > maxMetadatum || len(h.Name) > maxMetadatum {
			f.faultAt("metadata."+clip(h.Name, 64), "#/metadata"+mail.PointerStep(clip(h.Name, 200)), "too_long", "A metadata value has at most 512 characters.")
		}
		out[h.Name] = h.Value
	}
	if len(out) > maxMetadata {
		f.fault("metadata", "too_many", "A message has at most 50 metadata entries.")
	}
	return &out
}
