package v1

import (
	"errors"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
)

// releaseSandbox is POST …/release {"to":"me@real.test"}: a captured message is really sent,
// as a new live one to that address alone. It is the one place where a live key reaches
// what the test environment holds, so it takes a key that may read contents, too: whoever
// names the address will read it.
func (a *API) releaseSandbox(c *httpapi.Call) {
	in := &resendForm{}
	f, ok := a.readForm(c, []string{"to", "recipient"}, in.field)
	if !ok {
		return
	}
	if in.to == nil && len(f.faults) == 0 {
		f.fault("to", "missing_required_field", "Give the address 'to' which it is really sent.")
	}
	turn, ok := f.start()
	if !ok {
		return
	}
	defer turn.Leave()
	if c.Who.Owner.Env != mail.Live {
		c.Fail(&mail.Error{Code: "insufficient_scope", Status: 403, Suggestion: "messages.send",
			Message: "To release a message is to send live mail: ask with a live key of this project that has messages.send and messages.content."})
		return
	}
	if fault := a.o.Access.Authorize(c.Who, "messages.content", c.IP); fault != nil {
		c.Fail(fault)
		return
	}
	r, ok := a.findCaptured(c)
	if !ok {
		return
	}
	a.sendAgain(c, f, in, turn, r)
}

// findCaptured gives a message that was captured in either environment of the project;
// where there is none it has answered.
func (a *API) findCaptured(c *httpapi.Call) (*archive.Record, bool) {
	for _, env := range []mail.Env{mail.Test, mail.Live} {
		r, err := a.o.Archive.Find(c.Context(), mail.Owner{Project: c.Who.Owner.Project, Env: env}, c.Param(0))
		switch {
		case err == nil && captured(r):
			return r, true
		case err != nil && !errors.Is(err, mail.ErrNotFound):
			c.Fail(err)
			return nil, false
		}
	}
	c.Fail(messageNotFound())
	return nil, false
}
