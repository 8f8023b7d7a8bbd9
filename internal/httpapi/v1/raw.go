package v1

import (
	"crypto/sha256"
	"net/http"
	"net/url"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/submit"
)

const (
	rawRoute = "POST /v1/messages/raw"
	rawType  = "message/rfc822"
)

// sendRaw is POST /v1/messages/raw: a message that comes whole.
func (a *API) sendRaw(c *httpapi.Call) {
	content, err := a.o.Submitter.Hold(c.Context(), c.Reader(), submit.HoldMemory)
	if err != nil {
		c.FailStream(err)
		return
	}
	defer a.o.Submitter.Drop(content)
	raw, err := submit.ReadRaw(content)
	if err != nil {
		c.Refuse(err)
		return
	}
	r, ok := a.rawRequest(c, raw)
	if !ok {
		return
	}
	turn, ok := c.Turn(rawRoute, r.Key, r.Fingerprint)
	if !ok {
		return
	}
	defer turn.Leave()
	if (turn.Waited || r.DryRun) && c.Remembered(turn) || !a.admitSend(c, turn) {
		return
	}
	began := a.now()
	out, err := a.o.Submitter.SubmitRaw(c.Context(), c.Who, r)
	c.Timed("accept", a.now().Sub(began))
	if err != nil {
		a.refuseSend(c, turn, func(f mail.Faults) mail.Faults { return f }, err)
		return
	}
	if out.Replayed {
		c.Excuse()
	}
	c.Answer(out.Answer, r.Key, out.Replayed)
}

// rawRequest adds envelope and key. False: it has answered.
func (a *API) rawRequest(c *httpapi.Call, raw *submit.Raw) (*submit.RawRequest, bool) {
	q := c.R.URL.Query()
	keys := httpapi.KeysOf(c.R.Header)
	for _, key := range raw.Keys {
		keys.Add(key)
	}
	key, fault := keys.Key()
	if fault != nil {
		return nil, c.Refuse(fault)
	}
	r := &submit.RawRequest{Key: key, Route: rawRoute, RequestID: c.RequestID, Via: via(c), Arrived: c.Arrived, Raw: raw,
		DryRun: truth(q.Get("dry_run")), Strict: truth(q.Get("strict"))}
	if from := q["from"]; len(from) > 0 {
		r.From = &submit.AddressIn{Text: from[0], Field: "from"}
	}
	for i, to := range q["recipient"][:min(len(q["recipient"]), maxListKept)] {
		r.To = append(r.To, submit.AddressIn{Text: to, Field: indexed("recipient", i)})
	}
	t := &teller{requestID: c.RequestID, console: a.consoleLink(c)}
	if key != "" {
		r.Fingerprint = rawFingerprint(q, raw)
		t.fingerprint = r.Fingerprint
	}
	r.Answer = t.answer
	return r, true
}

// rawFingerprint: equal are the same bytes to the same envelope.
func rawFingerprint(q url.Values, raw *submit.Raw) (out [32]byte) {
	h := sha256.New()
	c := &canon{h: h}
	c.begin(http.MethodPost, "/v1/messages/raw", q)
	for _, name := range [...]string{"from", "recipient"} {
		c.word(name)
		for _, v := range q[name] {
			c.word(v)
		}
	}
	c.word("")
	c.part(raw.Sum[:])
	h.Sum(out[:0])
	return out
}
