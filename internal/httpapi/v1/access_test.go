package v1_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/submit"
)

const aMessage = `{"from":"hello@sandbox.test","to":"ada@sandbox.test","subject":"x","text":"y"}`

func TestARotatedKeyWorksUntilItsOverlapIsOver(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	made := h.ask(testKey, "POST", "/v1/api-keys", `{"name":"ci","scopes":["messages.send","messages.read"],"max_recipients":2,"daily_messages":7,"allowed_from":["*@sandbox.test"]}`).is(201, "")
	old, oldID := made.at("/secret"), made.at("/key_id")
	path := "/v1/api-keys/" + oldID
	r := h.ask(testKey, "POST", path+"/rotate", `{"overlap_hours":2}`, "Idempotency-Key: r1").is(201, "")
	fresh := r.at("/secret")
	if fresh == old || r.at("/key_id") == oldID || r.at("/old_key_id") != oldID || r.at("/old_expires_at") != "2026-04-19T16:30:00.000Z" || r.at("/max_recipients") != "2" ||
		r.at("/daily_messages") != "7" || r.at("/scopes/1") != "messages.read" || r.at("/allowed_from/0") != "*@sandbox.test" || r.Header().Get("Location") != "/v1/api-keys/"+r.at("/key_id") {
		t.Errorf("%s", r.Body)
	}
	again := h.ask(testKey, "POST", path+"/rotate", `{"overlap_hours":2}`, "Idempotency-Key: r1").is(201, "")
	if again.at("/secret") != "null" || again.at("/key_id") != r.at("/key_id") || again.at("/warnings/0/code") != "secret_not_shown" {
		t.Errorf("replay: %s", again.Body)
	}
	for _, key := range []string{old, fresh} {
		h.ask(key, "POST", "/v1/messages", aMessage).is(202, "")
	}
	if a := h.ask(testKey, "GET", path, "").is(200, ""); a.at("/replaced_by") != r.at("/key_id") || a.at("/expires_at") != "2026-04-19T16:30:00.000Z" {
		t.Errorf("%s", a.Body)
	}
	if twice := h.ask(testKey, "POST", path+"/rotate", ``).is(409, "state_conflict"); !strings.Contains(twice.at("/detail"), r.at("/key_id")) {
		t.Errorf("%s", twice.Body)
	}
	h.pass(2 * time.Hour)
	h.ask(old, "POST", "/v1/messages", aMessage).is(401, "api_key_expired")
	h.ask(fresh, "POST", "/v1/messages", aMessage).is(202, "")
	now := h.ask(testKey, "POST", "/v1/api-keys/"+r.at("/key_id")+"/rotate", `{"overlap_hours":0}`).is(201, "")
	h.ask(fresh, "POST", "/v1/messages", aMessage).is(401, "api_key_expired")
	h.ask(now.at("/secret"), "POST", "/v1/messages", aMessage).is(202, "")
	h.ask(testKey, "DELETE", "/v1/api-keys/"+now.at("/key_id"), "").is(204, "")
	h.ask(testKey, "POST", "/v1/api-keys/"+now.at("/key_id")+"/rotate", ``).is(409, "state_conflict")
}

func TestRotationGivesNobodyMoreThanTheyHave(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	strong := h.ask(testKey, "POST", "/v1/api-keys", `{"name":"strong","scopes":["messages.send","project.write"]}`).is(201, "").at("/key_id")
	weak := h.ask(testKey, "POST", "/v1/api-keys", `{"name":"weak","scopes":["keys.write","messages.send"]}`).is(201, "").at("/secret")
	h.ask(weak, "POST", "/v1/api-keys/"+strong+"/rotate", ``).is(422, "validation_failed")
	live := h.ask(liveKey, "POST", "/v1/api-keys", `{"name":"live","scopes":["messages.send"]}`).is(201, "").at("/key_id")
	h.ask(testKey, "POST", "/v1/api-keys/"+live+"/rotate", ``).is(404, "not_found")
	for body, field := range map[string]string{`{"overlap_hours":721}`: "overlap_hours", `{"overlap_hours":-1}`: "overlap_hours", `{"overlap_hours":"1"}`: "overlap_hours", `{"expires_at":"2020-01-01T00:00:00Z"}`: "expires_at"} {
		if a := h.ask(testKey, "POST", "/v1/api-keys/"+strong+"/rotate", body).is(422, "validation_failed"); a.at("/errors/0/field") != field {
			t.Errorf("%s: %s", body, a.Body)
		}
	}
	h.ask(testKey, "POST", "/v1/api-keys/"+strong+"/rotate", ``, `If-Match: "v9"`).is(412, "precondition_failed")
}

func TestAllowListsAreJudgedAndSaidClearly(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	key := h.ask(testKey, "POST", "/v1/api-keys", `{"name":"k","scopes":["messages.send"],"allowed_from":["*@*.acme.test","billing-*@acme.io","Boss@ACME.io","*@bücher.example"]}`).is(201, "").at("/secret")
	for from, ok := range map[string]bool{"a@shop.acme.test": true, "a@b.shop.acme.test": true, "a@acme.test": false, "a@notacme.test": false, "billing-7@acme.io": true, "BILLING-7@ACME.IO": true,
		"billing@acme.io": false, "boss@acme.io": true, "x@xn--bcher-kva.example": true, "x@bücher.example": true, "x@sub.bücher.example": false} {
		a := h.ask(key, "POST", "/v1/messages", `{"from":"`+from+`","to":"ada@sandbox.test","subject":"x","text":"y"}`)
		if ok {
			a.is(202, "")
		} else if a.is(403, "from_not_allowed"); !strings.Contains(a.at("/detail"), "*@*.acme.test") {
			t.Errorf("%s: %s", from, a.Body)
		}
	}
	for _, bad := range []string{"acme.test", "*", "@acme.test", "a@b", "*@*", "a*b@acme.test", "*@*.*.test", "a@b@c.test", "a b@acme.test"} {
		h.ask(testKey, "POST", "/v1/api-keys", `{"name":"k","scopes":["messages.send"],"allowed_from":["`+bad+`"]}`).is(422, "validation_failed")
	}
	maker := h.ask(testKey, "POST", "/v1/api-keys", `{"name":"m","scopes":["keys.write","messages.send"],"allowed_from":["*@*.acme.test"],"ip_allowlist":["192.0.2.0/24"]}`).is(201, "").at("/secret")
	for pattern, status := range map[string]int{"a@shop.acme.test": 201, "*@*.shop.acme.test": 201, "*@acme.test": 422, "*@*.test": 422, "*@*.acme.test": 201} {
		h.ask(maker, "POST", "/v1/api-keys", `{"name":"k","scopes":["messages.send"],"allowed_from":["`+pattern+`"],"ip_allowlist":["192.0.2.7"]}`).is(status, "")
	}
	far := h.ask(testKey, "POST", "/v1/api-keys", `{"name":"k","scopes":["messages.send"],"ip_allowlist":["10.0.0.0/8","2001:db8::/48"]}`).is(201, "").at("/secret")
	if a := h.ask(far, "POST", "/v1/messages", aMessage).is(403, "ip_not_allowed"); !strings.Contains(a.at("/detail"), "192.0.2.1") {
		t.Errorf("%s", a.Body)
	}
}

func TestAllowedDomainsBindTheWholeProject(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	if a := h.ask(liveKey, "PATCH", "/v1/project", `{"allowed_domains":["ACME.test","*.acme.test"]}`).is(200, ""); a.at("/allowed_domains/0") != "acme.test" || a.at("/allowed_domains/1") != "*.acme.test" {
		t.Errorf("%s", a.Body)
	}
	for from, status := range map[string]int{"a@acme.test": 202, "a@sub.acme.test": 202, "a@other.test": 403, "a@xacme.test": 403, "a@sandbox.test": 202} {
		h.send(`{"from":"`+from+`","to":"ada@sandbox.test","subject":"x","text":"y"}`).is(status, map[int]string{403: "from_not_allowed"}[status])
	}
	h.send(`{"to":"ada@sandbox.test","subject":"x","text":"y"}`).is(202, "") // from the sandbox's own sender
	if a := h.ask(liveKey, "PATCH", "/v1/project", `{"allowed_domains":["acme.test","not a domain"]}`).is(422, "validation_failed"); a.at("/errors/0/field") != "allowed_domains[1]" {
		t.Errorf("%s", a.Body)
	}
}

func TestProjectsAreManagedByTheOperator(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	a := h.ask(liveKey, "POST", "/v1/projects", `{"name":"web-shop","daily_messages":5}`, "Idempotency-Key: p").is(201, "")
	path := "/v1/projects/" + a.at("/project_id")
	if a.at("/name") != "web-shop" || a.at("/daily_messages") != "5" || a.at("/live_enabled") != "true" || a.Header().Get("Location") != path || a.Header().Get("ETag") != `"v1"` {
		t.Errorf("%s", a.Body)
	}
	if r := h.ask(liveKey, "POST", "/v1/projects", `{"name":"web-shop","daily_messages":5}`, "Idempotency-Key: p").is(201, ""); r.Header().Get("Idempotency-Replayed") != "true" {
		t.Error("not replayed")
	}
	h.ask(liveKey, "POST", "/v1/projects", `{"name":"web-shop"}`).is(409, "already_exists")
	h.ask(liveKey, "POST", "/v1/projects", `{}`).is(422, "validation_failed")
	h.ask(liveKey, "POST", "/v1/projects", `{"name":"Web Shop"}`).is(422, "validation_failed")
	if l := h.ask(liveKey, "GET", "/v1/projects", "").is(200, ""); l.at("/data/1/name") != "web-shop" {
		t.Errorf("%s", l.Body)
	}
	h.ask(h.keyWith("project.write", "project.read"), "GET", "/v1/projects", "").is(403, "insufficient_scope")

	p, err := h.access.FindProject(t.Context(), "web-shop")
	if err != nil {
		t.Fatal(err)
	}
	live := env(false)
	_, key, err := h.access.CreateKey(t.Context(), project.NewKey{Project: &p, Name: "k", Env: &live, Scopes: []string{"*", "instance.write"}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.ask(liveKey, "PATCH", path, `{"live_enabled":false,"strict_fields":true}`, `If-Match: "v1"`).is(200, "")
	h.ask(liveKey, "PATCH", path, `{"live_enabled":false}`, `If-Match: "v1"`).is(412, "precondition_failed")
	h.ask(key, "POST", "/v1/messages", aMessage).is(403, "live_not_enabled")
	h.ask(key, "POST", "/v1/api-keys", `{"name":"x","scopes":["messages.send"]}`).is(422, "validation_failed")
	test := h.ask(key, "POST", "/v1/api-keys", `{"name":"x","environment":"test","scopes":["messages.send"]}`).is(201, "").at("/secret")
	h.ask(test, "POST", "/v1/messages", aMessage).is(202, "")

	if s := h.ask(liveKey, "POST", "/v1/projects/web-shop/suspend", `{"reason":"complaints"}`).is(200, ""); s.at("/suspended") != "true" || s.at("/suspended_reason") != "complaints" || s.at("/suspended_at") != "2026-04-19T14:30:00.000Z" {
		t.Errorf("%s", s.Body)
	}
	if s := h.ask(test, "POST", "/v1/messages", aMessage).is(403, "project_suspended"); !strings.Contains(s.at("/detail"), "complaints") {
		t.Errorf("%s", s.Body)
	}
	h.ask(liveKey, "DELETE", path, "").is(409, "state_conflict") // a message waits
	if s := h.ask(liveKey, "POST", path+"/resume", ``).is(200, ""); s.at("/suspended") != "false" || s.at("/suspended_reason") != "null" {
		t.Errorf("%s", s.Body)
	}
	h.ask(test, "POST", "/v1/messages", aMessage).is(202, "")
	h.ask(liveKey, "DELETE", path, "").is(409, "state_conflict") // not suspended
	h.deliver(false)
	h.ask(liveKey, "POST", path+"/suspend", `{}`).is(200, "")
	h.ask(key, "DELETE", path, "").is(409, "state_conflict") // its own
	h.ask(liveKey, "DELETE", path, "").is(204, "")
	h.ask(test, "GET", "/v1/me", "").is(401, "api_key_revoked")
	h.ask(liveKey, "GET", path, "").is(404, "not_found")
	h.ask(liveKey, "DELETE", "/v1/projects/default", "").is(409, "state_conflict")
	h.ask(liveKey, "POST", "/v1/projects", `{"name":"web-shop"}`).is(201, "")
}

func TestAuditsTellWhoChangedWhatAndNeverASecret(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	made := h.ask(liveKey, "POST", "/v1/api-keys", `{"name":"audited","scopes":["messages.send"]}`, "User-Agent: shop/1").is(201, "")
	id := made.at("/key_id")
	h.ask(liveKey, "PATCH", "/v1/api-keys/"+id, `{"enabled":false}`).is(200, "")
	h.ask(liveKey, "PATCH", "/v1/project", `{"strict_fields":true}`).is(200, "")
	h.ask(liveKey, "POST", "/v1/domains", `{"name":"acme.test"}`).is(201, "")
	h.ask(liveKey, "POST", "/v1/suppressions", `{"recipient":"secret-person@example.com"}`).is(201, "")
	h.ask(liveKey, "DELETE", "/v1/suppressions/secret-person@example.com", "").is(200, "")
	h.ask(liveKey, "PATCH", "/v1/project", `{"strict_fields":"x"}`).is(422, "") // nothing changed
	h.ask(testKey, "POST", "/v1/messages", aMessage).is(202, "")                // no configuration
	h.ask(testKey, "PATCH", "/v1/project", `{"strict_fields":false}`).is(200, "")
	all := h.ask(liveKey, "GET", "/v1/audit?order=asc", "").is(200, "")
	if strings.Contains(all.Body.String(), "secret-person") || strings.Contains(all.Body.String(), made.at("/secret")) {
		t.Errorf("%s", all.Body)
	}
	var actions []string
	for i := range 9 {
		if a := all.at("/data/" + strconv.Itoa(i) + "/action"); a != "" {
			actions = append(actions, a)
		}
	}
	if got := strings.Join(actions, " "); got != "api_keys.create api_keys.update project.update domains.create suppressions.create suppressions.delete project.update" {
		t.Errorf("actions: %s", got)
	}
	if all.at("/data/0/target") != id || all.at("/data/0/actor/type") != "api_key" || all.at("/data/0/user_agent") != "shop/1" || all.at("/data/0/ip") != "192.0.2.1" || all.at("/data/0/environment") != "live" {
		t.Errorf("%s", all.Body)
	}
	if c := all.at("/data/1/changes"); c != `[{"field":"enabled","from":true,"to":false}]` {
		t.Errorf("changes: %s", c)
	}
	if c := all.at("/data/2/changes"); c != `[{"field":"strict_fields","from":false,"to":true}]` {
		t.Errorf("changes: %s", c)
	}
	if own := h.ask(testKey, "GET", "/v1/audit", "").is(200, ""); own.at("/data/0/action") != "project.update" || own.at("/data/1") != "" {
		t.Errorf("a test key sees %s", own.Body)
	}
	page := h.ask(liveKey, "GET", "/v1/audit?action=api_keys.*&limit=1", "").is(200, "")
	if page.at("/data/0/action") != "api_keys.update" || page.at("/has_more") != "true" {
		t.Errorf("%s", page.Body)
	}
	next := h.ask(liveKey, "GET", "/v1/audit?action=api_keys.*&limit=1&cursor="+page.at("/next_cursor"), "").is(200, "")
	if next.at("/data/0/action") != "api_keys.create" || next.at("/has_more") != "false" {
		t.Errorf("%s", next.Body)
	}
	h.ask(h.keyWith("audit.read"), "GET", "/v1/audit?all=true", "").is(403, "insufficient_scope")
	h.ask(h.keyWith("messages.read"), "GET", "/v1/audit", "").is(403, "insufficient_scope")
}

func TestADailyQuotaHoldsToTheMessageAndSaysWhenItResets(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.ask(testKey, "PATCH", "/v1/project", `{"daily_messages":3}`).is(200, "")
	h.send(aMessage, "Idempotency-Key: one").is(202, "")
	for range 3 {
		h.send(aMessage, "Idempotency-Key: one").is(202, "") // replays count nothing
	}
	h.ask(testKey, "POST", "/v1/messages?dry_run=true", aMessage).is(200, "")
	batch := `{"messages":[` + aMessage + `,` + aMessage + `,` + aMessage + `]}`
	over := h.ask(testKey, "POST", "/v1/messages/batch", batch).is(429, "quota_exceeded")
	if over.at("/quota") != "project.daily_messages" || over.at("/resets_at") != "2026-04-20T00:00:00.000Z" || over.at("/limit") != "3" || over.at("/used") != "1" ||
		over.Header().Get("Retry-After") != "34201" || over.Header().Get("X-Should-Retry") != "true" {
		t.Errorf("%s %v", over.Body, over.Header())
	}
	h.send(aMessage).is(202, "")
	h.send(aMessage).is(202, "")
	h.send(aMessage, "Idempotency-Key: two").is(429, "quota_exceeded")
	h.send(aMessage, "Idempotency-Key: one").is(202, "") // a 429 never hides a stored answer
	u := h.ask(testKey, "GET", "/v1/usage?period=day", "").is(200, "")
	if u.at("/usage/today/messages") != "3" || u.at("/usage/today/recipients") != "3" || u.at("/limits/remaining_today") != "0" || u.at("/resets_at") != "2026-04-20T00:00:00.000Z" || u.at("/days/0/date") != "2026-04-19" {
		t.Errorf("%s", u.Body)
	}
	if live := h.ask(liveKey, "GET", "/v1/usage", "").is(200, ""); live.at("/usage/today/messages") != "0" {
		t.Errorf("live: %s", live.Body)
	}
	h.pass(10 * time.Hour)
	h.send(aMessage, "Idempotency-Key: two").is(202, "")
	if u := h.ask(testKey, "GET", "/v1/usage?period=week", "").is(200, ""); u.at("/usage/today/messages") != "1" || u.at("/usage/period/messages") != "4" || u.at("/days/1/messages") != "1" {
		t.Errorf("%s", u.Body)
	}
	h.ask(testKey, "GET", "/v1/usage?period=hour", "").is(400, "invalid_parameter")

	key := h.ask(testKey, "POST", "/v1/api-keys", `{"name":"k","scopes":["messages.send"],"daily_messages":1}`).is(201, "").at("/secret")
	h.ask(key, "POST", "/v1/messages", aMessage).is(202, "")
	if a := h.ask(key, "POST", "/v1/messages", aMessage).is(429, "quota_exceeded"); a.at("/quota") != "key.daily_messages" {
		t.Errorf("%s", a.Body)
	}
	h.ask(testKey, "PATCH", "/v1/project", `{"daily_messages":-1}`).is(422, "validation_failed")
	h.ask(testKey, "PATCH", "/v1/project", `{"daily_messages":null}`).is(200, "")
	h.send(aMessage).is(202, "")
}

func TestNoMailIsTakenInWhileSomethingIsShortAndAllElseGoesOn(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.send(aMessage, "Idempotency-Key: before").is(202, "")
	for name, c := range map[string]struct {
		room   submit.Room
		strain submit.Strain
		code   string
		retry  string
	}{
		"disk":    {submit.Room{DiskBytes: 1000, DiskFiles: -1}, submit.Strain{}, "storage_unavailable", "5"},
		"files":   {submit.Room{DiskBytes: 1 << 30, DiskFiles: 3}, submit.Strain{}, "storage_unavailable", "5"},
		"writer":  {submit.Room{DiskBytes: 1 << 30, DiskFiles: -1}, submit.Strain{Behind: 3 * time.Second}, "overloaded", "2"},
		"waiting": {submit.Room{DiskBytes: 1 << 30, DiskFiles: -1}, submit.Strain{Waiting: 30_000}, "overloaded", "2"},
	} {
		h.pass(time.Second)
		h.room, h.strain = c.room, c.strain
		body := &unread{}
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/messages", body)
		r.ContentLength = 40 << 20
		r.Header.Set("Authorization", "Bearer "+testKey)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		a := answer{w, t}
		if a.is(503, c.code); a.Header().Get("Retry-After") != c.retry || a.Header().Get("X-Should-Retry") != "true" || a.Header().Get("Connection") != "close" || a.Header().Get("X-RateLimit-Limit") == "" || body.read {
			t.Errorf("%s: %v, body read: %v", name, a.Header(), body.read)
		}
		if err := h.pressure.Check(h.clock()); err == nil {
			t.Errorf("%s: a probe would say ready", name)
		}
		h.ask(testKey, "GET", "/v1/messages", "").is(200, "")
		h.ask(testKey, "PATCH", "/v1/project", `{"strict_fields":false}`).is(200, "")
		h.deliver(false)
		h.pass(time.Second)
		h.room, h.strain = submit.Room{DiskBytes: 1 << 30, DiskFiles: -1}, submit.Strain{}
		h.send(aMessage).is(202, "")
	}
	if s := h.pressure.Stats(h.clock()); s.Refused["disk"] != 1 || s.Refused["writer"] != 2 || s.Reason != "" {
		t.Errorf("%+v", s)
	}
}

// unread is a body that notes whether anybody read it.
type unread struct{ read bool }

func (u *unread) Read([]byte) (int, error) { u.read = true; return 0, context.Canceled }

func TestAKeyHasOnlySoManyRequestsAtATime(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.limits.AtOnce(2)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 2)
	for range 2 {
		go func() {
			r := httptest.NewRequestWithContext(ctx, "GET", "/v1/sandbox/messages/wait?recipient=nobody@sandbox.test&timeout=30", nil)
			r.Header.Set("Authorization", "Bearer "+testKey)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			ended <- w.Code
		}()
	}
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if h.ask(testKey, "GET", "/v1/me", "").Code == http.StatusTooManyRequests {
			break
		}
		if time.Now().After(end) {
			t.Fatal("a third request goes on being answered")
		}
	}
	a := h.ask(testKey, "GET", "/v1/me", "").is(429, "concurrency_limited")
	if a.Header().Get("Retry-After") != "1" || a.at("/violated_policies/0") != "concurrency" {
		t.Errorf("%s %v", a.Body, a.Header())
	}
	h.ask(liveKey, "GET", "/v1/me", "").is(200, "") // another key's
	cancel()
	<-ended
	<-ended
	for range 5 {
		h.ask(testKey, "GET", "/v1/me", "").is(200, "")
	}
}

func TestTheSandboxIsClearedOfWhatHasCome(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	var sent []string
	for range 3 {
		sent = append(sent, h.send(aMessage).is(202, "").at("/message_id"))
	}
	h.deliver(false)
	done := h.ask(testKey, "GET", "/v1/messages/"+sent[0], "").is(200, "")
	if done.at("/recipients/0/last_reply/at") != "2026-04-19T14:30:00.012Z" {
		t.Errorf("%s", done.at("/recipients/0/last_reply"))
	}
	open := h.send(aMessage).is(202, "").at("/message_id")
	h.ask(liveKey, "DELETE", "/v1/sandbox/messages", "").is(409, "state_conflict")
	h.ask(h.keyWith("messages.content"), "DELETE", "/v1/sandbox/messages", "").is(403, "insufficient_scope")
	if a := h.ask(testKey, "DELETE", "/v1/sandbox/messages", "").is(200, ""); a.at("/deleted") != "3" {
		t.Errorf("%s", a.Body)
	}
	if a := h.ask(testKey, "DELETE", "/v1/sandbox/messages", "").is(200, ""); a.at("/deleted") != "0" {
		t.Errorf("%s", a.Body)
	}
	for _, id := range sent {
		h.ask(testKey, "GET", "/v1/sandbox/messages/"+id, "").is(404, "message_not_found")
	}
	h.ask(testKey, "GET", "/v1/sandbox/messages/"+open, "").is(200, "")
	if n := h.spooledFiles(); n != 0 {
		t.Errorf("%d files are left", n)
	}
	if u := h.ask(testKey, "GET", "/v1/usage", "").is(200, ""); u.at("/usage/today/messages") != "4" {
		t.Errorf("what was accepted does not count any more: %s", u.Body)
	}
}

func TestEveryChangeOfTheConfigurationTellsWhatItWas(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	made := func(path, body, id string) string {
		return h.ask(testKey, "POST", path, body).is(201, "").at(id)
	}
	domain := made("/v1/domains", `{"name":"audited.test"}`, "/domain_id")
	h.ask(testKey, "PATCH", "/v1/domains/audited.test", `{"tls":"required"}`).is(200, "")
	h.ask(testKey, "POST", "/v1/domains/audited.test/dkim/s1/activate", ``).is(409, "")
	if none := h.ask(testKey, "GET", "/v1/audit?action=domains.dkim.activate", "").is(200, ""); none.at("/data") != "[]" {
		t.Errorf("a key that was not activated: %s", none.Body)
	}
	h.ask(testKey, "POST", "/v1/domains/audited.test/dkim/s1/activate?force=true", ``).is(200, "")
	h.ask(testKey, "POST", "/v1/domains/audited.test/dkim/rotate", `{"algorithm":"rsa2048","selector":"s9"}`).is(201, "")
	h.ask(testKey, "DELETE", "/v1/domains/"+domain, "").is(204, "")
	template := made("/v1/templates", `{"alias":"welcome","subject":"Hi","text":"Hello"}`, "/template_id")
	h.ask(testKey, "PATCH", "/v1/templates/welcome", `{"description":"first"}`).is(200, "")
	h.ask(testKey, "POST", "/v1/templates/welcome/versions/1/publish", ``).is(200, "")
	h.ask(testKey, "DELETE", "/v1/templates/welcome", "").is(204, "")
	hook := made("/v1/webhooks", `{"url":"https://example.com/h?token=s3cret","events":["message.*"],"headers":{"X-Auth":"s3cret"}}`, "/webhook_id")
	h.ask(testKey, "PATCH", "/v1/webhooks/"+hook, `{"url":"https://example.com/h?token=s3cret2"}`).is(200, "")
	h.ask(testKey, "POST", "/v1/webhooks/"+hook+"/disable", ``).is(200, "")
	h.ask(testKey, "DELETE", "/v1/webhooks/"+hook, "").is(204, "")
	listed := made("/v1/suppressions", `{"email":"ada@example.com","reason":"manual"}`, "/suppression_id")
	h.ask(testKey, "DELETE", "/v1/suppressions/ada@example.com", "").is(200, "")
	h.ask(testKey, "POST", "/v1/suppressions/batch", `{"add":[{"email":"bob@example.com"},{"email":"eve@example.com"}]}`).is(200, "")
	erasure := h.ask(testKey, "POST", "/v1/erasures", `{"recipient":"ada@example.com"}`).is(202, "").at("/erasure_id")

	all := h.ask(testKey, "GET", "/v1/audit?order=asc&limit=100", "").is(200, "")
	entries := map[string]string{}
	for i := range 30 {
		e := all.at("/data/" + string(rune('0'+i)))
		if e == "" {
			break
		}
		entries[all.at("/data/"+string(rune('0'+i))+"/action")] += e
	}
	for action, wants := range map[string][]string{
		"domains.create":             {domain, `"name"`, "audited.test"},
		"domains.update":             {domain, `{"field":"tls","from":"opportunistic","to":"required"}`},
		"domains.dkim.rotate":        {domain, `"dkim"`, `"s9":"rsa2048 pending"`},
		"domains.delete":             {domain, "audited.test"},
		"templates.create":           {template, "welcome"},
		"templates.update":           {template, `{"field":"description","from":"","to":"first"}`},
		"templates.versions.publish": {template, `{"field":"published_version","from":0,"to":1}`},
		"templates.delete":           {template, "welcome"},
		"webhooks.create":            {hook, "https://example.com/h", `{"field":"headers_secret","from":null,"to":"[redacted]"}`},
		"webhooks.update":            {hook, `{"field":"url_query_secret","from":"[redacted]","to":"[redacted]"}`},
		"webhooks.disable":           {hook, `{"field":"status","from":"enabled","to":"disabled"}`},
		"webhooks.delete":            {hook, "https://example.com/h"},
		"suppressions.create":        {listed, `"manual"`},
		"suppressions.delete":        {listed, `"manual"`},
		"suppressions.batch":         {`{"field":"to_add","from":null,"to":2}`},
		"erasures.create":            {erasure},
	} {
		for _, want := range wants {
			if !strings.Contains(entries[action], want) {
				t.Errorf("%s: %q, want %s", action, entries[action], want)
			}
		}
	}
	for _, secret := range []string{"s3cret", "ada@", "bob@", "eve@"} {
		if strings.Contains(all.Body.String(), secret) {
			t.Errorf("an entry tells %s", secret)
		}
	}
}
