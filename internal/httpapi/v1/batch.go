package v1

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/submit"
)

const batchRoute = "POST /v1/messages/batch"

// maxItems is how many messages are read: more than a batch may have, so that the judge
// sees there are too many.
const maxItems = 10_001

// Bounds of the faults one answer tells.
const (
	maxBatchFaults = 2000 // of a refused batch
	maxItemFaults  = 50   // of one refused item
)

// maxGrown bounds the JSON of a batch with the defaults written into each message. What
// the messages may come to is the judge's matter; this is before anything is known.
const maxGrown = 400 << 20

var batchFields = []string{"mode", "defaults", "messages", "idempotency_key"}

// batchBody is what was read of a batch.
type batchBody struct {
	findings
	keys     *httpapi.Keys
	atomic   bool
	defaults value
	messages []value
	items    []*batchItem
	strict   bool
}

// sendBatch is POST /v1/messages/batch.
func (a *API) sendBatch(c *httpapi.Call) {
	b, r, ok := a.readBatch(c)
	if !ok {
		return
	}
	turn, ok := c.Turn(batchRoute, r.Key, r.Fingerprint)
	if !ok {
		return
	}
	defer turn.Leave()
	if (turn.Waited || r.DryRun) && c.Remembered(turn) || !a.admitSend(c, turn) {
		return
	}
	if len(b.faults) > 0 {
		a.refuseSend(c, turn, func(f mail.Faults) mail.Faults { return f }, b.faults)
		return
	}
	began := a.now()
	out, err := a.o.Submitter.SubmitBatch(c.Context(), c.Who, r)
	c.Timed("accept", a.now().Sub(began))
	var refused *submit.RefusedBatch
	switch {
	case errors.As(err, &refused) && turn.Once != nil && c.RememberedExcused(turn):
	case refused != nil:
		b.refuse(c, refused)
	case err != nil:
		a.refuseSend(c, turn, func(f mail.Faults) mail.Faults { return f }, err)
	default:
		if out.Replayed {
			c.Excuse()
		}
		c.Answer(out.Answer, r.Key, out.Replayed)
	}
}

// readBatch turns the call into a submit.BatchRequest. False: it has answered.
func (a *API) readBatch(c *httpapi.Call) (*batchBody, *submit.BatchRequest, bool) {
	body, fault := readObject(c.Body)
	if fault != nil {
		return nil, nil, c.Refuse(fault)
	}
	q := c.R.URL.Query()
	keys := httpapi.KeysOf(c.R.Header)
	b := &batchBody{keys: &keys, strict: truth(q.Get("strict"))}
	b.read(body)
	key, fault := keys.Key()
	if fault != nil {
		return nil, nil, c.Refuse(fault)
	}
	if b.strict || c.Who.Project.Settings.StrictFields {
		for _, u := range b.unknown {
			fault := submit.UnknownField(u)
			b.faultAt(fault.Field, fault.Pointer, fault.Code, fault.Message)
		}
		b.unknown = nil
	}
	if b.weight() > maxGrown {
		return nil, nil, c.Refuse(&mail.Error{Code: "payload_too_large", Status: 413, Message: "The batch is too large once the defaults are in each message. Send several batches."})
	}
	r := &submit.BatchRequest{Key: key, Route: batchRoute, RequestID: c.RequestID, Arrived: c.Arrived, Atomic: b.atomic, DryRun: truth(q.Get("dry_run"))}
	b.readItems(a, c, q, r)
	if key != "" {
		r.Fingerprint = b.fingerprint(q)
	}
	t := &batchTeller{body: b, requestID: c.RequestID, fingerprint: r.Fingerprint}
	r.Answer = t.answer
	return b, r, true
}

// weight is how long the messages are with all defaults in each: what reading and
// comparing them costs.
func (b *batchBody) weight() int {
	total := len(b.defaults) * len(b.messages)
	for _, v := range b.messages {
		total += len(v)
	}
	return total
}

// read takes the body apart; the messages themselves are read when all defaults are known.
func (b *batchBody) read(body value) {
	w := body.walk()
	for {
		name, v, ok := w.next()
		if !ok {
			return
		}
		switch n := string(name); {
		case n == "mode" && !v.isNull():
			b.mode(v)
		case n == "defaults" && !v.isNull():
			if v.kind() != '{' {
				b.wrongType(n, v, "an object with fields of a message")
				continue
			}
			b.defaults = v
			b.checkDefaults()
		case n == "messages" && !v.isNull():
			b.list(v)
		case n == "idempotency_key" && !v.isNull():
			if key, ok := b.text(n, v); ok {
				b.keys.Add(key)
			}
		case !v.isNull():
			b.unknownField("", name, batchFields)
		}
	}
}

func (b *batchBody) mode(v value) {
	switch mode, ok := b.text("mode", v); {
	case !ok:
	case mode == "atomic":
		b.atomic = true
	case mode != "partial":
		b.fault("mode", "invalid_value", "'mode' is 'partial' or 'atomic'.")
	}
}

func (b *batchBody) list(v value) {
	if v.kind() != '[' {
		b.wrongType("messages", v, "an array of messages")
		return
	}
	w := v.walk()
	for len(b.messages) < maxItems {
		_, item, ok := w.next()
		if !ok {
			return
		}
		b.messages = append(b.messages, item)
	}
}

// checkDefaults refuses keys there: a key belongs to one message.
func (b *batchBody) checkDefaults() {
	w := b.defaults.walk()
	for {
		name, v, ok := w.next()
		if !ok {
			return
		}
		if string(name) == "idempotency_key" && !v.isNull() {
			b.fault("defaults.idempotency_key", "invalid_value", "An idempotency key belongs to one message: give it in 'messages', or one for the whole batch beside 'messages'.")
		}
		if string(name) != "headers" || v.kind() != '{' {
			continue
		}
		for headers := v.walk(); ; {
			header, _, ok := headers.next()
			if !ok {
				break
			}
			if isKeyHeader(string(header)) {
				b.faultAt("defaults.headers", "#/defaults/headers"+mail.PointerStep(string(header)), "invalid_value", "An idempotency key belongs to one message.")
			}
		}
	}
}

// readItems makes a request of each message and the defaults.
func (b *batchBody) readItems(a *API, c *httpapi.Call, q url.Values, r *submit.BatchRequest) {
	console := a.consoleLink(c)
	b.items = make([]*batchItem, len(b.messages))
	r.Items = make([]*submit.Request, len(b.messages))
	shared := &sharing{texts: map[*byte]string{}, raws: map[*byte][]byte{}}
	for i, v := range b.messages {
		item := readItem(v, b.defaults, shared)
		item.s.r.Route, item.s.r.RequestID, item.s.r.Via, item.s.r.Arrived = sendRoute, c.RequestID, via(c), c.Arrived
		item.s.r.Strict, item.s.r.DryRun = b.strict, r.DryRun
		if item.s.r.Key != "" {
			t := &teller{requestID: c.RequestID, console: console, fingerprint: item.fingerprint(q)}
			item.s.r.Fingerprint, item.s.r.Answer = t.fingerprint, t.answer
		}
		b.items[i], r.Items[i] = item, item.s.r
	}
}

// fingerprint of the batch is that of its messages, in order and with their defaults.
func (b *batchBody) fingerprint(q url.Values) (out [32]byte) {
	f := newCanon()
	f.begin(http.MethodPost, "/v1/messages/batch", q)
	if b.atomic {
		f.word("atomic")
	}
	for _, item := range b.items {
		sum := item.s.r.Fingerprint
		if item.s.r.Key == "" {
			sum = item.fingerprint(q)
		}
		f.part(sum[:])
	}
	f.h.Sum(out[:0])
	return out
}

// refuse answers a batch nothing of which was accepted.
func (b *batchBody) refuse(c *httpapi.Call, refused *submit.RefusedBatch) {
	if same := sameRefusal(refused); same != nil {
		c.Fail(same)
		return
	}
	var faults mail.Faults
	bad := 0
	for i := range refused.Items {
		if refused.Items[i].Err == nil {
			continue
		}
		bad++
		if faults = append(faults, b.faultsOf(i, refused.Items[i].Err)...); len(faults) >= maxBatchFaults {
			faults = faults[:maxBatchFaults]
			break
		}
	}
	if refused.All {
		c.Problem(httpapi.Problem{Code: "all_recipients_invalid", Detail: "None of the messages can be accepted: see 'errors'. Nothing was queued.", Faults: faults})
		return
	}
	c.Problem(httpapi.Problem{Code: "validation_failed", Faults: faults,
		Detail: countOf(bad, "message") + " of " + countOf(len(refused.Items), "") + "cannot be accepted, so none was queued (mode 'atomic')."})
}

// sameRefusal is the one reason with a status of its own that refused every message,
// such as from_not_allowed; nil when there is none.
func sameRefusal(refused *submit.RefusedBatch) *mail.Error {
	var same *mail.Error
	for i := range refused.Items {
		var e *mail.Error
		if !errors.As(refused.Items[i].Err, &e) || e.Status == 0 || same != nil && same.Code != e.Code {
			return nil
		}
		same = e
	}
	return same
}

// faultsOf places the faults of one message in the batch.
func (b *batchBody) faultsOf(i int, err error) mail.Faults {
	var faults mail.Faults
	var one *mail.Error
	switch {
	case errors.As(err, &faults):
		faults = b.items[i].tidy(faults)
	case errors.As(err, &one):
		faults = mail.Faults{one}
	}
	out := make(mail.Faults, 0, len(faults))
	for _, e := range faults[:min(len(faults), maxItemFaults)] {
		placed := *e
		if placed.Code == "idempotency_key_reused" {
			placed.Field, placed.Pointer = "idempotency_key", "#/idempotency_key"
		}
		placed.Pointer = b.place(i, placed.Field, placed.Pointer)
		out = append(out, &placed)
	}
	return out
}
