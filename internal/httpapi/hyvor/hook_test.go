package hyvor_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/httpapi/hyvor"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/webhook"
)

// hooked makes an endpoint for these events and lets the hooks run.
func (h *house) hooked(events ...string) (id int64, secret string) {
	h.t.Helper()
	list, _ := json.Marshal(events)
	a := h.must(200, "secret", liveKey, "POST", "/api/console/webhooks", `{"url":"https://app.acme.test/hooks","events":`+string(list)+`}`)
	var out struct {
		ID     int64  `json:"id"`
		Secret string `json:"secret"`
	}
	if err := json.Unmarshal(a.Body.Bytes(), &out); err != nil {
		h.t.Fatal(err)
	}
	h.runHooks()
	return out.ID, out.Secret
}

// next is what the receiver gets next.
func (h *house) next() webhook.Request {
	h.t.Helper()
	select {
	case q := <-h.posts.got:
		h.pass(time.Second) // endpoints are told so many a second
		return q
	case <-time.After(patience):
		h.t.Fatal("no hook came")
		return webhook.Request{}
	}
}

// gets fails the test unless these hooks come next, in any order; it matches each body
// against its pattern as fixtures do.
func (h *house) gets(t *testing.T, want map[string]string) map[string]webhook.Request {
	t.Helper()
	got := map[string]webhook.Request{}
	for range len(want) {
		q := h.next()
		var body struct {
			Event   string         `json:"event"`
			Payload jsontext.Value `json:"payload"`
		}
		if err := json.Unmarshal(q.Body, &body); err != nil {
			t.Fatalf("%v in %s", err, q.Body)
		}
		pattern, expected := want[body.Event]
		if !expected {
			t.Errorf("a hook that nobody wants: %s", q.Body)
			continue
		}
		s := &script{t: t, vars: map[string]string{}}
		if said := s.match("", jsontext.Value(pattern), body.Payload); said != "" {
			t.Errorf("%s: %s\nin %s", body.Event, said, q.Body)
		}
		got[body.Event] = q
	}
	return got
}

const attemptPattern = `{"…":1,"id":"<int>","domain":"example.org","recipients":[{"…":1,"recipient_id":"<int>"}],"smtp_conversations":{"mx.example.org":"<any>"}}`

const sendPattern = `{"…":1,"id":"<int>","uuid":"<uuid>","attempts":[],"feedback":[],"from_address":"hello@acme.test"}`

func TestEveryEventOfASendIsToldInItsOwnWords(t *testing.T) {
	t.Parallel()
	h := build(t, hyvor.Bounds{})
	h.hooked("send.recipient.accepted", "send.recipient.deferred", "send.recipient.bounced", "send.recipient.failed", "send.recipient.suppressed", "suppression.created")
	for _, c := range []struct {
		o       outcome
		event   string
		payload string
	}{
		{taken, "send.recipient.accepted", `{"send":` + sendPattern + `,"recipient":{"…":1,"status":"accepted","try_count":1,"type":"to"},"attempt":` + attemptPattern + `}`},
		{later, "send.recipient.deferred", `{"send":` + sendPattern + `,"recipient":{"…":1,"status":"deferred","try_count":1},"attempt":` + attemptPattern + `}`},
		{refused, "send.recipient.bounced", `{"send":` + sendPattern + `,"recipient":{"…":1,"status":"bounced","try_count":1},"attempt":` + attemptPattern + `,"bounce":{"text":"5.1.1 No such user","status":"5.1.1"}}`},
		{exhausted, "send.recipient.failed", `{"send":` + sendPattern + `,"recipient":{"…":1,"status":"failed","try_count":1},"attempt":` + attemptPattern + `}`},
	} {
		h.must(200, "", liveKey, "POST", "/api/console/sends", plainSend)
		h.carry(always(c.o))
		h.gets(t, map[string]string{c.event: c.payload})
		h.pass(time.Second)
	}
	s := &script{t: t, h: h, vars: map[string]string{}}
	s.given(strings.Fields("suppress gone@example.org hard_bounce 550 no such user"))
	h.gets(t, map[string]string{"suppression.created": `{"suppression":{"id":` + s.vars["suppression:gone@example.org"] + `,"created_at":"<int>","email":"gone@example.org","reason":"bounce","description":"hard_bounce: 550 no such user"}}`})
	h.must(200, "", liveKey, "POST", "/api/console/sends", strings.ReplaceAll(plainSend, "ada@", "gone@"))
	h.gets(t, map[string]string{"send.recipient.suppressed": `{"send":` + sendPattern + `,"recipient":{"…":1,"status":"suppressed"},"suppression":{"id":` + s.vars["suppression:gone@example.org"] + `,"created_at":"<int>","email":"gone@example.org","reason":"bounce","description":"hard_bounce: 550 no such user"}}`})
}

// An endpoint that named failures is not told of refusals, though both are bounces here.
func TestAnEndpointIsToldOnlyTheEventsItNamed(t *testing.T) {
	t.Parallel()
	h := build(t, hyvor.Bounds{})
	h.hooked("send.recipient.failed")
	for _, o := range []outcome{refused, taken, exhausted} {
		h.must(200, "", liveKey, "POST", "/api/console/sends", plainSend)
		h.carry(always(o))
	}
	h.gets(t, map[string]string{"send.recipient.failed": `{"…":1,"recipient":{"…":1,"status":"failed"}}`})
	select {
	case q := <-h.posts.got:
		t.Errorf("one hook too many: %s", q.Body)
	case <-time.After(200 * time.Millisecond):
	}
}

func TestDomainsAndSuppressionsAreToldOf(t *testing.T) {
	t.Parallel()
	h := build(t, hyvor.Bounds{})
	h.hooked("domain.created", "domain.status.changed", "domain.deleted", "suppression.deleted")
	h.domain("new.test", "pending")
	h.gets(t, map[string]string{"domain.created": `{"domain":{"…":1,"domain":"new.test","status":"pending","dkim_host":"s1._domainkey.new.test"}}`})
	s := &script{t: t, h: h, vars: map[string]string{}}
	s.given([]string{"record", "new.test"})
	h.must(200, `"active"`, liveKey, "POST", "/api/console/domains/verify", `{"domain":"new.test"}`)
	h.gets(t, map[string]string{"domain.status.changed": `{"domain":{"…":1,"status":"active"},"old_status":"pending","new_status":"active","dkim_result":{"verified":true,"checked_at":"<int>","error_message":null}}`})
	h.must(200, "{}", liveKey, "DELETE", "/api/console/domains", `{"domain":"new.test"}`)
	h.gets(t, map[string]string{"domain.deleted": `{"domain":{"…":1,"id":"<int>","domain":"new.test"}}`})

	s.given([]string{"suppress", "ada@example.org", "complaint"})
	row := s.vars["suppression:ada@example.org"]
	h.must(200, "[]", liveKey, "DELETE", "/api/console/suppressions/"+row, "")
	h.gets(t, map[string]string{"suppression.deleted": `{"suppression":{"…":1,"id":` + row + `,"email":"ada@example.org","reason":"complaint"}}`})
}

func TestComplaintsAndLateBouncesAreToldOf(t *testing.T) {
	t.Parallel()
	h := build(t, hyvor.Bounds{})
	f := &hyvor.Format{Archive: h.hooksArchive(), Domains: h.domains, Suppressions: h.store}
	h.must(200, "", liveKey, "POST", "/api/console/sends", plainSend)
	h.carry(always(taken))
	entry := h.lastEntry()
	entry.Type, entry.Detail = mail.EventComplained, mail.Detail{Summary: "Reported as spam", FeedbackType: "abuse"}
	matches(t, f, entry, `{"event":"send.recipient.complained","payload":{"send":`+sendPattern+`,"recipient":{"…":1,"status":"complained"},"complaint":{"text":"Reported as spam","feedback_type":"abuse"}}}`)
	entry.Type, entry.Detail = mail.EventDeferred, mail.Detail{Previous: "delivered", Reason: "report", Summary: "Delayed after it was taken", Reply: &mail.Reply{Code: 450, Text: "timed out"}}
	matches(t, f, entry, `{"event":"send.recipient.deferred","payload":{"send":{"…":1,"id":"<int>","status":"accepted"},"recipient":{"…":1,"status":"accepted"},"attempt":null}}`)
	entry.Type, entry.Detail = mail.EventBounced, mail.Detail{Bounce: &mail.Bounce{Type: "hard", Reason: "report", Reply: &mail.Reply{Enhanced: "5.1.1", Text: "unknown user"}}}
	matches(t, f, entry, `{"event":"send.recipient.bounced","payload":{"send":`+sendPattern+`,"recipient":{"…":1,"status":"bounced"},"attempt":null,"bounce":{"text":"unknown user","status":"5.1.1"}}}`)
}

// An endpoint that is not to know recipients finds their addresses nowhere: neither in what a
// site said nor in the conversation with it.
func TestRedactedAddressesStandNowhere(t *testing.T) {
	t.Parallel()
	h := build(t, hyvor.Bounds{})
	f := &hyvor.Format{Archive: h.hooksArchive(), Domains: h.domains, Suppressions: h.store}
	says := refused
	says.reply.Text = "5.1.1 <ADA@example.org>: no such user"
	h.must(200, "", liveKey, "POST", "/api/console/sends", plainSend)
	h.carry(always(says))
	bounced := h.lastEntry()
	(&script{t: t, h: h, vars: map[string]string{}}).given(strings.Fields("suppress ada@example.org hard_bounce 550 ada@example.org is gone"))
	h.must(200, "", liveKey, "POST", "/api/console/sends", plainSend)
	suppressed := h.lastEntry()
	created := *suppressed
	created.Type, created.Message, created.Delivery = mail.EventSuppressionCreated, nil, nil
	created.Detail = mail.Detail{Recipient: "ada@example.org", Reason: "bounce of ada@example.org"}
	for _, n := range []*eventlog.Entry{bounced, suppressed, &created} {
		plain, err := f.Body(n, &webhook.Endpoint{Format: webhook.FormatHyvor})
		if err != nil || !strings.Contains(strings.ToLower(string(plain)), "ada@example.org") {
			t.Fatalf("%v: %s", err, plain)
		}
		body, err := f.Body(n, &webhook.Endpoint{Format: webhook.FormatHyvor, Redact: []string{"recipient"}})
		if err != nil || len(body) == 0 || strings.Contains(strings.ToLower(string(body)), "ada@example.org") {
			t.Errorf("%v: %s", err, body)
		}
	}
}

func TestDeliveriesOfHooksAreShownWithWhatCameBack(t *testing.T) {
	t.Parallel()
	h := build(t, hyvor.Bounds{})
	long := strings.Repeat("ü", 600)
	answers := map[string]func() (int, string){"send.recipient.accepted": func() (int, string) { return 500, long }, "domain.created": func() (int, string) { return 200, "ok" },
		"suppression.created": func() (int, string) { return 0, "no answer within 15 s" }}
	h.posts.answer = func(q webhook.Request) (int, string) {
		for event, say := range answers {
			if strings.Contains(string(q.Body), `"`+event+`"`) {
				return say()
			}
		}
		return 200, ""
	}
	id, _ := h.hooked("send.recipient.accepted", "domain.created", "suppression.created")
	h.must(200, "", liveKey, "POST", "/api/console/sends", plainSend)
	h.carry(always(taken))
	h.next()
	h.domain("new.test", "pending")
	h.next()
	(&script{t: t, h: h, vars: map[string]string{}}).given([]string{"suppress", "ada@example.org", "manual"})
	h.next()
	path := fmt.Sprintf("/api/console/webhooks/deliveries?webhook_id=%d", id)
	var a answer
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if a = h.must(200, "", liveKey, "GET", path, ""); strings.Count(a.Body.String(), `"try_count":1`) == 3 || time.Now().After(deadline) {
			break
		}
	}
	s := &script{t: t, vars: map[string]string{}}
	if said := s.match("", jsontext.Value(`[
		{"id":"<int>","created_at":"<int>","url":"https://app.acme.test/hooks","event":"suppression.created","status":"pending","response":"no answer within 15 s","response_code":0,"try_count":1,"request_body":"<text>"},
		{"id":"<int:middle>","created_at":"<int>","url":"https://app.acme.test/hooks","event":"domain.created","status":"delivered","response":"ok","response_code":200,"try_count":1,"request_body":"<text>"},
		{"id":"<int>","created_at":"<int>","url":"https://app.acme.test/hooks","event":"send.recipient.accepted","status":"pending","response":"`+strings.Repeat("ü", 512)+`","response_code":500,"try_count":1,"request_body":"<text>"}]`), a.Body.Bytes()); said != "" {
		t.Errorf("%s in %s", said, a.Body)
	}
	if a := h.must(200, "", liveKey, "GET", path+"&limit=1&before_id="+s.vars["middle"], ""); strings.Count(a.Body.String(), `"id"`) < 1 || !strings.HasPrefix(a.Body.String(), `[{"id"`) || !strings.Contains(a.Body.String(), `"response_code":500`) {
		t.Errorf("the next page: %s", a.Body)
	}
}

// The vector of the contract.
func TestTheSignatureIsThatOfTheContract(t *testing.T) {
	t.Parallel()
	got := webhook.HyvorSignature([]byte(`{"event":"send.recipient.accepted","payload":{}}`), "0123456789abcdef0123456789abcdef")
	if got != "2e28300e1859aae7e8df646e39ef6a624bfb4505c6e0541d6b0109716e0ed9bf" {
		t.Error(got)
	}
}

// The documentation's times: the service there leaves out the first, so its second try comes
// after five minutes.
func TestAFailingHookIsTriedAtTheTimesPromised(t *testing.T) {
	t.Parallel()
	h := build(t, hyvor.Bounds{})
	h.posts.answer = func(webhook.Request) (int, string) { return 500, "" }
	h.hooked("domain.created")
	h.domain("new.test", "pending")
	first := h.next().At
	for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		all, err := h.hooks.Deliveries(t.Context(), webhook.DeliveryQuery{Owner: mail.Owner{Project: h.project.Row}, Limit: 10})
		if err != nil || time.Now().After(deadline) {
			t.Fatal("the try was not recorded", err)
		}
		if len(all) == 1 && all[0].Attempts == 1 {
			if wait := all[0].NextAttempt.Sub(first); wait < 54*time.Second || wait > 67*time.Second {
				t.Errorf("the second try comes after %v, want a minute", wait)
			}
			return
		}
	}
}
