package report

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
)

// judge works out what a report about some copies does. The first items belong to the
// outcomes, in their order; those after them only tell. why is not empty when not all of it was
// understood.
func judge(c *Copies, rep *feedback.Report, now time.Time) (outcomes []queue.Returned, items []feedback.RecordItem, why string) {
	switch rep.Kind {
	case feedback.KindBounce:
		return bounces(c, rep, now)
	case feedback.KindComplaint:
		return complaints(c, rep, now)
	}
	return nil, nil, "it is neither a bounce report nor a complaint"
}

// bounces tells each delivery its worst news.
func bounces(c *Copies, rep *feedback.Report, now time.Time) (outcomes []queue.Returned, items []feedback.RecordItem, why string) {
	all := match(c, rep.Recipients)
	slices.SortStableFunc(all, func(a, b told) int { return a.rank() - b.rank() })
	var only []feedback.RecordItem
	done := map[int64]bool{}
	for i := range all {
		t := &all[i]
		item := feedback.RecordItem{Action: t.Action, Status: t.Status}
		switch {
		case t.of == nil:
			why = "it names a recipient who is none of the message's, and not clearly the one left over"
		case t.rank() == noTrouble || done[t.of.Delivery] || arrived(all, t.of):
			item.Delivery = t.of.Delivery
		default:
			done[t.of.Delivery] = true
			item.Delivery, item.Class = t.of.Delivery, t.Class()
			items, outcomes = append(items, item), append(outcomes, outcomeOf(c, t, now))
			continue
		}
		only = append(only, item)
	}
	if len(all) == 0 {
		why = "it names no recipient"
	}
	return outcomes, append(items, only...), why
}

const noTrouble = 2

// rank is how bad the news is: the worst first.
func (t *told) rank() int {
	switch t.Action {
	case "failed":
		return 0
	case "delayed":
		return 1
	}
	return noTrouble
}

// arrived tells whether somebody whom a recipient was forwarded to got it.
func arrived(all []told, of *Copy) bool {
	for _, t := range all {
		if t.of == of && (t.Action == "delivered" || t.Action == "relayed") {
			return true
		}
	}
	return false
}

// outcomeOf is what one recipient's failure or delay does.
func outcomeOf(c *Copies, t *told, now time.Time) queue.Returned {
	reply, class := t.Reply(), t.Class()
	e := event(c, t.of, mail.EventBounced, now)
	e.Detail.Class, e.Detail.Site = class, t.of.Site
	r := queue.Returned{Delivery: t.of.Delivery}
	if t.Action == "delayed" {
		e.Type, e.Detail.Reason, e.Detail.Reply = mail.EventDeferred, mail.BounceReported, &reply
		e.Detail.Summary = summary("Delayed after it was taken", t.Reported)
		r.Events = []mail.Event{e}
		return r
	}
	hard := reply.Code/100 == 5 && class != mail.ClassMailboxFull
	r.Status = mail.Bounced
	r.Bounce = &mail.Bounce{Type: "soft", Reason: mail.BounceReported, Class: class, Attempts: t.of.Tries,
		Report: &mail.BounceReport{Action: t.Action, Status: cmp.Or(t.Status, reply.Enhanced), Diagnostic: t.Diagnostic}}
	e.Detail.Bounce, e.Detail.Summary = r.Bounce, summary("Bounced after it was taken", t.Reported)
	if hard {
		r.Bounce.Type = "hard"
	}
	if hard && class.Suppresses() {
		r.Suppress = suppression(c, t.of, mail.KindHardBounce, now)
		r.Suppress.Detail, e.Detail.SuppressionID = e.Detail.Summary, r.Suppress.ID.Text(mail.PrefixSuppression)
	}
	r.Events = []mail.Event{e}
	return r
}

// summary is a report in one line.
func summary(what string, r *feedback.Reported) string {
	said, _, _ := strings.Cut(r.Diagnostic, "\n")
	if r.Status != "" && !strings.Contains(said, r.Status) {
		said = strings.TrimSpace(r.Status + " " + said)
	}
	if said == "" {
		return what
	}
	return what + ": " + said
}

// complaints are of those who made them. Types other than these are complaints, known to us or
// not: not-spam is no trouble, and opt-out is done as an unsubscribe.
func complaints(c *Copies, rep *feedback.Report, now time.Time) (outcomes []queue.Returned, items []feedback.RecordItem, why string) {
	of, why := complainers(c, rep.Complaint)
	for _, one := range of {
		item := feedback.RecordItem{Delivery: one.Delivery}
		if optsOut(rep) {
			item.Effect = string(queue.EffectDone)
		}
		items = append(items, item)
		if rep.Complaint.Type == "not-spam" || optsOut(rep) {
			continue
		}
		outcomes = append(outcomes, queue.Complained(event(c, one, mail.EventComplained, now), suppression(c, one, mail.KindComplaint, now), one.Site, rep.Complaint.Type))
	}
	return outcomes, items, why
}

func event(c *Copies, of *Copy, kind mail.EventType, now time.Time) mail.Event {
	return mail.Event{ID: mail.NewID(now), Owner: c.Owner, Type: kind, At: now, Message: c.Message, Delivery: of.Delivery}
}

func suppression(c *Copies, of *Copy, kind string, now time.Time) *mail.Suppression {
	return &mail.Suppression{ID: mail.NewID(now), Owner: c.Owner, Address: of.Address, Reason: kind, Kind: kind, Source: "system",
		Message: c.MessageID, CreatedAt: now}
}
