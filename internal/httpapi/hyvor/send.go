package hyvor

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/submit"
)

const sendRoute = "POST " + base + "/sends"

// send is POST /sends: the key's turn, a remembered answer, the limits, the work.
func (a *API) send(c *httpapi.Call) {
	key := keyOf(c.R.Header)
	var print [32]byte
	if key != "" {
		print = fingerprint(c.Body)
	}
	turn, ok := c.Turn(sendRoute, key, print)
	if !ok {
		return
	}
	defer turn.Leave()
	if turn.Once != nil && a.replay(c, turn.Once) || !c.Admit() {
		return
	}
	r := &submit.Request{Key: key, Route: sendRoute, Fingerprint: print, RequestID: c.RequestID, Via: "hyvor", Arrived: c.Arrived,
		NoAutoText: true, MaxRecipients: a.o.Bounds.Recipients, MaxSize: a.o.Bounds.Size}
	t := teller{requestID: c.RequestID, fingerprint: print}
	r.Answer = t.answer
	out, err := a.submit(c, r)
	switch {
	case err != nil:
		a.refuseSend(c, turn.Once, err)
	case out.Replayed: // another node was faster
		c.Excuse()
		a.again(c, out.Answer, print)
	default:
		c.Answer(out.Answer, "", false)
	}
}

// submit reads the body and hands it in. Errors are refusals, or for the door to judge.
func (a *API) submit(c *httpapi.Call, r *submit.Request) (*submit.Accepted, error) {
	f, err := readFields(c)
	if err != nil {
		return nil, err
	}
	if wrong := readSend(f, a.o.Bounds, r); wrong != nil {
		return nil, wrong.refusal()
	}
	began := a.now()
	out, err := a.o.Submitter.Submit(c.Context(), c.Who, r)
	c.Timed("accept", a.now().Sub(began))
	if err != nil {
		return nil, a.judged(c, r, err)
	}
	return out, nil
}

// keyOf is the request's idempotency key: any text. What is too long or not printable is
// kept by its hash.
func keyOf(h http.Header) string {
	for _, name := range []string{"X-Idempotency-Key", "Idempotency-Key"} {
		key := strings.TrimSpace(h.Get(name))
		if key == "" {
			continue
		}
		if len(key) > 256 || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
			sum := sha256.Sum256([]byte(key))
			return "sha256-" + hex.EncodeToString(sum[:])
		}
		return key
	}
	return ""
}

// fingerprint tells whether two bodies say the same, however they are written down.
func fingerprint(body []byte) [32]byte {
	v := jsontext.Value(body).Clone()
	if v.Canonicalize() != nil { // no JSON: its bytes, then
		return sha256.Sum256(body)
	}
	return sha256.Sum256(v)
}

// replay answers with what the key's first request was told. True: it has answered.
func (a *API) replay(c *httpapi.Call, once *mail.Once) bool {
	before, err := a.o.Store.Remembered(c.Context(), once.Owner, once.Route, once.Key, c.Arrived)
	switch {
	case errors.Is(err, mail.ErrNotFound):
		return false
	case err != nil:
		c.Fail(err)
	default:
		a.again(c, before, once.Fingerprint)
	}
	return true
}

// again gives an answer a second time. The body is not compared; that it was another one
// is said in a header.
func (a *API) again(c *httpapi.Call, before mail.Answer, print [32]byte) {
	if before.Fingerprint != print {
		c.W.Header().Set("X-Idempotency-Payload-Mismatch", "true")
	}
	c.Answer(before, "", true)
}

// refuseSend answers an error. Refusals with a key are kept under it, and a twin that was
// faster has the word.
func (a *API) refuseSend(c *httpapi.Call, once *mail.Once, err error) {
	var r *refusal
	var fault *mail.Error
	switch {
	case errors.As(err, &fault) && fault.Code == "idempotency_key_reused" && once != nil:
		c.Excuse()
		if !a.replay(c, once) {
			c.Fail(fmt.Errorf("a used key has no answer: %w", err))
		}
		return
	case !errors.As(err, &r):
		c.Fail(err)
		return
	case once == nil || !remembering(r.Status):
		refuse(c, r)
		return
	}
	answer := mail.Answer{Status: r.Status, Body: r.body(), RequestID: c.RequestID, Fingerprint: once.Fingerprint, Expires: once.Expires}
	var replayed *mail.Replayed
	switch err := a.o.Store.Remember(c.Context(), once, answer); {
	case errors.As(err, &replayed):
		c.Excuse()
		a.again(c, replayed.Answer, once.Fingerprint)
	case err != nil:
		c.Fail(err)
	default:
		c.Answer(answer, "", false)
	}
}

// remembering tells which refusals are kept: what will be as wrong the next time. Who may
// not send is let in again once they may.
func remembering(status int) bool {
	return status >= 400 && status < 500 && status != http.StatusTooManyRequests && status != http.StatusForbidden
}

// teller writes what the caller of a send is told, in the commit.
type teller struct {
	requestID   string
	fingerprint [32]byte
}

func (t teller) answer(a *submit.Accepted) mail.Answer {
	b := append(make([]byte, 0, 128), `{"id":`...)
	b = strconv.AppendInt(b, a.Message.Row, 10)
	b = append(b, `,"message_id":`...)
	b = append(httpapi.AppendString(b, a.Message.RFCID), '}')
	return mail.Answer{Status: http.StatusOK, Body: b, RequestID: t.requestID, Fingerprint: t.fingerprint}
}

// verdict is one of submit's faults in this dialect's words: a violation, or a rule of
// business with its place in the order in which those are told.
type verdict struct {
	violation
	rank int // 0: a violation
}

// The order of the rules of business: only the first that is broken is told.
const (
	rankDomain = iota + 1
	rankStatus
	rankRecipients
	rankBase64
	rankSize
	rankSuppressed
)

// judged puts what submit refused into this dialect's words.
func (a *API) judged(c *httpapi.Call, r *submit.Request, err error) error {
	var all mail.Faults
	var one *mail.Error
	switch {
	case errors.As(err, &all):
	case errors.As(err, &one) && one.Status == http.StatusForbidden:
		return forbidden(one.Message)
	default:
		return err
	}
	var wrong faults
	var first verdict
	for _, e := range all {
		v := a.verdict(c, r, e)
		switch {
		case v.rank == 0:
			wrong.add(v.Property, v.Message)
		case first.rank == 0 || v.rank < first.rank:
			first = v
		}
	}
	if wrong != nil {
		return wrong.refusal()
	}
	return bad("%s", first.Message)
}

var placeOf = regexp.MustCompile(`^attachments\[(\d+)\](?:\.(\w+))?$`)

func (a *API) verdict(c *httpapi.Call, r *submit.Request, e *mail.Error) verdict {
	business := func(rank int, format string, args ...any) verdict {
		return verdict{violation{Message: fmt.Sprintf(format, args...)}, rank}
	}
	property, _, _ := strings.Cut(e.Field, "[")
	property, name, _ := strings.Cut(property, ".")
	file := placeOf.FindStringSubmatch(e.Field)
	switch {
	case e.Code == "domain_not_found":
		return business(rankDomain, "Domain %s is not registered for this project", senderDomain(r))
	case e.Code == "domain_not_verified":
		return business(rankStatus, "Domain %s is not allowed to send emails (status: %s)", senderDomain(r), a.statusOfSender(c, r))
	case e.Code == "too_many" && property == "to":
		return business(rankRecipients, "Total number of recipients (To, Cc, Bcc) exceeds the maximum allowed limit of %d.", a.mostRecipients(c))
	case e.Code == "attachment_decode_error" && file != nil:
		return business(rankBase64, "Base64 decoding of attachment failed: index %s", file[1])
	case e.Code == "message_too_large":
		return business(rankSize, "Email size exceeds the maximum allowed size of %s.", megabytes(a.o.Bounds.Size))
	case e.Code == "recipient_suppressed":
		return business(rankSuppressed, "Email address %s is suppressed", addressAt(r, e.Field))
	case file != nil:
		return verdict{violation{"attachments[" + file[1] + "][" + attachmentField(file[2]) + "]", e.Message}, 0}
	case property == "headers" && e.Code == "header_not_allowed":
		return verdict{violation{"headers", "The header " + name + " is not allowed as a custom header."}, 0}
	case property == "headers" && (e.Code == "invalid_email" || e.Code == "header_injection"):
		return verdict{violation{"headers", "The header " + name + " is not valid."}, 0}
	case e.Code == "invalid_email":
		return verdict{violation{property, textEmail}, 0}
	}
	return verdict{violation{ourField(property), e.Message}, 0}
}

// ourField is what this dialect calls a field of a submit.Request.
func ourField(field string) string {
	switch field {
	case "html":
		return "body_html"
	case "text":
		return "body_text"
	case "tags", "metadata", "priority", "scheduled_time":
		return "headers" // where they stood
	}
	return field
}

func attachmentField(field string) string {
	if field == "content" || field == "content_type" {
		return field
	}
	return "name"
}

func senderDomain(r *submit.Request) string {
	if r.From == nil {
		return ""
	}
	return strings.ToLower(r.From.Text[strings.LastIndexByte(r.From.Text, '@')+1:])
}

func (a *API) statusOfSender(c *httpapi.Call, r *submit.Request) string {
	d, err := a.o.Domains.Find(c.Context(), c.Who.Owner.Project, senderDomain(r))
	if err != nil {
		return "pending" // it was there a moment ago
	}
	return domainStatus(d.Status)
}

// mostRecipients is how many recipients the caller may write to in one send.
func (a *API) mostRecipients(c *httpapi.Call) int {
	if k := c.Who.Key; k != nil && k.MaxRecipients > 0 {
		return min(k.MaxRecipients, a.o.Bounds.Recipients)
	}
	return a.o.Bounds.Recipients
}

func addressAt(r *submit.Request, field string) string {
	for _, list := range [][]submit.AddressIn{r.To, r.Cc, r.Bcc} {
		for i := range list {
			if list[i].Field == field {
				return list[i].Text
			}
		}
	}
	return field
}
