package v1

import (
	"context"
	"net/http"
	"time"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/retention"
)

// Erasures takes orders to forget an address: retention.Service.
type Erasures interface {
	Order(ctx context.Context, a retention.Asked, answer func(retention.Erasure) mail.Answer) (retention.Erasure, error)
	Find(ctx context.Context, project int64, id string) (retention.Erasure, error)
	// Clear removes all messages of an owner that have come to their end.
	Clear(ctx context.Context, owner mail.Owner) (messages int, err error)
}

// erasureOut never has the address: the answer is kept for replays, and an order that is
// done has forgotten it.
type erasureOut struct {
	ID           string           `json:"erasure_id"`
	Object       string           `json:"object"`
	Status       string           `json:"status"` // "running" or "done"
	Token        string           `json:"token"`  // what stands where the address stood
	Suppressions bool             `json:"include_suppressions"`
	CreatedAt    time.Time        `json:"created_at"`
	FinishedAt   time.Time        `json:"finished_at"`
	Counts       retention.Counts `json:"counts"`
	Warnings     []mail.Warning   `json:"warnings,omitempty"`
}

func erasureShape(e *retention.Erasure) erasureOut {
	out := erasureOut{ID: e.ID.Text(mail.PrefixErasure), Object: "erasure", Status: "done", Token: e.Token, Suppressions: e.Suppressions,
		CreatedAt: e.CreatedAt, FinishedAt: e.FinishedAt, Counts: e.Counts}
	if e.FinishedAt.IsZero() {
		out.Status = "running"
	}
	return out
}

// orderErasure is POST /v1/erasures {"recipient":"…","include_suppressions":false}.
func (a *API) orderErasure(c *httpapi.Call) {
	asked := retention.Asked{Project: c.Who.Owner.Project, By: c.Who.By()}
	given := false
	f, ok := a.readForm(c, []string{"recipient", "include_suppressions"}, func(f *form, name string, v value) {
		switch {
		case v.isNull():
		case name == "recipient":
			given, asked.Address = true, f.address(name, v)
		default:
			asked.Suppressions, _ = f.flag(name, v)
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
	if !given {
		f.fault("recipient", "missing_required_field", "Give the address that is to be forgotten.")
	}
	if f.failed() {
		return
	}
	asked.Once = turn.Once
	requestID, warnings := c.RequestID, f.allWarnings()
	tell := func(e retention.Erasure) mail.Answer {
		out := erasureShape(&e)
		out.Warnings = warnings
		answer := mail.Answer{Status: http.StatusAccepted, Location: "/v1/erasures/" + out.ID, Body: encode(out), RequestID: requestID}
		if turn.Once != nil {
			answer.Fingerprint, answer.Expires = turn.Once.Fingerprint, turn.Once.Expires
		}
		return answer
	}
	got, err := a.o.Erasures.Order(c.Context(), asked, tell)
	c.Finish(turn, tell(got), err)
}

// getErasure is GET /v1/erasures/{erasure}.
func (a *API) getErasure(c *httpapi.Call) {
	e, err := a.o.Erasures.Find(c.Context(), c.Who.Owner.Project, c.Param(0))
	if err != nil {
		c.Fail(err)
		return
	}
	give(c, http.StatusOK, erasureShape(&e))
}
