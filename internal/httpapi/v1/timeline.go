package v1

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/webhook"
)

// eventOut is a line of a timeline: what every event has, then what its type adds.
type eventOut struct {
	ID          string    `json:"event_id"`
	Type        string    `json:"type"`
	Sequence    int       `json:"sequence"`
	At          time.Time `json:"at"`
	Recipient   string    `json:"recipient"`
	RecipientID string    `json:"recipient_id,omitempty"`
	mail.Detail `json:",inline"`
	Webhook     *toldOut `json:"webhook,omitempty"` // of a line that tells of a webhook
}

// toldOut is what became of telling an endpoint of an event. Of its URL only the host is
// shown: the rest may hold secrets, and who reads messages need not read webhooks.
type toldOut struct {
	ID          string    `json:"delivery_id"`
	Webhook     string    `json:"webhook_id"`
	Host        string    `json:"host"`
	Status      string    `json:"status"`
	Attempts    int       `json:"attempts"`
	LastStatus  *int      `json:"last_status"`
	Error       *string   `json:"error"`
	NextAttempt time.Time `json:"next_attempt_at"`
}

// maxTold bounds the webhooks' lines of one timeline.
const maxTold = 1000

func (a *API) listEvents(c *httpapi.Call) {
	l := a.list(c, "include=webhooks", "include=total")
	if l.failed() {
		return
	}
	r, ok := a.find(c)
	if !ok {
		return
	}
	events, err := a.o.Archive.Events(c.Context(), r)
	if err != nil {
		c.Fail(err)
		return
	}
	out := make([]eventOut, len(events))
	for i := range events {
		out[i] = eventOf(&events[i], r.Deliveries)
	}
	if l.includes("webhooks") {
		told, err := a.o.Webhooks.Deliveries(c.Context(), webhook.DeliveryQuery{Owner: c.Who.Owner, Message: r.Message.ID, Limit: maxTold, Last: true})
		if err != nil {
			c.Fail(err)
			return
		}
		out = withTold(out, told)
	}
	pageStory(a, l, out)
}

// pageStory answers a list that is told whole and from its beginning, unless the end is
// asked for first.
func pageStory[T any](a *API, l *listing, all []T) {
	if l.text("order") == "desc" {
		slices.Reverse(all)
	}
	pageWhole(a, l, all)
}

func eventOf(e *mail.Event, deliveries []mail.Delivery) eventOut {
	out := eventOut{ID: e.ID.Text(mail.PrefixEvent), Type: string(e.Type), Sequence: e.Sequence, At: e.At, Recipient: e.Recipient, Detail: e.Detail}
	for i := range deliveries {
		if d := &deliveries[i]; e.Delivery != 0 && d.Row == e.Delivery {
			out.RecipientID = d.ID.Text(mail.PrefixRecipient)
			if out.Recipient == "" {
				out.Recipient = d.Address
			}
		}
	}
	return out
}

// withTold merges what endpoints were told into a timeline: by time, and never before the
// event that was told.
func withTold(events []eventOut, told []webhook.Delivery) []eventOut {
	place := make(map[string]int, len(events))
	for i := range events {
		place[events[i].ID] = i
	}
	out := slices.Clone(events)
	for i := range told {
		d := &told[i]
		if at, known := place[d.Event.Text(mail.PrefixEvent)]; known { // else it came just now
			out = append(out, toldOf(d, &events[at]))
		}
	}
	slices.SortStableFunc(out, func(a, b eventOut) int { return cmp.Or(a.At.Compare(b.At), a.Sequence-b.Sequence) })
	return out
}

func toldOf(d *webhook.Delivery, of *eventOut) eventOut {
	t := &toldOut{ID: d.ID.Text(webhook.PrefixDelivery), Webhook: d.Endpoint.Text(webhook.PrefixEndpoint), Host: hostOf(d.URL), Status: d.Status,
		Attempts: d.Attempts, NextAttempt: d.NextAttempt}
	at, summary := d.CreatedAt, "Told to "+t.Host+": "+d.Status
	if len(d.Tries) > 0 {
		last := &d.Tries[len(d.Tries)-1]
		at, t.Error = last.At.Add(last.Duration), orNull(last.Error)
		if last.Status != 0 {
			t.LastStatus = &last.Status
			summary += ", it answered " + strconv.Itoa(last.Status)
		}
	}
	if at.Before(of.At) {
		at = of.At // clocks go back
	}
	return eventOut{ID: of.ID, Type: "webhook." + d.Status, Sequence: of.Sequence, At: at, Recipient: of.Recipient, RecipientID: of.RecipientID,
		Detail: mail.Detail{Summary: summary}, Webhook: t}
}

func hostOf(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return ""
	}
	return u.Host
}
