package hyvor

import (
	"cmp"
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/webhook"
)

// The events of this dialect with what they are made of here. Two of ours are two of
// theirs: a bounce after the last retry is a failure there.
var hookEvents = []struct {
	name string
	ours []mail.EventType
}{
	{"send.recipient.accepted", []mail.EventType{mail.EventDelivered}},
	{"send.recipient.deferred", []mail.EventType{mail.EventDeferred}},
	{"send.recipient.bounced", []mail.EventType{mail.EventBounced}},
	{"send.recipient.complained", []mail.EventType{mail.EventComplained}},
	{"send.recipient.failed", []mail.EventType{mail.EventBounced, mail.EventFailed, mail.EventExpired, mail.EventCancelled}},
	{"send.recipient.suppressed", []mail.EventType{mail.EventSuppressed}},
	{"domain.created", []mail.EventType{mail.EventDomainCreated}},
	{"domain.status.changed", []mail.EventType{mail.EventDomainVerified, mail.EventDomainDegraded, mail.EventDomainFailed}},
	{"domain.deleted", []mail.EventType{mail.EventDomainDeleted}},
	{"suppression.created", []mail.EventType{mail.EventSuppressionCreated}},
	{"suppression.deleted", []mail.EventType{mail.EventSuppressionDeleted}},
}

// nameOf is what this dialect calls an event; "" = it has no name for it.
func nameOf(e *mail.Event) string {
	if e.Type == mail.EventBounced && e.Detail.Bounce != nil && e.Detail.Bounce.Reason == mail.BounceExhausted {
		return "send.recipient.failed"
	}
	for _, h := range hookEvents {
		if slices.Contains(h.ours, e.Type) {
			return h.name
		}
	}
	return ""
}

func isHookEvent(name string) bool { return typesOf([]string{name}) != nil }

// typesOf are ours that events of this dialect may be made of.
func typesOf(names []string) (types []string) {
	for _, h := range hookEvents {
		if !slices.Contains(names, h.name) {
			continue
		}
		for _, t := range h.ours {
			if !slices.Contains(types, string(t)) {
				types = append(types, string(t))
			}
		}
	}
	return types
}

// namesOf are the events an endpoint is shown with.
func namesOf(e *webhook.Endpoint) []string {
	if e.Names != nil {
		return e.Names
	}
	names := []string{}
	for _, h := range hookEvents {
		if slices.ContainsFunc(h.ours, func(t mail.EventType) bool { return eventlog.MatchType(e.Events, t) }) {
			names = append(names, h.name)
		}
	}
	return names
}

// Format writes hooks as this dialect's receivers expect them: {"event", "payload"}. It is
// a webhook.Format, a webhook.Chooser and a webhook.Pager.
type Format struct {
	Archive interface {
		Find(ctx context.Context, owner mail.Owner, ref string) (*archive.Record, error)
		FindAll(ctx context.Context, owner mail.Owner, ids []mail.ID) ([]archive.Record, error)
		Attempts(ctx context.Context, r *archive.Record) ([]archive.AttemptOf, error)
		AttemptsOf(ctx context.Context, owner mail.Owner, messages []int64) (map[int64][]archive.AttemptOf, error)
	}
	Domains interface {
		Find(ctx context.Context, project int64, ref string) (project.Domain, error)
		List(ctx context.Context, project int64) ([]project.Domain, error)
		Records(d project.Domain) []project.Record
	}
	// Suppressions finds them by their ids, as the store does.
	Suppressions interface {
		Suppression(ctx context.Context, owner mail.Owner, id mail.ID) (mail.Suppression, error)
		SuppressionsByID(ctx context.Context, owner mail.Owner, ids []mail.ID) ([]mail.Suppression, error)
	}

	page *hookPage // what was read already; nil: nothing
}

// Speaks tells whether there is a name for a type.
func (f *Format) Speaks(t mail.EventType) bool { return nameOf(&mail.Event{Type: t}) != "" }

// Tells tells whether an endpoint that names events of this dialect named this one.
func (f *Format) Tells(n *eventlog.Entry, e *webhook.Endpoint) bool {
	name := nameOf(&n.Event)
	return name != "" && (e.Names == nil || slices.Contains(e.Names, name))
}

// readTime bounds what writing a body may read.
const readTime = 10 * time.Second

// Body writes an entry; nil: this dialect has nothing to say of it (any more).
func (f *Format) Body(n *eventlog.Entry, e *webhook.Endpoint) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), readTime)
	defer cancel()
	name := nameOf(&n.Event)
	var payload any
	var addresses []string
	var err error
	switch {
	case strings.HasPrefix(name, "send."):
		payload, addresses, err = f.aboutSend(ctx, n, e)
	case strings.HasPrefix(name, "suppression."):
		payload, err = suppressionOfEvent(n)
	case strings.HasPrefix(name, "domain."):
		payload, err = f.aboutDomain(ctx, n)
	}
	if err != nil || payload == nil {
		return nil, err
	}
	body, err := json.Marshal(hookOut{name, payload}, json.Deterministic(true))
	if err == nil && slices.Contains(e.Redact, "recipient") {
		body = withoutAddresses(body, append(addresses, n.Detail.Recipient))
	}
	return body, err
}

// withoutAddresses hides addresses wherever a body has them: replies and conversations name
// them too.
func withoutAddresses(body []byte, addresses []string) []byte {
	for _, address := range addresses {
		quoted, err := jsontext.AppendQuote(nil, address)
		if err != nil || address == "" {
			continue
		}
		as := regexp.MustCompile(`(?i)` + regexp.QuoteMeta(string(quoted[1:len(quoted)-1])))
		body = as.ReplaceAllLiteral(body, []byte(webhook.Redacted))
	}
	return body
}

type hookOut struct {
	Event   string `json:"event"`
	Payload any    `json:"payload"`
}

type sendPayload struct {
	Send      sendOut      `json:"send"`
	Recipient recipientOut `json:"recipient"`
}

type attemptPayload struct {
	sendPayload
	Attempt *attemptOut `json:"attempt"`
}

type bouncePayload struct {
	attemptPayload
	Bounce bounceOut `json:"bounce"`
}

type complaintPayload struct {
	sendPayload
	Complaint complaintOut `json:"complaint"`
}

type suppressedPayload struct {
	sendPayload
	Suppression suppressionOut `json:"suppression"`
}

type bounceOut struct {
	Text   string `json:"text"`
	Status string `json:"status"` // "5.1.1"
}

type complaintOut struct {
	Text string `json:"text"`
	Type string `json:"feedback_type"`
}

// aboutSend tells of a recipient, as it was by this event; the rest of the send is as it is.
// It also gives the addresses that the send is about.
func (f *Format) aboutSend(ctx context.Context, n *eventlog.Entry, e *webhook.Endpoint) (payload any, addresses []string, err error) {
	if n.Message == nil || n.Delivery == nil {
		return nil, nil, nil // retention was faster
	}
	r, err := f.record(ctx, n)
	if errors.Is(err, mail.ErrNotFound) { // an example
		r, err = &archive.Record{Message: *n.Message, Deliveries: []mail.Delivery{*n.Delivery}}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	p := sendPayload{Send: sendOf(r), Recipient: recipientOf(n.Delivery)}
	p.Recipient.Status = statusByEvent(n)
	if n.Detail.Attempt > 0 {
		p.Recipient.Tries = n.Detail.Attempt
	}
	for i := range p.Send.Recipients {
		if p.Send.Recipients[i].ID == p.Recipient.ID {
			p.Send.Recipients[i] = p.Recipient
		}
	}
	p.Send.Status = overall(p.Send.Recipients)
	for i := range r.Deliveries {
		addresses = append(addresses, r.Deliveries[i].Address)
	}
	redact(&p, e.Redact)
	switch n.Type {
	case mail.EventComplained:
		return complaintPayload{p, complaintOut{n.Detail.Summary, n.Detail.FeedbackType}}, addresses, nil
	case mail.EventSuppressed:
		s, err := f.suppressing(ctx, n)
		return suppressedPayload{p, s}, addresses, err
	}
	attempt, err := f.attempt(ctx, r, n)
	if err != nil || p.Recipient.Status != statusBounced {
		return attemptPayload{p, attempt}, addresses, err
	}
	return bouncePayload{attemptPayload{p, attempt}, bounceOf(n)}, addresses, nil
}

// statusByEvent is the recipient's after an event. That a site reports a delay of what it took
// changes nothing: no hook would follow that takes it back.
func statusByEvent(n *eventlog.Entry) string {
	if before, ok := mail.ParseStatus(n.Detail.Previous); ok && n.Type == mail.EventDeferred && n.Detail.Reason == mail.BounceReported {
		return statusOf(&mail.Delivery{Status: before})
	}
	return strings.TrimPrefix(nameOf(&n.Event), "send.recipient.")
}

// redact leaves out what an endpoint does not want to be told.
func redact(p *sendPayload, what []string) {
	if slices.Contains(what, "subject") {
		p.Send.Subject = nil
	}
	if slices.Contains(what, "recipient") {
		p.Recipient.Address, p.Recipient.Name = "", ""
		for i := range p.Send.Recipients {
			p.Send.Recipients[i].Address, p.Send.Recipients[i].Name = "", ""
		}
	}
}

// attempt gives the one an event tells of; nil: none was made, or it is a later report.
func (f *Format) attempt(ctx context.Context, r *archive.Record, n *eventlog.Entry) (*attemptOut, error) {
	id, err := mail.ParseID(mail.PrefixAttempt, n.Detail.AttemptID)
	if err != nil {
		return nil, nil
	}
	all, err := f.attempts(ctx, r)
	if err != nil && !errors.Is(err, mail.ErrNotFound) {
		return nil, err
	}
	row := int64(0)
	for i := range all {
		if all[i].ID == id {
			row = all[i].Row
		}
	}
	for _, a := range attemptsOf(r, all) {
		if slices.ContainsFunc(a.Recipients, func(x attemptRecipientOut) bool { return x.ID == row }) {
			return &a, nil
		}
	}
	return nil, nil
}

// bounceOf is the site's word: at once its reply, later its report.
func bounceOf(n *eventlog.Entry) (out bounceOut) {
	if b := n.Detail.Bounce; b != nil && b.Report != nil {
		return bounceOut{cmp.Or(b.Report.Diagnostic, n.Detail.Summary), b.Report.Status}
	}
	if reply := n.Detail.Reply; reply != nil {
		return bounceOut{reply.Text, reply.Enhanced}
	}
	if b := n.Detail.Bounce; b != nil && b.Reply != nil {
		return bounceOut{b.Reply.Text, b.Reply.Enhanced}
	}
	return bounceOut{Text: n.Detail.Summary}
}

type suppressionPayload struct {
	Suppression suppressionOut `json:"suppression"`
}

// suppressionOfEvent is a suppression as an event tells of it.
func suppressionOfEvent(n *eventlog.Entry) (p suppressionPayload, err error) {
	s := mail.Suppression{Row: eventlog.RowOf(&n.Event), Address: n.Detail.Recipient, Reason: n.Detail.Reason, CreatedAt: n.At}
	if d := n.Detail.Suppression; d != nil {
		s.Kind, s.CreatedAt = d.Kind, d.Since
	}
	if len(n.Detail.Facts) > 0 {
		var said struct {
			Detail string `json:"detail"`
			Note   string `json:"note"`
		}
		if err := json.Unmarshal(n.Detail.Facts, &said); err != nil {
			return p, err
		}
		s.Detail, s.Note = said.Detail, said.Note
	}
	return suppressionPayload{suppressionOf(&s)}, nil
}

// suppressing is what kept a recipient from being written to, as far as it is still known:
// one that was lifted meanwhile, and the sandbox's own, have no number.
func (f *Format) suppressing(ctx context.Context, n *eventlog.Entry) (suppressionOut, error) {
	s := mail.Suppression{Address: mail.FoldAddress(n.Delivery.Address), CreatedAt: n.At}
	d := n.Detail.Suppression
	if d == nil {
		return suppressionOf(&s), nil
	}
	s.Reason, s.Kind, s.CreatedAt = d.Reason, d.Kind, d.Since
	if id, err := mail.ParseID(mail.PrefixSuppression, d.Public); err == nil {
		switch kept, err := f.suppression(ctx, n.Owner, id); {
		case err == nil:
			s = kept
		case !errors.Is(err, mail.ErrNotFound):
			return suppressionOut{}, err
		}
	}
	return suppressionOf(&s), nil
}

type domainPayload struct {
	Domain domainOut `json:"domain"`
}

type domainChangePayload struct {
	domainPayload
	Old    string        `json:"old_status"`
	New    string        `json:"new_status"`
	Result dkimResultOut `json:"dkim_result"`
}

type dkimResultOut struct {
	Verified bool    `json:"verified"`
	At       int64   `json:"checked_at"`
	Error    *string `json:"error_message"`
}

// aboutDomain tells of a domain as it is; of one that is gone what the event kept.
func (f *Format) aboutDomain(ctx context.Context, n *eventlog.Entry) (any, error) {
	d, err := f.domain(ctx, n)
	var out domainOut
	switch {
	case err == nil:
		out = domainOf(&d, f.Domains.Records)
	case errors.Is(err, mail.ErrNotFound):
		var kept struct {
			Name   string `json:"name"`
			Status string `json:"status"`
		}
		if len(n.Detail.Facts) > 0 {
			if err := json.Unmarshal(n.Detail.Facts, &kept); err != nil {
				return nil, err
			}
		}
		out = domainOut{ID: eventlog.RowOf(&n.Event), Domain: kept.Name, Status: domainStatus(kept.Status), CreatedAt: n.At.Unix(), ChangedAt: n.At.Unix()}
	default:
		return nil, err
	}
	status := ""
	switch n.Type {
	case mail.EventDomainVerified:
		status = project.DomainVerified
	case mail.EventDomainDegraded:
		status = project.DomainDegraded
	case mail.EventDomainFailed:
		status = project.DomainFailed
	default:
		return domainPayload{out}, nil
	}
	out.Status = domainStatus(status)
	result := dkimResultOut{Verified: status == project.DomainVerified, At: n.At.Unix()}
	if !result.Verified {
		said := n.Detail.Summary
		result.Error = &said
	}
	return domainChangePayload{domainPayload{out}, domainStatus(n.Detail.Previous), out.Status, result}, nil
}
