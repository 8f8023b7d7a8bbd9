package hyvor

import (
	"strings"

	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
)

type suppressionOut struct {
	ID          int64   `json:"id"`
	CreatedAt   int64   `json:"created_at"`
	Email       string  `json:"email"`
	Reason      string  `json:"reason"` // "bounce", "complaint"
	Description *string `json:"description"`
}

// complaints are the kinds that this dialect calls complaints: what the recipient wanted.
var complaints = []string{mail.KindComplaint, mail.KindUnsubscribe}

func suppressionOf(s *mail.Suppression) suppressionOut {
	out := suppressionOut{ID: s.Row, CreatedAt: s.CreatedAt.Unix(), Email: s.Address, Reason: "bounce"}
	if s.Kind == mail.KindComplaint || s.Kind == mail.KindUnsubscribe {
		out.Reason = "complaint"
	}
	said := s.Reason // the true one comes first
	for _, more := range []string{s.Detail, s.Note} {
		if more != "" {
			said += ": " + more
		}
	}
	out.Description = &said
	return out
}

func (a *API) listSuppressions(c *httpapi.Call) (any, error) {
	q := c.R.URL.Query()
	limit, offset, err := page(q)
	if err != nil {
		return nil, err
	}
	out := []suppressionOut{}
	if limit == 0 {
		return out, nil
	}
	find := feedback.Query{Owner: c.Who.Owner, Search: strings.TrimSpace(q.Get("email")), Limit: limit, Offset: offset}
	switch q.Get("reason") {
	case "complaint":
		find.Kinds = complaints
	case "bounce":
		find.NotKinds = complaints
	}
	list, err := a.o.Suppressions.List(c.Context(), find)
	for i := range list {
		out = append(out, suppressionOf(&list[i]))
	}
	return out, err
}

func (a *API) deleteSuppression(c *httpapi.Call) (any, error) {
	row, err := number(c.Param(0))
	if err != nil {
		return nil, err
	}
	if row < 1<<62 {
		found, err := a.o.Suppressions.List(c.Context(), feedback.Query{Owner: c.Who.Owner, After: row + 1, Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(found) == 1 && found[0].Row == row {
			_, err := a.o.Suppressions.Lift(c.Context(), c.Who.Owner, found[0].ID.Text(mail.PrefixSuppression), feedback.Removal{Force: true, By: c.Who.By()})
			return []int{}, err
		}
	}
	return nil, a.entity(c, ThingSuppression, row)
}
