package v1

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
)

// Suppressions keeps the lists: a feedback.Store, and submit.Store's look-up.
type Suppressions interface {
	AddSuppression(ctx context.Context, s mail.Suppression, once *mail.Once, answer func(s mail.Suppression, created bool) mail.Answer) (got mail.Suppression, created bool, err error)
	Suppressions(ctx context.Context, q feedback.Query) ([]mail.Suppression, error)
	Suppression(ctx context.Context, owner mail.Owner, id mail.ID) (mail.Suppression, error)
	SuppressionsOf(ctx context.Context, owner mail.Owner, address string) ([]mail.Suppression, error)
	DeleteSuppression(ctx context.Context, owner mail.Owner, id mail.ID, by string, now time.Time) (mail.Suppression, error)
	Suppressed(ctx context.Context, owner mail.Owner, addresses []string, topic string, now time.Time) (map[string]mail.Suppression, error)
}

type historyOut struct {
	At    time.Time `json:"at"`
	Event string    `json:"event"`
	By    string    `json:"by,omitempty"`
}

// suppressionOut is §6.
type suppressionOut struct {
	row           int64
	ID            string         `json:"suppression_id"`
	Object        string         `json:"object"`
	Recipient     string         `json:"recipient"`
	Reason        string         `json:"reason"`
	Kind          string         `json:"kind"`
	Topic         *string        `json:"topic"`
	Source        string         `json:"source"`
	Message       *string        `json:"message_id"`
	Detail        *string        `json:"detail"`
	Note          *string        `json:"note"`
	CreatedAt     time.Time      `json:"created_at"`
	ExpiresAt     time.Time      `json:"expires_at"`
	BlockedCount  int64          `json:"blocked_count"`
	LastBlockedAt time.Time      `json:"last_blocked_at"`
	Created       *bool          `json:"created,omitempty"`
	History       []historyOut   `json:"history,omitempty"`
	Warnings      []mail.Warning `json:"warnings,omitempty"`
}

func suppressionShape(s *mail.Suppression) suppressionOut {
	return suppressionOut{row: s.Row, ID: s.ID.Text(mail.PrefixSuppression), Object: "suppression", Recipient: s.Address, Reason: s.Reason, Kind: s.Kind,
		Topic: orNull(s.Topic), Source: s.Source, Message: orNull(s.Message.Text(mail.PrefixMessage)), Detail: orNull(s.Detail), Note: orNull(s.Note),
		CreatedAt: s.CreatedAt, ExpiresAt: s.ExpiresAt, BlockedCount: s.BlockedCount, LastBlockedAt: s.LastBlockedAt}
}

const (
	maxReason = 64
	maxTopic  = 64
	maxNote   = 500
	maxCheck  = 1000
)

func (a *API) addSuppression(c *httpapi.Call) {
	now := a.now()
	s := mail.Suppression{ID: mail.NewID(now), Owner: c.Who.Owner, Reason: mail.KindManual, Source: "api", CreatedAt: now}
	given := ""
	f, ok := a.readForm(c, []string{"recipient", "email", "reason", "topic", "note", "expires_at"}, func(f *form, name string, v value) {
		if v.isNull() {
			return
		}
		switch name {
		case "recipient", "email":
			if given != "" {
				f.fault(name, "mutually_exclusive", "Give 'recipient' or 'email', not both.")
			}
			given = name
			s.Address = f.address(name, v)
		case "reason":
			s.Reason, _ = f.text(name, v)
		case "topic":
			s.Topic, _ = f.text(name, v)
		case "note":
			s.Note, _ = f.text(name, v)
		case "expires_at":
			s.ExpiresAt, _ = f.moment(name, v)
		}
	})
	if !ok {
		return
	}
	turn, ok := f.begin()
	if !ok {
		return
	}
	defer turn.Leave()
	if given == "" {
		f.fault("recipient", "missing_required_field", "Give the address that must not be written to.")
	}
	if judgeSuppression(f, &s, now); f.failed() {
		return
	}
	s.Kind = mail.KindOf(s.Reason)
	requestID, warnings := c.RequestID, f.allWarnings()
	tell := func(s mail.Suppression, created bool) mail.Answer {
		return suppressionAnswer(turn.Once, &s, created, requestID, warnings)
	}
	got, created, err := a.o.Suppressions.AddSuppression(c.Context(), s, turn.Once, tell)
	c.Finish(turn, tell(got, created), err)
}

func suppressionAnswer(once *mail.Once, s *mail.Suppression, created bool, requestID string, warnings []mail.Warning) mail.Answer {
	out := suppressionShape(s)
	out.Created, out.Warnings = &created, warnings
	answer := mail.Answer{Status: http.StatusOK, Body: encode(out), RequestID: requestID}
	if created {
		answer.Status, answer.Location = http.StatusCreated, "/v1/suppressions/"+out.ID
	}
	if once != nil {
		answer.Fingerprint, answer.Expires = once.Fingerprint, once.Expires
	}
	return answer
}

// address reads an address and folds it as suppressions are compared.
func (f *findings) address(field string, v value) string {
	text, ok := f.text(field, v)
	if !ok {
		return ""
	}
	a, err := mail.ParseAddress(text)
	if err != nil {
		f.fault(field, "invalid_email", "'"+clip(strings.ToValidUTF8(text, "\uFFFD"), 100)+"' is not an e-mail address.")
	}
	return mail.FoldAddress(a.Email)
}

func judgeSuppression(f *form, s *mail.Suppression, now time.Time) {
	if !isSlug(s.Reason) {
		f.fault("reason", "invalid_value", "A reason is 1 to 64 of a-z, 0-9, '_' and '-', and begins with a letter or digit.")
	}
	if len(s.Topic) > maxTopic {
		f.fault("topic", "too_long", "A topic has at most 64 characters.")
	}
	if s.Topic != "" && mail.KindOf(s.Reason) != mail.KindUnsubscribe {
		f.fault("topic", "invalid_value", "Only an unsubscribe can be bound to a topic: everything else blocks all mail.")
	}
	if len(s.Note) > maxNote {
		f.fault("note", "too_long", "A note has at most 500 bytes.")
	}
	if !s.ExpiresAt.IsZero() && !s.ExpiresAt.After(now) {
		f.fault("expires_at", "invalid_value", "It would have expired already.")
	}
}

func isSlug(s string) bool {
	if len(s) == 0 || len(s) > maxReason || s[0] == '_' || s[0] == '-' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

func (a *API) listSuppressions(c *httpapi.Call) {
	l := a.list(c, "recipient", "email", "reason", "topic", "source", "created_after", "since", "q")
	q := feedback.Query{Owner: c.Who.Owner, Recipient: mail.FoldAddress(l.text("recipient") + l.text("email")), Reason: l.text("reason"), Topic: l.text("topic"),
		Source: l.text("source"), CreatedAfter: l.time("created_after", "since"), Search: strings.ToLower(l.text("q")),
		Limit: l.Limit + 1, After: l.After, Ascending: l.Ascending}
	if l.failed() {
		return
	}
	found, err := a.o.Suppressions.Suppressions(c.Context(), q)
	if err != nil {
		c.Fail(err)
		return
	}
	out := make([]suppressionOut, len(found))
	for i := range found {
		out[i] = suppressionShape(&found[i])
	}
	page(a, l, out, func(s *suppressionOut) int64 { return s.row })
}

// suppressionsAt gives what the path names: one by its id, or all of an address.
func (a *API) suppressionsAt(c *httpapi.Call) ([]mail.Suppression, error) {
	ref := c.Param(0)
	if id, err := mail.ParseID(mail.PrefixSuppression, ref); err == nil {
		s, err := a.o.Suppressions.Suppression(c.Context(), c.Who.Owner, id)
		return []mail.Suppression{s}, err
	}
	address, err := mail.ParseAddress(ref)
	if err != nil {
		return nil, mail.ErrNotFound
	}
	all, err := a.o.Suppressions.SuppressionsOf(c.Context(), c.Who.Owner, mail.FoldAddress(address.Email))
	if err == nil && len(all) == 0 {
		err = mail.ErrNotFound
	}
	return all, err
}

func (a *API) getSuppression(c *httpapi.Call) {
	found, err := a.suppressionsAt(c)
	if err != nil {
		c.Fail(err)
		return
	}
	s := &found[0]
	out := suppressionShape(s)
	out.History = []historyOut{{s.CreatedAt, "created", s.Source}}
	if !s.LastBlockedAt.IsZero() {
		out.History = append(out.History, historyOut{s.LastBlockedAt, "blocked", ""})
	}
	give(c, http.StatusOK, out)
}

// deleteSuppression takes one entry away. An address with several causes needs
// ?reason=, so that nobody lifts more than they meant.
func (a *API) deleteSuppression(c *httpapi.Call) {
	found, err := a.suppressionsAt(c)
	if err != nil {
		c.Fail(err)
		return
	}
	q := c.R.URL.Query()
	if reason := q.Get("reason"); reason != "" {
		found = slices.DeleteFunc(found, func(s mail.Suppression) bool { return s.Reason != reason && s.Kind != reason })
	}
	if topic := q.Get("topic"); topic != "" {
		found = slices.DeleteFunc(found, func(s mail.Suppression) bool { return s.Topic != topic })
	}
	switch {
	case len(found) == 0:
		c.Fail(mail.ErrNotFound)
	case len(found) > 1:
		c.Problem(httpapi.Problem{Code: "state_conflict", Detail: "This address is suppressed for several reasons. Say which to lift with ?reason= (and ?topic=), or name one by its id.",
			Extra: []httpapi.Extra{{Name: "current_state", Value: "suppressed"}, {Name: "reasons", Value: reasonsOf(found)}}})
	case found[0].Kind == mail.KindComplaint && !truth(q.Get("force")):
		c.Problem(httpapi.Problem{Code: "state_conflict", Detail: "The recipient reported mail as spam. To write again all the same, repeat with ?force=true; it will be audited.",
			Extra: []httpapi.Extra{{Name: "current_state", Value: mail.KindComplaint}}})
	default:
		removed, err := a.o.Suppressions.DeleteSuppression(c.Context(), c.Who.Owner, found[0].ID, c.Who.By(), a.now())
		if err != nil {
			c.Fail(err)
			return
		}
		if removed.Kind == mail.KindComplaint {
			a.o.Door.Log().Warn("a complaint suppression was lifted", "suppression", removed.ID.Text(mail.PrefixSuppression), "by", c.Who.By(), "request_id", c.RequestID)
		}
		give(c, http.StatusOK, suppressionShape(&removed))
	}
}

func reasonsOf(found []mail.Suppression) (out []string) {
	for _, s := range found {
		out = append(out, s.Reason)
	}
	return out
}

type checkedOut struct {
	Recipient  string  `json:"recipient"`
	Suppressed bool    `json:"suppressed"`
	Reason     *string `json:"reason"`
	Kind       *string `json:"kind"`
	ID         *string `json:"suppression_id"`
	Bypassable bool    `json:"bypassable"`
}

// checkSuppressions tells of up to 1000 addresses whether they may be written to.
func (a *API) checkSuppressions(c *httpapi.Call) {
	var asked, folded []string
	topic := ""
	f, ok := a.readForm(c, []string{"recipients", "topic"}, func(f *form, name string, v value) {
		switch {
		case v.isNull():
		case name == "topic":
			topic, _ = f.text(name, v)
		case v.kind() != '[':
			f.wrongType(name, v, "an array of addresses")
		default:
			asked, folded = readChecked(f, v)
		}
	})
	if !ok || !c.Admit() {
		return
	}
	if len(asked) == 0 && len(f.faults) == 0 {
		f.fault("recipients", "missing_required_field", "Give 1 to 1000 addresses.")
	}
	if f.failed() {
		return
	}
	found, err := a.o.Suppressions.Suppressed(c.Context(), c.Who.Owner, folded, topic, a.now())
	if err != nil {
		c.Fail(err)
		return
	}
	out := struct {
		Data []checkedOut `json:"data"`
	}{make([]checkedOut, len(asked))}
	for i := range asked {
		out.Data[i].Recipient = asked[i]
		if s, is := found[folded[i]]; is {
			out.Data[i] = checkedOut{asked[i], true, orNull(s.Reason), orNull(s.Kind), orNull(s.ID.Text(mail.PrefixSuppression)), s.Kind == mail.KindUnsubscribe}
		}
	}
	give(c, http.StatusOK, out)
}

func readChecked(f *form, v value) (asked, folded []string) {
	w := v.walk()
	for i := 0; ; i++ {
		_, item, ok := w.next()
		if !ok {
			return asked, folded
		}
		if i == maxCheck {
			f.fault("recipients", "too_many", "At most 1000 addresses at a time.")
			return asked, folded
		}
		field := indexed("recipients", i)
		address := f.address(field, item)
		if address != "" {
			asked, folded = append(asked, item.text()), append(folded, address)
		}
	}
}
