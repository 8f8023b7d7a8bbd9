package v1

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
)

// Suppressions is what may be done to the lists: feedback.Service.
type Suppressions interface {
	Add(ctx context.Context, s mail.Suppression, once *mail.Once, answer func(s mail.Suppression, created bool) mail.Answer) (got mail.Suppression, created bool, err error)
	List(ctx context.Context, q feedback.Query) ([]mail.Suppression, error)
	Find(ctx context.Context, owner mail.Owner, ref string) ([]mail.Suppression, error)
	Lift(ctx context.Context, owner mail.Owner, ref string, r feedback.Removal) (mail.Suppression, error)
	Check(ctx context.Context, owner mail.Owner, addresses []string, topic string) (map[string]mail.Suppression, error)
	Past(ctx context.Context, owner mail.Owner, address string) ([]feedback.Past, error)
	Change(ctx context.Context, owner mail.Owner, add, lift []feedback.Item, by string, once *mail.Once, answer func() mail.Answer) (mail.Answer, error)
}

type historyOut struct {
	At      time.Time `json:"at"`
	Event   string    `json:"event"` // created, blocked, deleted, expired
	By      string    `json:"by,omitempty"`
	Count   int64     `json:"count,omitzero"`
	Reason  string    `json:"reason"`
	Topic   *string   `json:"topic"`
	Message *string   `json:"message_id,omitempty"`
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

var suppressionFields = []string{"recipient", "email", "reason", "topic", "note", "expires_at", "message_id"}

func (a *API) addSuppression(c *httpapi.Call) {
	a.enterSuppression(c, suppressionFields, mail.Suppression{Reason: mail.KindManual})
}

// enterSuppression is a POST that enters one, with the fields given.
func (a *API) enterSuppression(c *httpapi.Call, fields []string, s mail.Suppression) {
	now := a.now()
	s.ID, s.Owner, s.Source, s.CreatedAt = mail.NewID(now), c.Who.Owner, "api", now
	in := suppressionIn{s: &s}
	f, ok := a.readForm(c, fields, func(f *form, name string, v value) { in.field(&f.findings, "", name, v) })
	if !ok {
		return
	}
	turn, ok := f.begin()
	if !ok {
		return
	}
	defer turn.Leave()
	in.judge(&f.findings, "", now)
	var err error
	if s.Message, err = a.readCause(c, f, in.message); err != nil {
		c.Fail(err)
		return
	}
	if f.failed() {
		return
	}
	requestID, warnings := c.RequestID, f.allWarnings()
	tell := func(s mail.Suppression, created bool) mail.Answer {
		return suppressionAnswer(turn.Once, &s, created, requestID, warnings)
	}
	got, created, err := a.o.Suppressions.Add(c.Context(), s, turn.Once, tell)
	c.Finish(turn, tell(got, created), err)
}

// suppressionIn is one suppression as a caller writes it, alone or in a batch.
type suppressionIn struct {
	s       *mail.Suppression
	given   string // the name its address has
	message string
}

// field reads one member; path is where the object stands ("add[3]."), "" for the body.
func (in *suppressionIn) field(f *findings, path, name string, v value) {
	if v.isNull() {
		return
	}
	switch field := path + name; name {
	case "recipient", "email":
		if in.given != "" {
			f.fault(field, "mutually_exclusive", "Give 'recipient' or 'email', not both.")
		}
		in.given = name
		in.s.Address = f.address(field, v)
	case "reason":
		in.s.Reason, _ = f.text(field, v)
	case "topic":
		in.s.Topic, _ = f.text(field, v)
	case "note":
		in.s.Note, _ = f.text(field, v)
	case "message_id":
		in.message, _ = f.text(field, v)
	case "expires_at":
		in.s.ExpiresAt, _ = f.moment(field, v)
	}
}

// judge looks at the whole.
func (in *suppressionIn) judge(f *findings, path string, now time.Time) {
	if in.given == "" {
		f.fault(path+"recipient", "missing_required_field", "Give the address that must not be written to.")
	}
	for _, e := range feedback.Judge(in.s, now) {
		f.fault(path+e.Field, e.Code, e.Message)
	}
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

var suppressionFilters = []string{"recipient", "email", "reason", "topic", "source", "created_after", "since", "q"}

func (l *listing) suppressions(owner mail.Owner, kind string) feedback.Query {
	return feedback.Query{Owner: owner, Kind: kind, Recipient: mail.FoldAddress(l.text("recipient") + l.text("email")), Reason: l.text("reason"), Topic: l.text("topic"),
		Source: l.text("source"), CreatedAfter: l.time("created_after", "since"), Search: strings.ToLower(l.text("q")),
		Limit: l.Limit + 1, After: l.After, Ascending: l.Ascending}
}

func (a *API) listSuppressions(c *httpapi.Call) { a.listKind(c, "") }

func (a *API) listKind(c *httpapi.Call, kind string) {
	l := a.list(c, append([]string{"include=total"}, suppressionFilters...)...)
	q := l.suppressions(c.Who.Owner, kind)
	if l.failed() {
		return
	}
	found, err := a.o.Suppressions.List(c.Context(), q)
	pageOf(a, l, found, err, a.countSuppressions(q), suppressionShape, func(s *suppressionOut) int64 { return s.row })
}

// countSuppressions counts page by page: no list is given longer than that.
func (a *API) countSuppressions(q feedback.Query) counter {
	return func(ctx context.Context, most int) (n int, whole bool, err error) {
		q.Limit, q.After = countStep, 0
		for n < most {
			found, err := a.o.Suppressions.List(ctx, q)
			if err != nil {
				return 0, false, err
			}
			if n += len(found); len(found) < countStep {
				break
			}
			q.After = found[len(found)-1].Row
		}
		return n, true, nil
	}
}

const countStep = 1000

func (a *API) getSuppression(c *httpapi.Call) {
	found, err := a.o.Suppressions.Find(c.Context(), c.Who.Owner, c.Param(0))
	if err != nil {
		c.Fail(err)
		return
	}
	out := suppressionShape(&found[0])
	past, err := a.o.Suppressions.Past(c.Context(), c.Who.Owner, found[0].Address)
	if err == nil {
		// Named by its id it may be one of several: the history is the address's.
		found, err = a.o.Suppressions.Find(c.Context(), c.Who.Owner, found[0].Address)
	}
	if err != nil {
		c.Fail(err)
		return
	}
	out.History = historyOf(found, past)
	give(c, http.StatusOK, out)
}

// historyOf tells all that happened to an address's entries, oldest first.
func historyOf(standing []mail.Suppression, past []feedback.Past) (out []historyOut) {
	for i := range past {
		p := &past[i]
		out = append(out, lifeOf(&p.Suppression)...)
		if p.By == "" {
			out = append(out, historyOut{At: p.EndedAt, Event: "expired", Reason: p.Reason, Topic: orNull(p.Topic)})
		} else {
			out = append(out, historyOut{At: p.EndedAt, Event: "deleted", By: p.By, Reason: p.Reason, Topic: orNull(p.Topic)})
		}
	}
	for i := range standing {
		out = append(out, lifeOf(&standing[i])...)
	}
	slices.SortStableFunc(out, func(a, b historyOut) int { return a.At.Compare(b.At) })
	return out
}

func lifeOf(s *mail.Suppression) []historyOut {
	out := []historyOut{{At: s.CreatedAt, Event: "created", By: s.Source, Reason: s.Reason, Topic: orNull(s.Topic), Message: orNull(s.Message.Text(mail.PrefixMessage))}}
	if !s.LastBlockedAt.IsZero() {
		out = append(out, historyOut{At: s.LastBlockedAt, Event: "blocked", Count: s.BlockedCount, Reason: s.Reason, Topic: orNull(s.Topic)})
	}
	return out
}

// deleteSuppression takes one entry away.
func (a *API) deleteSuppression(c *httpapi.Call) { a.lift(c, "") }

// lift takes one entry of a kind away ("" = of any).
func (a *API) lift(c *httpapi.Call, kind string) {
	q := c.R.URL.Query()
	r := feedback.Removal{Reason: q.Get("reason"), Kind: kind, Force: truth(q.Get("force")), By: c.Who.By()}
	if q.Has("topic") { // an empty one is that of all mail
		topic := q.Get("topic")
		r.Topic = &topic
	}
	removed, err := a.o.Suppressions.Lift(c.Context(), c.Who.Owner, c.Param(0), r)
	var several *feedback.SeveralError
	switch {
	case errors.As(err, &several):
		c.Problem(httpapi.Problem{Code: "state_conflict", Detail: "This address is suppressed for several reasons. Say which to lift with ?reason= (and ?topic=), or name one by its id.",
			Extra: []httpapi.Extra{{Name: "current_state", Value: "suppressed"}, {Name: "reasons", Value: several.Reasons}}})
	case errors.Is(err, feedback.ErrComplaint):
		c.Problem(httpapi.Problem{Code: "state_conflict", Detail: "The recipient reported mail as spam. To write again all the same, repeat with ?force=true; it will be audited.",
			Extra: []httpapi.Extra{{Name: "current_state", Value: mail.KindComplaint}}})
	case err != nil:
		c.Fail(err)
	default:
		if removed.Kind == mail.KindComplaint {
			a.o.Door.Log().Warn("a complaint suppression was lifted", "suppression", removed.ID.Text(mail.PrefixSuppression), "by", c.Who.By(), "request_id", c.RequestID)
		}
		give(c, http.StatusOK, suppressionShape(&removed))
	}
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
	found, err := a.o.Suppressions.Check(c.Context(), c.Who.Owner, folded, topic)
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
		if i == feedback.MaxBatch {
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
