package queue

import (
	"context"
	"time"

	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/mail"
)

// Reporter is the part of a store that records what comes back about deliveries: by mail,
// or from the sandbox. A store without it remembers none of it.
type Reporter interface {
	// Report records what one mail tells, all of it in one commit: the outcomes with their
	// events and suppressions (unless they are there), and the record, when there is one.
	// When it was delivered stays known. A record whose digest is kept for its message
	// already changes nothing: Recorded.Again.
	//
	// Nothing is written and it is mail.ErrStale when one of the deliveries is on the wire
	// at this moment: ask again when that is settled.
	Report(ctx context.Context, now time.Time, r Report) (Recorded, error)
}

// Report is what one mail tells of the deliveries of one message.
type Report struct {
	Record   *feedback.Record // nil: none is kept, and Report is about whatever deliveries
	Outcomes []Returned
}

// Returned is what came back about one delivery.
type Returned struct {
	Delivery int64 // row
	// Status is what it becomes, where the change is one that can follow:
	//
	//	Bounced     from Delivered, and from what still waits (its retries end)
	//	Complained  from the same, and from whatever ended although the site may have had it
	//	0           it stays: the events are added to one that is Delivered or waits
	Status mail.Status
	Bounce *mail.Bounce
	// Events are of this delivery. The store fills in Detail.Previous and Detail.Report.
	Events   []mail.Event
	Suppress *mail.Suppression
}

// Complained is what a recipient's complaint comes to: e and s are an event and a suppression
// of theirs, to which is added what the complaint tells.
func Complained(e mail.Event, s *mail.Suppression, site, kind string) Returned {
	s.Detail = "complaint (" + kind + ")"
	e.Detail.FeedbackType, e.Detail.Site, e.Detail.SuppressionID = kind, site, s.ID.Text(mail.PrefixSuppression)
	e.Detail.Summary = "Reported as spam by the recipient"
	if kind != "abuse" {
		e.Detail.Summary = "Reported by the recipient: " + kind
	}
	return Returned{Delivery: e.Delivery, Status: mail.Complained, Events: []mail.Event{e}, Suppress: s}
}

// Effect is what a Returned did.
type Effect string

const (
	EffectDone Effect = "recorded"  // as told
	EffectNone Effect = "unchanged" // the delivery's state does not allow it, or it is so already
	EffectGone Effect = "gone"      // the delivery is no longer kept, or its recipient was erased
)

// Recorded tells what a report did.
type Recorded struct {
	Effects []Effect // of the outcomes, in their order
	Again   bool     // this very mail was recorded before
	Row     int64    // of the record; 0: it was not kept
}
