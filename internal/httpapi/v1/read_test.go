package v1_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

func TestAMessageTellsItsStory(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	sent := h.send(`{"recipient":"Ada <ada@example.com>","subject":"Hi","html":"<p>Your code is 482913</p><a href=\"https://acme.test/v?t=1\">go</a>","text":"Your code is 482913",
		"attachments":[{"filename":"a b.txt","content_type":"text/plain","content":"aGVsbG8="}],"headers":{"X-Entity-Ref":"42"},"reply_to":"help@acme.test"}`).is(202, "")
	self := sent.at("/links/self")
	h.pass(800 * time.Millisecond)
	h.deliver(false)

	m := h.ask(testKey, "GET", self, "").is(200, "")
	for pointer, want := range map[string]string{"/status": "delivered", "/recipient": "ada@example.com", "/recipients/0/name": "Ada", "/recipients/0/status": "delivered",
		"/recipients/0/site": "sandbox", "/recipients/0/attempts": "1", "/recipients/0/last_reply/at": "2026-04-19T14:30:00.812Z", "/routing/pool": "sandbox", "/routing/source": "null", "/routing/route_id": "null", "/recipients/0/next_attempt_at": "null", "/recipients/0/last_reply/code": "250",
		"/recipients/0/delivered_at": "2026-04-19T14:30:00.800Z", "/recipients/0/waits_for": "null", "/recipients/0/bounce": "null",
		"/from/email": "onboarding@sandbox.test", "/reply_to/0/email": "help@acme.test", "/template": "null", "/headers/X-Entity-Ref": "42", "/via": "api",
		"/attachments/0/filename": "a b.txt", "/attachments/0/size_bytes": "5", "/environment": "test", "/batch_id": "null", "/topic": "null", "/tags": "[]", "/metadata": "{}",
		"/completed_at": "2026-04-19T14:30:00.800Z", "/latency_ms/total": "800", "/latency_ms/first_attempt": "800", "/content/available": "true",
		"/actions/cancel": "false", "/actions/resend": "true", "/attachments/0/sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"} {
		if got := m.at(pointer); got != want {
			t.Errorf("%s: %q, want %q", pointer, got, want)
		}
	}
	byRFC := h.ask(testKey, "GET", "/v1/messages/"+strings.NewReplacer("<", "%3C", ">", "%3E").Replace(m.at("/rfc_message_id")), "").is(200, "")
	if byRFC.at("/message_id") != sent.at("/message_id") {
		t.Error("not found by its Message-ID")
	}
	if got := h.eventTypes(sent); got != "message.queued message.accepted message.delivered" {
		t.Errorf("events: %s", got)
	}
	events := h.ask(testKey, "GET", self+"/events", "")
	if events.at("/data/2/sequence") != "3" || events.at("/data/2/recipient") != "ada@example.com" || events.at("/data/2/summary") != "250 2.0.0 captured" ||
		events.at("/data/0/at") != "2026-04-19T14:30:00.000Z" || !strings.HasPrefix(events.at("/data/0/event_id"), "evt_") {
		t.Errorf("%s", events.Body)
	}
	attempts := h.ask(testKey, "GET", self+"/attempts", "").is(200, "")
	if attempts.at("/data/0/outcome") != "delivered" || attempts.at("/data/0/duration_ms") != "12" || attempts.at("/data/0/transcript/1/line") != "250 \uFFFD hello" ||
		attempts.at("/data/0/recipient_id") != sent.at("/recipients/0/recipient_id") || attempts.at("/data/0/mx/used") != "mx.sandbox.test" {
		t.Errorf("%s", attempts.Body)
	}
	content := h.ask(testKey, "GET", self+"/content", "").is(200, "")
	if content.at("/subject") != "Hi" || !strings.Contains(content.at("/html"), "482913") || content.at("/attachments/0/filename") != "a b.txt" || content.at("/headers/X-Entity-Ref") != "42" {
		t.Errorf("%s", content.Body)
	}
	raw := h.ask(testKey, "GET", self+"/raw", "").is(200, "")
	if raw.Header().Get("Content-Type") != "message/rfc822" || raw.Header().Get("Content-Length") != fmt.Sprint(raw.Body.Len()) || !strings.Contains(raw.Body.String(), "\r\nMessage-ID: <") {
		t.Errorf("%v %s", raw.Header(), raw.Body)
	}
	file := h.ask(testKey, "GET", self+"/attachments/0", "").is(200, "")
	if file.Body.String() != "hello" || file.Header().Get("Content-Disposition") != `attachment; filename="a b.txt"` || file.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%v %s", file.Header(), file.Body)
	}
	h.ask(testKey, "GET", self+"/attachments/1", "").is(404, "not_found")
}

func TestAPreviewShowsAMessageAndLetsNothingInItAct(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	sent := h.send(`{"recipient":"ada@example.com","subject":"<b>Hi</b>","html":"<p onclick=\"run()\">Hello</p><script>run()</script><img src=\"cid:logo\"><img src=\"https://track.test/1.gif\">",
		"attachments":[{"filename":"logo.png","content_type":"image/png","content":"iVBORw==","content_id":"logo","disposition":"inline"}]}`).is(202, "")
	self := sent.at("/links/self")
	page := h.ask(testKey, "GET", self+"/preview", "").is(200, "")
	want := `<!doctype html><html><head><meta charset="utf-8"><title>&lt;b&gt;Hi&lt;/b&gt;</title></head><p>Hello</p><img src="data:image/png;base64,iVBORw=="><img></html>`
	if page.Body.String() != want {
		t.Errorf("got  %s\nwant %s", page.Body, want)
	}
	policy := page.Header().Get("Content-Security-Policy")
	if page.Header().Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "sandbox") ||
		strings.Contains(policy, "allow-scripts") || page.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%v", page.Header())
	}
	h.ask(testKey, "GET", self+"/preview?images=proxy", "").is(400, "invalid_parameter")
	h.ask(liveKey, "GET", self+"/preview", "").is(404, "message_not_found")

	plain := h.send(`{"recipient":"ada@example.com","subject":"s","text":"1 < 2"}`).is(202, "").at("/links/self")
	if page := h.ask(testKey, "GET", plain+"/preview", "").is(200, ""); !strings.Contains(page.Body.String(), ">1 &lt; 2") {
		t.Errorf("%s", page.Body)
	}
}

func TestListsGoOnWhereTheyStopped(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	for i := range 7 {
		h.pass(time.Second)
		h.send(fmt.Sprintf(`{"recipient":"u%d@example.com","subject":"s%d","text":"x","tags":["t%d"]}`, i, i, i%2)).is(202, "")
	}
	walk := func(query string) (got []string) {
		path := "/v1/messages?" + query
		for range 10 {
			a := h.ask(testKey, "GET", path, "").is(200, "")
			for i := range 3 {
				if s := a.at(fmt.Sprintf("/data/%d/subject", i)); s != "" {
					got = append(got, s)
				}
			}
			if a.at("/has_more") == "false" {
				if a.at("/next_cursor") != "null" || a.Header().Get("Link") != "" {
					t.Errorf("the last page goes on: %s", a.Body)
				}
				break
			}
			link := a.Header().Get("Link")
			if !strings.Contains(link, `rel="next"`) || !strings.Contains(link, a.at("/next_cursor")) {
				t.Errorf("Link: %q", link)
			}
			path = "/v1/messages?" + query + "&cursor=" + a.at("/next_cursor")
		}
		return got
	}
	for query, want := range map[string]string{"limit=3": "s6 s5 s4 s3 s2 s1 s0", "limit=3&order=asc": "s0 s1 s2 s3 s4 s5 s6", "limit=2&tag=t1": "s5 s3 s1",
		"limit=3&recipient=u4@EXAMPLE.com": "s4", "limit=3&recipient=u*": "s6 s5 s4 s3 s2 s1 s0", "limit=3&recipient=*@example.net": "",
		"limit=3&created_after=-3s": "s6 s5 s4 s3", "limit=3&status=queued&created_before=-5s": "s0", "limit=3&status=bounced": ""} {
		if got := strings.Join(walk(query), " "); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	cursor := h.ask(testKey, "GET", "/v1/messages?limit=3", "").at("/next_cursor")
	h.ask(testKey, "GET", "/v1/messages?limit=1&cursor="+cursor, "").is(200, "")
	h.ask(testKey, "GET", "/v1/messages?tag=t1&cursor="+cursor, "").is(400, "cursor_filter_mismatch")
	h.ask(liveKey, "GET", "/v1/messages?cursor="+cursor, "").is(400, "invalid_cursor")
	h.ask(testKey, "GET", "/v1/suppressions?cursor="+cursor, "").is(400, "invalid_cursor")
	for i := range len(cursor) {
		forged := []byte(cursor)
		forged[i] = map[bool]byte{true: 'B', false: 'A'}[forged[i] == 'A']
		h.ask(testKey, "GET", "/v1/messages?limit=3&cursor="+string(forged), "").is(400, "invalid_cursor")
	}
	h.pass(8 * 24 * time.Hour)
	h.ask(testKey, "GET", "/v1/messages?limit=3&cursor="+cursor, "").is(400, "invalid_cursor")
	if a := h.ask(testKey, "GET", "/v1/messages?stauts=bounced", "").is(200, ""); a.at("/warnings/0/message") != "Did you mean 'status'?" {
		t.Errorf("%s", a.Body)
	}
}

func TestAMessageCanBeTakenBackUntilAnAttemptBegan(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	path := h.send(hello).at("/links/self")
	if a := h.ask(testKey, "DELETE", path, "").is(200, ""); a.at("/status") != "cancelled" || a.at("/recipients/0/status") != "cancelled" {
		t.Errorf("%s", a.Body)
	}
	h.ask(testKey, "DELETE", path, "").is(404, "message_not_cancellable")
	h.ask(testKey, "DELETE", "/v1/messages/msg_01kpk2byj0emq8k9w39qsaekf4", "").is(404, "message_not_found")
	delivered := h.send(hello).at("/links/self")
	h.deliver(false)
	h.ask(testKey, "DELETE", delivered, "").is(404, "message_not_cancellable")
	if a := h.ask(testKey, "POST", delivered+"/cancel", `{"reason":"late"}`).is(409, "state_conflict"); a.at("/current_state") != "delivered" {
		t.Errorf("%s", a.Body)
	}
	if a := h.ask(testKey, "POST", h.send(hello).at("/links/self")+"/cancel", `{"reason":"typing error"}`, "Idempotency-Key: c").is(200, ""); a.at("/status") != "cancelled" ||
		a.at("/recipients/0/status") != "cancelled" {
		t.Errorf("%s", a.Body)
	}
}

func TestScheduledMailCanBeMoved(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	sent := h.send(hello[:len(hello)-1]+`,"scheduled_time":"2026-04-22T14:30:00Z"}`).is(202, "")
	path := sent.at("/links/self")
	a := h.ask(testKey, "PATCH", path, `{"scheduled_time":"2026-04-23T10:00:00+02:00","tags":["moved"],"metadata":{"a":"b"}}`).is(200, "")
	if a.at("/scheduled_time") != "2026-04-23T08:00:00.000Z" || a.at("/tags/0") != "moved" || a.at("/metadata/a") != "b" || a.at("/status") != "scheduled" || a.at("/actions/reschedule") != "true" {
		t.Errorf("%s", a.Body)
	}
	if a := h.ask(testKey, "PATCH", path, `{"tags":["again"]}`).is(200, ""); a.at("/scheduled_time") != "2026-04-23T08:00:00.000Z" || a.at("/tags/0") != "again" {
		t.Errorf("tags alone: %s", a.Body)
	}
	for body, code := range map[string]string{`{"scheduled_time":"2020-01-01T00:00:00Z"}`: "scheduled_time_in_past", `{"scheduled_time":"2030-01-01T00:00:00Z"}`: "scheduled_time_too_far",
		`{"scheduled_time":null}`: "invalid_value", `{"tags":"` + strings.Repeat("x", 65) + `"}`: "too_long", `{"metadata":[]}`: "invalid_type"} {
		if a := h.ask(testKey, "PATCH", path, body).is(422, "validation_failed"); a.at("/errors/0/code") != code {
			t.Errorf("%s: %s", body, a.Body)
		}
	}
	if a := h.ask(testKey, "POST", path+"/send-now", "").is(200, ""); a.at("/status") != "queued" {
		t.Errorf("%s", a.Body)
	}
	h.ask(testKey, "PATCH", path, `{"scheduled_time":"2026-04-23T10:00:00Z"}`).is(409, "state_conflict")
	h.ask(testKey, "POST", path+"/send-now", "").is(409, "state_conflict")
}

func TestResendMakesANewMessage(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	sent := h.send(`{"to":["ada@example.com","bob@example.com"],"subject":"Hi","text":"x"}`).is(202, "")
	path := sent.at("/links/self") + "/resend"
	all := h.ask(testKey, "POST", path, "").is(202, "")
	if all.at("/message_id") == sent.at("/message_id") || all.at("/recipients/1/email") != "bob@example.com" || all.at("/resent_from") != sent.at("/message_id") {
		t.Errorf("%s", all.Body)
	}
	if one := h.ask(testKey, "POST", path, `{"recipients":["`+sent.at("/recipients/1/recipient_id")+`"]}`).is(202, ""); one.at("/recipient") != "bob@example.com" || one.at("/recipients/1") != "" {
		t.Errorf("%s", one.Body)
	}
	other := h.ask(testKey, "POST", path, `{"to":"carol@example.com"}`).is(202, "")
	if other.at("/recipient") != "carol@example.com" {
		t.Errorf("%s", other.Body)
	}
	if m := h.ask(testKey, "GET", other.at("/links/self"), "").is(200, ""); m.at("/resent_from") != sent.at("/message_id") {
		t.Errorf("%s", m.Body)
	}
	h.ask(testKey, "POST", path, `{"recipients":["rcp_x"]}`).is(422, "validation_failed")
	h.ask(testKey, "POST", path, `{"to":"a@b.test","recipients":["rcp_x"]}`).is(422, "validation_failed")
}

func TestSuppressionsAreKeptFoundAndLifted(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	made := h.ask(testKey, "POST", "/v1/suppressions", `{"recipient":"User@Example.com","reason":"user_unsubscribed","topic":"news","note":"ticket 812","expires_at":"2027-01-01T00:00:00Z"}`).is(201, "")
	if made.at("/kind") != "unsubscribe" || made.at("/reason") != "user_unsubscribed" || made.at("/recipient") != "user@example.com" || made.at("/created") != "true" || made.at("/topic") != "news" {
		t.Errorf("%s", made.Body)
	}
	if again := h.ask(testKey, "POST", "/v1/suppressions", `{"email":"user@example.com","reason":"unsubscribe","topic":"news"}`).is(200, ""); again.at("/created") != "false" || again.at("/suppression_id") != made.at("/suppression_id") {
		t.Errorf("%s", again.Body)
	}
	complaint := h.ask(testKey, "POST", "/v1/suppressions", `{"recipient":"user@example.com","reason":"complaint"}`).is(201, "")
	if a := h.ask(testKey, "GET", "/v1/suppressions/user@example.com", "").is(200, ""); a.at("/kind") != "complaint" || a.at("/history/0/event") != "created" {
		t.Errorf("the weightiest: %s", a.Body)
	}
	if a := h.ask(testKey, "GET", "/v1/suppressions?recipient=user@example.com&reason=unsubscribe", "").is(200, ""); a.at("/data/0/suppression_id") != made.at("/suppression_id") || a.at("/data/1") != "" {
		t.Errorf("%s", a.Body)
	}
	check := h.ask(testKey, "POST", "/v1/suppressions/check", `{"recipients":["user@example.com","free@example.com"]}`).is(200, "")
	if check.at("/data/0/suppressed") != "true" || check.at("/data/0/reason") != "complaint" || check.at("/data/0/bypassable") != "false" || check.at("/data/1/suppressed") != "false" {
		t.Errorf("%s", check.Body)
	}
	h.ask(liveKey, "GET", "/v1/suppressions/user@example.com", "").is(404, "not_found")
	h.ask(testKey, "DELETE", "/v1/suppressions/user@example.com", "").is(409, "state_conflict")
	h.ask(testKey, "DELETE", "/v1/suppressions/user@example.com?reason=complaint", "").is(409, "state_conflict")
	if a := h.ask(testKey, "DELETE", "/v1/suppressions/"+complaint.at("/suppression_id")+"?force=true", "").is(200, ""); a.at("/kind") != "complaint" {
		t.Errorf("%s", a.Body)
	}
	h.ask(testKey, "DELETE", "/v1/suppressions/user@example.com", "").is(200, "")
	h.ask(testKey, "DELETE", "/v1/suppressions/user@example.com", "").is(404, "not_found")
	for body, code := range map[string]string{`{}`: "missing_required_field", `{"recipient":"x"}`: "invalid_email", `{"recipient":"a@b.test","reason":"No Slug"}`: "invalid_value",
		`{"recipient":"a@b.test","topic":"x"}`: "invalid_value", `{"recipient":"a@b.test","expires_at":"2020-01-01T00:00:00Z"}`: "invalid_value", `{"recipient":7}`: "invalid_type"} {
		if a := h.ask(testKey, "POST", "/v1/suppressions", body).is(422, "validation_failed"); a.at("/errors/0/code") != code || a.at("/errors/1") != "" {
			t.Errorf("%s: %s", body, a.Body)
		}
	}
}

func TestKeysMeAndProject(t *testing.T) {
	t.Parallel()
	h := build(t, 50)
	k := h.ask(liveKey, "POST", "/v1/api-keys", `{"name":"api-prod","environment":"test","scopes":["messages.send","keys.read"],"allowed_from":["*@acme.test"],
		"ip_allowlist":["192.0.2.0/24"],"expires_at":"2027-04-19T00:00:00Z","rate_limit":{"per_minute":9},"max_recipients":1}`).is(201, "")
	secret, path := k.at("/secret"), "/v1/api-keys/"+k.at("/key_id")
	if !strings.HasPrefix(secret, k.at("/prefix")+"_") || k.at("/enabled") != "true" || k.at("/last_used_at") != "null" || k.Header().Get("Location") != path || k.Header().Get("ETag") == "" {
		t.Errorf("%v %s", k.Header(), k.Body)
	}
	me := h.ask(secret, "GET", "/v1/me", "").is(200, "") // httptest's address is 192.0.2.1
	if me.at("/environment") != "test" || me.at("/project/name") != "default" || me.at("/limits/key_per_minute") != "9" || me.at("/limits/project_per_minute") != "50" ||
		me.at("/scopes/0") != "messages.send" || me.Header().Get("X-RateLimit-Limit") != "9" || strings.Contains(me.Body.String(), secret) {
		t.Errorf("%s", me.Body)
	}
	etag := h.ask(liveKey, "GET", path, "").is(200, "").Header().Get("ETag")
	if a := h.ask(liveKey, "PATCH", path, `{"name":"renamed","rate_limit":null,"ip_allowlist":["198.51.100.0/24"],"enabled":true}`, "If-Match: "+etag).is(200, ""); a.at("/name") != "renamed" || a.at("/rate_limit") != "null" {
		t.Errorf("%s", a.Body)
	}
	h.ask(liveKey, "PATCH", path, `{"name":"again"}`, "If-Match: "+etag).is(412, "precondition_failed")
	h.ask(secret, "GET", "/v1/me", "").is(403, "ip_not_allowed")
	h.ask(liveKey, "PATCH", path, `{"enabled":false}`).is(200, "")
	h.ask(secret, "GET", "/v1/me", "").is(401, "api_key_disabled")
	if a := h.ask(testKey, "GET", "/v1/api-keys", "").is(200, ""); strings.Contains(a.Body.String(), `"environment":"live"`) || !strings.Contains(a.Body.String(), k.at("/key_id")) {
		t.Errorf("a test key's list: %s", a.Body)
	}
	h.ask(testKey, "POST", "/v1/api-keys", `{"name":"x","environment":"live","scopes":["messages.send"]}`).is(422, "validation_failed")
	h.ask(liveKey, "DELETE", path, "").is(204, "")
	h.ask(liveKey, "GET", "/v1/api-keys/key_nothing1", "").is(404, "not_found")

	p := h.ask(liveKey, "GET", "/v1/project", "").is(200, "")
	if p.at("/content_retention_days") != "30" || p.at("/rate_limit/per_minute") != "50" || p.at("/on_suppressed") != "accept" {
		t.Errorf("%s", p.Body)
	}
	if a := h.ask(liveKey, "PATCH", "/v1/project", `{"default_from":"Acme <hello@sandbox.test>","rate_limit":{"per_minute":70}}`, "If-Match: "+p.Header().Get("ETag")).is(200, ""); a.at("/rate_limit/per_minute") != "70" {
		t.Errorf("%s", a.Body)
	}
	h.ask(liveKey, "PATCH", "/v1/project", `{"default_from":null}`, "If-Match: "+p.Header().Get("ETag")).is(412, "precondition_failed")
	if a := h.ask(liveKey, "PATCH", "/v1/project", `{"default_from":"x","on_suppressed":"boom","content_retention_days":"a"}`).is(422, "validation_failed"); a.at("/errors/1/code") == "" {
		t.Errorf("%s", a.Body)
	}
	if got := h.ask(liveKey, "GET", "/v1/me", "").Header().Get("X-RateLimit-Limit"); got != "70" {
		t.Errorf("the new limit does not hold: %s", got)
	}
	h.ask("", "GET", "/v1/version", "").is(200, "")
	if a := h.ask(testKey, "GET", "/v1/health", "").is(200, ""); a.at("/status") != "ok" {
		t.Errorf("%s", a.Body)
	}
}

func TestADomainIsMadeShownCheckedAndRemoved(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	made := h.ask(liveKey, "POST", "/v1/domains", `{"name":"Acme.test","dkim":{"algorithm":"ed25519"}}`).is(201, "")
	path := made.Header().Get("Location")
	if made.at("/name") != "acme.test" || made.at("/status") != "pending" || made.at("/can_send") != "false" || made.at("/dkim_keys/0/algorithm") != "ed25519" || strings.Contains(made.Body.String(), "sealed") {
		t.Errorf("%s", made.Body)
	}
	h.ask(liveKey, "POST", "/v1/domains", `{"name":"acme.test"}`).is(409, "already_exists")
	records := h.ask(liveKey, "GET", "/v1/domains/acme.test/dns", "").is(200, "")
	if records.at("/data/0/purpose") != "DKIM" || records.at("/object") != "list" {
		t.Fatalf("%s", records.Body)
	}
	if a := h.ask(liveKey, "POST", path+"/verify", "").is(200, ""); a.at("/status") != "pending" {
		t.Errorf("%s", a.Body)
	}
	if err := h.dns.Add(records.at("/data/0/fqdn") + `. 1 IN TXT "` + records.at("/data/0/value") + `"`); err != nil {
		t.Fatal(err)
	}
	h.pass(time.Hour) // what was asked before is forgotten
	if a := h.ask(liveKey, "POST", path+"/verify", `{}`).is(200, ""); a.at("/status") != "verified" || a.at("/checks/dkim") != "pass" {
		t.Errorf("%s", a.Body)
	}
	h.ask(liveKey, "POST", "/v1/messages", `{"recipient":"ada@example.net","from":"Acme <hi@acme.test>","subject":"s","text":"x"}`).is(202, "")
	if a := h.ask(liveKey, "PATCH", path, `{"tls":"required","default_from":"hi@acme.test"}`).is(200, ""); a.at("/tls") != "required" || a.at("/default_from") != "hi@acme.test" {
		t.Errorf("%s", a.Body)
	}
	h.ask(liveKey, "PATCH", path, `{"tls":"maybe"}`).is(422, "validation_failed")
	h.ask(liveKey, "DELETE", path, "").is(409, "state_conflict")
	h.ask(liveKey, "DELETE", path+"?force=true", "").is(204, "")
	h.ask(liveKey, "GET", path, "").is(404, "not_found")
	if a := h.ask(liveKey, "GET", "/v1/domains", "").is(200, ""); a.at("/data") != "[]" {
		t.Errorf("%s", a.Body)
	}
	h.ask(liveKey, "POST", "/v1/domains", `{"name":"no dots","dkim":{"selector":"-","algorithm":"md5"}}`).is(422, "validation_failed")
}

func TestTheSandboxShowsWhatWasCapturedAndWaitsForIt(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.ask(testKey, "GET", "/v1/sandbox/messages/wait?timeout=0", "").is(404, "message_not_found")
	var waiting sync.WaitGroup
	var got answer
	waiting.Go(func() {
		got = h.ask(testKey, "GET", "/v1/sandbox/messages/wait?recipient=ADA@example.com&subject=code&timeout=10", "")
	})
	h.send(strings.Replace(hello, "ada@", "bob@", 1)).is(202, "")
	sent := h.send(hello).is(202, "")
	h.deliver(false)
	waiting.Wait()
	if got.is(200, ""); got.at("/message_id") != sent.at("/message_id") || got.at("/extracted/codes/0") != "482913" || got.at("/extracted/links/0") != "https://acme.test/v?t=1" ||
		got.at("/content/subject") != "Your code" || got.at("/status") != "delivered" {
		t.Errorf("%s", got.Body)
	}
	if a := h.ask(testKey, "GET", "/v1/sandbox/messages", "").is(200, ""); a.at("/data/0/message_id") != sent.at("/message_id") || a.at("/data/1/recipient") != "bob@example.com" {
		t.Errorf("%s", a.Body)
	}
	if a := h.ask(testKey, "GET", "/v1/sandbox/messages/"+sent.at("/message_id"), "").is(200, ""); a.at("/extracted/codes/0") != "482913" {
		t.Errorf("%s", a.Body)
	}
	if a := h.ask(liveKey, "GET", "/v1/sandbox/messages", "").is(200, ""); a.at("/data") != "[]" {
		t.Errorf("%s", a.Body)
	}
	if n, _ := h.store.Suppressed(t.Context(), h.owner(mail.Test), []string{"ada@example.com"}, "", h.clock()); len(n) != 0 {
		t.Error("a capture suppressed somebody")
	}
}

func TestAWaitIsAsLongAsItWasAskedFor(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	server := httptest.NewUnstartedServer(h)
	server.Config.ReadTimeout, server.Config.WriteTimeout = 300*time.Millisecond, 600*time.Millisecond // 30 s and 60 s in earnest
	server.Start()
	t.Cleanup(server.Close)
	r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/v1/sandbox/messages/wait?timeout=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+testKey)
	began := time.Now()
	answer, err := http.DefaultClient.Do(r)
	for range 2 { // before the wait begins, a machine that stalls is too slow for such a server
		if err != nil {
			t.Log(err)
			began = time.Now()
			answer, err = http.DefaultClient.Do(r)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if took := time.Since(began); answer.StatusCode != 404 || took < 950*time.Millisecond {
		t.Errorf("%d after %v", answer.StatusCode, took)
	}
}

func TestListsTellTheirTotalWhenAsked(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	for i := range 5 {
		h.send(fmt.Sprintf(`{"recipient":"u%d@example.com","subject":"s","text":"x","tags":["t%d"]}`, i, i%2)).is(202, "")
		h.ask(testKey, "POST", "/v1/suppressions", fmt.Sprintf(`{"recipient":"s%d@example.com","reason":"manual"}`, i)).is(201, "")
	}
	first := h.ask(testKey, "GET", "/v1/messages?limit=2", "").is(200, "")
	if first.at("/total") != "" {
		t.Errorf("a total nobody asked for: %s", first.Body)
	}
	for path, want := range map[string]string{"/v1/messages?limit=2&include=total": "5", "/v1/messages?include=total&tag=t1": "2", "/v1/messages?include=recipients,total&recipient=nobody@example.com": "0",
		"/v1/sandbox/messages?limit=1&include=total": "5", "/v1/suppressions?limit=2&include=total": "5", "/v1/unsubscribes?include=total": "0", "/v1/suppressions?include=total&recipient=s1@example.com": "1",
		"/v1/api-keys?include=total": "", "/v1/templates?include=total": "0", "/v1/domains?include=total": "", "/v1/webhooks?include=total": "0"} {
		a := h.ask(testKey, "GET", path, "").is(200, "")
		if want == "" {
			if a.at("/total/count") == "" {
				t.Errorf("%s: no total", path)
			}
			continue
		}
		if a.at("/total/count") != want || a.at("/total/estimate") != "false" {
			t.Errorf("%s: total %s of %s, want %s", path, a.at("/total/count"), a.at("/total/estimate"), want)
		}
	}
	next := first.at("/next_cursor")
	if second := h.ask(testKey, "GET", "/v1/messages?limit=2&include=total&cursor="+next, "").is(200, ""); second.at("/total/count") != "5" {
		t.Errorf("the second page counts otherwise: %s", second.Body)
	}
	for _, path := range []string{"/v1/messages?include=totals", "/v1/suppressions?include=recipients", "/v1/events?include=total", "/v1/usage?include=total"} {
		if a := h.ask(testKey, "GET", path, "").is(400, "invalid_parameter"); !strings.Contains(a.Body.String(), `"field":"include"`) {
			t.Errorf("%s: %s", path, a.Body)
		}
	}
}
