package v1

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/submit"
)

const sendRoute = "POST /v1/messages"

// via says which way a request came in.
func via(c *httpapi.Call) string {
	if c.Who.Session != nil {
		return "console"
	}
	return "api"
}

// send is POST /v1/messages.
func (a *API) send(c *httpapi.Call) {
	up, ok := a.readUploads(c)
	defer up.drop()
	if !ok {
		return
	}
	s, ok := a.readRequest(c, up)
	if !ok {
		return
	}
	turn, ok := c.Turn(sendRoute, s.r.Key, s.r.Fingerprint)
	if !ok {
		return
	}
	defer turn.Leave()
	// A twin just left an answer, or a dry run that will not meet the index: look first.
	if (turn.Waited || s.r.DryRun) && c.Remembered(turn) {
		return
	}
	if !a.admitSend(c, turn) {
		return
	}
	began := a.now()
	out, err := a.o.Submitter.Submit(c.Context(), c.Who, s.r)
	c.Timed("accept", a.now().Sub(began))
	if err != nil {
		a.refuseSend(c, turn, s.withoutEchoes, err)
		return
	}
	if out.Replayed {
		c.Excuse()
	}
	c.Answer(out.Answer, s.r.Key, out.Replayed)
}

// admitSend draws from the limits; when they refuse, a remembered answer goes before
// the 429.
func (a *API) admitSend(c *httpapi.Call, turn httpapi.Turn) bool {
	if turn.Once == nil {
		return c.Admit()
	}
	if c.Draw() {
		return true
	}
	if !c.Remembered(turn) {
		c.RefuseRate()
	}
	return false
}

// refuseSend answers an error; a remembered answer goes before every fault of the
// request: what was accepted once may be judged otherwise now. tidy has the last word on
// the faults of fields.
func (a *API) refuseSend(c *httpapi.Call, turn httpapi.Turn, tidy func(mail.Faults) mail.Faults, err error) {
	var reused *mail.Error
	var faults mail.Faults
	isFault := errors.As(err, &reused) || errors.As(err, &faults)
	switch {
	case reused != nil && reused.Code == "idempotency_key_reused":
		c.Mismatch()
		return
	case isFault && turn.Once != nil && c.RememberedExcused(turn):
		return
	}
	if faults != nil {
		err = tidy(faults)
	}
	c.Fail(err)
}

// readRequest turns the call into a submit.Request. False: it has answered.
func (a *API) readRequest(c *httpapi.Call, up *uploads) (*sendBody, bool) {
	query := c.R.URL.Query
	var q url.Values
	if c.R.URL.RawQuery != "" {
		q = query()
	}
	body, fault := readObject(c.Body)
	if fault != nil {
		return nil, c.Refuse(fault)
	}
	keys := httpapi.KeysOf(c.R.Header)
	s := &sendBody{keys: &keys, uploads: up, r: &submit.Request{Route: sendRoute, RequestID: c.RequestID, Via: via(c), Arrived: c.Arrived,
		DryRun: truth(q.Get("dry_run")), Strict: truth(q.Get("strict"))}}
	s.read(body)
	key, fault := keys.Key()
	if fault != nil {
		return nil, c.Refuse(fault)
	}
	t := &teller{requestID: c.RequestID, console: a.consoleLink(c)}
	if key != "" {
		s.r.Key = key
		s.r.Fingerprint = up.fingerprint(fingerprint(http.MethodPost, "/v1/messages", q, body))
		t.fingerprint = s.r.Fingerprint
	}
	s.r.Answer = t.answer
	return s, true
}

func (a *API) consoleLink(c *httpapi.Call) string {
	return a.o.Door.PublicURL() + "/p/" + c.Who.Project.Name + "/messages/"
}
