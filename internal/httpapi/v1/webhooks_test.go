package v1_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/postroad/postroad/internal/mail"
)

const hookURL = "https://127.5.0.1:8443/hooks/mail"

// hook creates a webhook and gives its path.
func (h *house) hook(fields string) string {
	h.t.Helper()
	return "/v1/webhooks/" + h.ask(liveKey, "POST", "/v1/webhooks", fields).is(201, "").at("/webhook_id")
}

func TestAWebhookIsMadeReadChangedAndRemoved(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	a := h.ask(liveKey, "POST", "/v1/webhooks", `{"url":"`+hookURL+`","events":["message.*","suppression.created"],"description":"prod","custom_headers":{"X-Env":"prod"}}`).is(201, "")
	path := "/v1/webhooks/" + a.at("/webhook_id")
	if !strings.HasPrefix(a.at("/webhook_id"), "wh_") || a.Header().Get("Location") != path || a.Header().Get("ETag") == "" || !strings.HasPrefix(a.at("/secret"), "whsec_") {
		t.Errorf("%s %v", a.Body, a.Header())
	}
	want := map[string]string{"/object": "webhook", "/url": hookURL, "/description": "prod", "/events/0": "message.*", "/events/1": "suppression.created", "/filters/tags": "[]", "/redact": "[]",
		"/payload_version": "v1", "/format": "standard", "/status": "enabled", "/disabled_reason": "null", "/ordering": "none", "/max_per_second": "50", "/custom_headers/X-Env": "prod",
		"/health/success_rate_24h": "null", "/health/p95_ms": "null", "/health/backlog": "0", "/health/breaker": "closed", "/health/first_failure_at": "null", "/created_at": "2026-04-19T14:30:00.000Z"}
	for _, a := range []answer{a, h.ask(liveKey, "GET", path, "").is(200, "")} {
		for pointer, value := range want {
			if a.at(pointer) != value {
				t.Errorf("%s is %q, want %q", pointer, a.at(pointer), value)
			}
		}
	}
	if got := h.ask(liveKey, "GET", path, ""); got.at("/secret") != "" {
		t.Errorf("the secret is shown again: %s", got.Body)
	}
	list := h.ask(liveKey, "GET", "/v1/webhooks", "").is(200, "")
	if list.at("/data/0/webhook_id") != a.at("/webhook_id") || list.at("/has_more") != "false" {
		t.Errorf("%s", list.Body)
	}

	tag := a.Header().Get("ETag")
	changed := h.ask(liveKey, "PATCH", path, `{"events":["*"],"description":null,"filters":{"tags":["welcome"]},"redact":["subject"],"ordering":"per_message","max_per_second":5}`, "If-Match: "+tag).is(200, "")
	if changed.at("/events/0") != "*" || changed.at("/description") != "" || changed.at("/filters/tags/0") != "welcome" || changed.at("/redact/0") != "subject" ||
		changed.at("/ordering") != "per_message" || changed.at("/max_per_second") != "5" || changed.Header().Get("ETag") == tag || changed.at("/custom_headers/X-Env") != "prod" {
		t.Errorf("%s", changed.Body)
	}
	h.ask(liveKey, "PATCH", path, `{"description":"late"}`, "If-Match: "+tag).is(412, "precondition_failed")
	h.ask(liveKey, "PATCH", path, `{"description":"late"}`, `If-Match: "v999"`).is(412, "precondition_failed")
	h.ask(liveKey, "DELETE", path, "", "If-Match: "+tag).is(412, "precondition_failed")
	h.ask(liveKey, "DELETE", path, "", "If-Match: "+changed.Header().Get("ETag")).is(204, "")
	h.ask(liveKey, "GET", path, "").is(404, "not_found")
	h.ask(liveKey, "DELETE", path, "").is(404, "not_found")
}

func TestAWebhookBelongsToItsEnvironment(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	path := h.hook(`{"url":"` + hookURL + `","events":["*"]}`)
	for _, ask := range [][2]string{{"GET", ""}, {"PATCH", ""}, {"DELETE", ""}, {"GET", "/secret"}, {"POST", "/rotate-secret"}, {"POST", "/expire-old-secret"}, {"POST", "/enable"}, {"POST", "/disable"},
		{"POST", "/test"}, {"POST", "/replay"}, {"GET", "/deliveries"}, {"GET", "/stats"}} {
		h.ask(testKey, ask[0], path+ask[1], "").is(404, "not_found")
		h.ask(testKey, ask[0], "/v1/webhooks/nonsense"+ask[1], "").is(404, "not_found")
	}
	h.ask(liveKey, "GET", "/v1/webhook-deliveries/whd_01kpk2byj1es8r65rzyjka792g", "").is(404, "not_found")
	h.ask(liveKey, "POST", "/v1/webhook-deliveries/whd_01kpk2byj1es8r65rzyjka792g/retry", "").is(404, "not_found")
	h.ask(liveKey, "GET", "/v1/webhook-deliveries/wh_01kpk2byj1es8r65rzyjka792g", "").is(404, "not_found")
	if list := h.ask(testKey, "GET", "/v1/webhooks", "").is(200, ""); list.at("/data") != "[]" {
		t.Errorf("%s", list.Body)
	}
}

func TestEveryFaultOfAWebhookIsToldAtOnce(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	for body, want := range map[string][]string{
		`{}`: {"url missing_required_field", "events missing_required_field"},
		`{"url":"ftp://x","events":["message.delivred","nope.*"],"format":"xml","ordering":"global","redact":["body"],"payload_version":"v9","max_per_second":0,
		  "custom_headers":{"Content-Type":"x","webhook-id":"x","Host":"x","X-Bad\n":"x","X-OK":"a\r\nb"},"filters":{"tags":[""]}}`: {"url invalid_value", "events[0] invalid_value", "events[1] invalid_value", "format invalid_value",
			"ordering invalid_value", "redact[0] invalid_value", "payload_version invalid_value", "max_per_second invalid_value", "custom_headers.Content-Type header_not_allowed",
			"custom_headers.webhook-id header_not_allowed", "custom_headers.Host header_not_allowed", "custom_headers.X-OK invalid_value", "filters.tags[0] invalid_value"},
		`{"url":5,"events":{},"max_per_second":"fast","description":[],"format":"xml","custom_headers":[],"filters":"x"}`: {"url invalid_type", "events invalid_type", "max_per_second invalid_type",
			"description invalid_type", "format invalid_value", "custom_headers invalid_type", "filters invalid_type"},
		`{"url":"https://10.20.1.4/","events":["*"]}`:                     {"url url_not_allowed"},
		`{"url":"http://app.example.com/","events":["*"],"status":"off"}`: {"status invalid_value"},
		`{"url":"https://user:pass@app.example.com/","events":["*"]}`:     {"url invalid_value"},
		`{"url":"https://2130706433/","events":["*"]}`:                    {"url invalid_value"},
		`{"url":"https://[::ffff:10.20.1.4]/","events":["*"]}`:            {"url url_not_allowed"},
		`{"url":"https://app.example.com:25/","events":["*"]}`:            {"url invalid_value"},
	} {
		a := h.ask(liveKey, "POST", "/v1/webhooks", body).is(422, "validation_failed")
		got := map[string]bool{}
		for _, f := range faultsOf(t, a) {
			got[f.Field+" "+f.Code] = true
			if f.Pointer == "" || f.Message == "" {
				t.Errorf("%+v", f)
			}
		}
		for _, w := range want {
			if !got[w] {
				t.Errorf("%s\n has no %q: %s", body, w, a.Body)
			}
		}
	}
	a := h.ask(liveKey, "POST", "/v1/webhooks", `{"url":"`+hookURL+`","events":["message.delivred"]}`).is(422, "")
	if a.at("/errors/0/suggestion") != "message.delivered" || a.at("/errors/0/pointer") != "#/events/0" {
		t.Errorf("%s", a.Body)
	}
	a = h.ask(liveKey, "POST", "/v1/webhooks", `{"url":"https://10.20.1.4/","events":["*"]}`).is(422, "")
	if !strings.Contains(a.at("/errors/0/message"), "POSTROAD_ALLOW_NETWORKS=10.20.1.4/32") {
		t.Errorf("%s", a.Body)
	}
	if list := h.ask(liveKey, "GET", "/v1/webhooks", ""); list.at("/data") != "[]" {
		t.Errorf("something was made: %s", list.Body)
	}
	// What is not known is said, and with ?strict=true refused.
	a = h.ask(liveKey, "POST", "/v1/webhooks", `{"url":"https://nowhere.example.com/","event":["*"],"events":["*"]}`).is(201, "")
	if !strings.Contains(a.at("/warnings"), "Did you mean 'events'?") || !strings.Contains(a.at("/warnings"), "url_not_resolved") {
		t.Errorf("%s", a.at("/warnings"))
	}
	h.ask(liveKey, "POST", "/v1/webhooks?strict=true", `{"url":"`+hookURL+`","event":["*"],"events":["*"]}`).is(422, "validation_failed")
}

func TestAWebhooksPatchIsJudgedAsAWhole(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	path := h.hook(`{"url":"` + hookURL + `","events":["*"]}`)
	for body, field := range map[string]string{`{"url":"https://169.254.169.254/"}`: "url", `{"url":null}`: "url", `{"events":[]}`: "events", `{"events":null}`: "events", `{"status":"disabled"}`: "status",
		`{"custom_headers":{"X-Signature":"x"}}`: "custom_headers.X-Signature", `{"max_per_second":0}`: "max_per_second", `{"max_per_second":1e9}`: "max_per_second", `{"format":7}`: "format"} {
		a := h.ask(liveKey, "PATCH", path, body).is(422, "validation_failed")
		if a.at("/errors/0/field") != field {
			t.Errorf("%s: %s", body, a.Body)
		}
	}
	if a := h.ask(liveKey, "PATCH", path, `{"max_per_second":null,"custom_headers":null,"filters":null,"redact":null,"format":null,"ordering":null,"payload_version":null}`).is(200, ""); a.at("/max_per_second") != "50" || a.at("/format") != "standard" {
		t.Errorf("%s", a.Body)
	}
	h.ask(liveKey, "PATCH", path, `[]`).is(400, "invalid_json")
}

func TestAWebhookIsMadeOncePerKeyAndItsSecretIsNotInTheReplay(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	body := `{"url":"` + hookURL + `","events":["*"]}`
	first := h.ask(liveKey, "POST", "/v1/webhooks", body, "Idempotency-Key: k1").is(201, "")
	again := h.ask(liveKey, "POST", "/v1/webhooks", body, "Idempotency-Key: k1").is(201, "")
	if again.Header().Get("Idempotency-Replayed") != "true" || again.at("/webhook_id") != first.at("/webhook_id") || again.at("/secret") != "null" || !strings.Contains(again.at("/warnings"), "secret_not_shown") ||
		again.Header().Get("Location") != first.Header().Get("Location") {
		t.Errorf("%s", again.Body)
	}
	h.ask(liveKey, "POST", "/v1/webhooks", `{"url":"`+hookURL+`","events":["message.*"]}`, "Idempotency-Key: k1").is(422, "idempotency_key_reused")
	h.ask(liveKey, "POST", "/v1/webhooks", `{"url":"ftp://x","events":["*"]}`, "Idempotency-Key: k2").is(422, "")
	h.ask(liveKey, "POST", "/v1/webhooks", body, "Idempotency-Key: k2").is(201, "")

	path := "/v1/webhooks/" + first.at("/webhook_id")
	rotated := h.ask(liveKey, "POST", path+"/rotate-secret", `{}`, "Idempotency-Key: k3").is(200, "")
	twin := h.ask(liveKey, "POST", path+"/rotate-secret", `{}`, "Idempotency-Key: k3").is(200, "")
	if rotated.at("/secret") == first.at("/secret") || twin.at("/secret") != "null" || twin.at("/old_expires_at") != rotated.at("/old_expires_at") || twin.Header().Get("Idempotency-Replayed") != "true" {
		t.Errorf("%s\n%s", rotated.Body, twin.Body)
	}
	if s := h.ask(liveKey, "GET", path+"/secret", "").is(200, ""); s.at("/secret") != rotated.at("/secret") || s.at("/old_secret") != first.at("/secret") {
		t.Errorf("%s", s.Body)
	}
	for _, verb := range []string{"disable", "enable", "expire-old-secret"} {
		one := h.ask(liveKey, "POST", path+"/"+verb, "", "Idempotency-Key: "+verb).is(200, "")
		two := h.ask(liveKey, "POST", path+"/"+verb, "", "Idempotency-Key: "+verb).is(200, "")
		if two.Header().Get("Idempotency-Replayed") != "true" || one.Body.String() != two.Body.String() {
			t.Errorf("%s: %s\n%s", verb, one.Body, two.Body)
		}
	}
}

func TestASecretIsRotatedWithAnOverlap(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	a := h.ask(liveKey, "POST", "/v1/webhooks", `{"url":"`+hookURL+`","events":["*"]}`).is(201, "")
	path := "/v1/webhooks/" + a.at("/webhook_id")
	for _, body := range []string{`{"overlap_hours":169}`, `{"overlap_hours":-1}`, `{"overlap_hours":"x"}`, `{"force":1}`} {
		h.ask(liveKey, "POST", path+"/rotate-secret", body).is(422, "validation_failed")
	}
	r := h.ask(liveKey, "POST", path+"/rotate-secret", `{"overlap_hours":48}`).is(200, "")
	if r.at("/webhook_id") != a.at("/webhook_id") || r.at("/secret") == a.at("/secret") || r.at("/old_expires_at") != "2026-04-21T14:30:00.000Z" {
		t.Errorf("%s", r.Body)
	}
	if a := h.ask(liveKey, "POST", path+"/rotate-secret", `{}`).is(409, "state_conflict"); !strings.Contains(a.at("/detail"), "force") {
		t.Errorf("%s", a.Body)
	}
	r = h.ask(liveKey, "POST", path+"/rotate-secret", `{"force":true}`).is(200, "")
	if got := h.ask(liveKey, "GET", path, ""); got.at("/old_secret_expires_at") != "2026-04-20T14:30:00.000Z" {
		t.Errorf("%s", got.Body)
	}
	h.ask(liveKey, "POST", path+"/expire-old-secret", "").is(200, "")
	if s := h.ask(liveKey, "GET", path+"/secret", "").is(200, ""); s.at("/secret") != r.at("/secret") || s.at("/old_secret") != "null" || s.at("/old_expires_at") != "null" {
		t.Errorf("%s", s.Body)
	}
}

func TestScopesAndSecretsOfWebhooks(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	path := h.hook(`{"url":"` + hookURL + `","events":["*"],"custom_headers":{"Authorization":"Bearer mine","X-Env":"prod"}}`)
	key := func(scope string) string {
		return h.ask(liveKey, "POST", "/v1/api-keys", `{"name":"k","scopes":["`+scope+`"]}`).is(201, "").at("/secret")
	}
	reader, writer, none := key("webhooks.read"), key("webhooks.write"), key("messages.read")
	if a := h.ask(reader, "GET", path, "").is(200, ""); a.at("/custom_headers/Authorization") != "[redacted]" || a.at("/custom_headers/X-Env") != "prod" {
		t.Errorf("%s", a.Body)
	}
	if a := h.ask(liveKey, "GET", path, "").is(200, ""); a.at("/custom_headers/Authorization") != "Bearer mine" {
		t.Errorf("%s", a.Body)
	}
	for _, ask := range [][2]string{{"GET", "/secret"}, {"POST", "/rotate-secret"}, {"POST", "/expire-old-secret"}, {"POST", "/enable"}, {"POST", "/disable"}, {"POST", "/test"}, {"POST", "/replay"}, {"PATCH", ""}, {"DELETE", ""}} {
		if a := h.ask(reader, ask[0], path+ask[1], "").is(403, "insufficient_scope"); a.at("/required_scope") != "webhooks.write" {
			t.Errorf("%s", a.Body)
		}
	}
	for _, ask := range []string{"", "/deliveries", "/stats"} {
		h.ask(none, "GET", path+ask, "").is(403, "insufficient_scope")
		h.ask(reader, "GET", path+ask, "").is(200, "")
	}
	h.ask(writer, "GET", path+"/secret", "").is(200, "")
}

func TestADisabledWebhookSaysWhyAndWhatItMissed(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	path := h.hook(`{"url":"` + hookURL + `","events":["*"]}`)
	a := h.ask(liveKey, "POST", path+"/disable", "").is(200, "")
	if a.at("/status") != "disabled" || !strings.HasPrefix(a.at("/disabled_reason"), "by ") || a.at("/disabled_at") != "2026-04-19T14:30:00.000Z" {
		t.Errorf("%s", a.Body)
	}
	if a := h.ask(liveKey, "GET", path, "").is(200, ""); a.at("/missed/count") != "0" || a.at("/missed/since") != "2026-04-19T14:30:00.000Z" {
		t.Errorf("%s", a.Body)
	}
	if a := h.ask(liveKey, "POST", path+"/replay", `{"since":"-24h"}`).is(409, "state_conflict"); a.at("/current_state") != "disabled" {
		t.Errorf("%s", a.Body)
	}
	a = h.ask(liveKey, "POST", path+"/enable", `{"replay_missed":true}`).is(200, "")
	if a.at("/status") != "enabled" || a.at("/disabled_reason") != "null" || !strings.HasPrefix(a.at("/replay_job_id"), "job_") {
		t.Errorf("%s", a.Body)
	}
	job := h.ask(liveKey, "GET", "/v1/jobs/"+a.at("/replay_job_id"), "").is(200, "")
	if job.at("/type") != "webhooks.replay" {
		t.Errorf("%s", job.Body)
	}
	h.ask(liveKey, "POST", path+"/enable", `{"replay_missed":"yes"}`).is(422, "validation_failed")
	// The job of a replay is for those who may see webhooks.
	other := h.ask(liveKey, "POST", "/v1/api-keys", `{"name":"k","scopes":["suppressions.read"]}`).is(201, "").at("/secret")
	h.ask(other, "GET", "/v1/jobs/"+a.at("/replay_job_id"), "").is(403, "insufficient_scope")
}

func TestAWebhookTestShowsTheExchangeAndAVerdict(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	status := 401
	var secret string
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		judge, err := standardwebhooks.NewWebhook(secret)
		if err != nil || judge.VerifyIgnoringTimestamp(body, r.Header) != nil {
			status = 400
		}
		w.Header().Set("Set-Cookie", "a=b")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<b>no</b>\xff")
	}))
	t.Cleanup(receiver.Close)
	made := h.ask(liveKey, "POST", "/v1/webhooks", `{"url":"`+receiver.URL+`/hooks","events":["message.*"]}`).is(201, "")
	path := "/v1/webhooks/" + made.at("/webhook_id")
	secret = made.at("/secret")
	a := h.ask(liveKey, "POST", path+"/test", `{"type":"message.bounced"}`).is(200, "")
	if a.at("/type") != "message.bounced" || a.at("/response/status") != "401" || !strings.Contains(a.at("/verdict"), "raw body") || a.at("/delivered") != "false" || a.at("/response/body") != "<b>no</b>\uFFFD" ||
		a.at("/response/headers/set-cookie") != "[redacted]" || a.at("/request/method") != "POST" || a.at("/request/url") != receiver.URL+"/hooks" || !strings.HasPrefix(a.at("/request/headers/webhook-signature"), "v1,") ||
		!strings.Contains(a.at("/request/body"), "message.bounced") || a.at("/error") != "null" {
		t.Errorf("%s", a.Body)
	}
	status = 204
	if a := h.ask(liveKey, "POST", path+"/test", "").is(200, ""); a.at("/type") != "webhook.test" || a.at("/delivered") != "true" || !strings.HasPrefix(a.at("/verdict"), "Delivered") {
		t.Errorf("%s", a.Body)
	}
	if a := h.ask(liveKey, "POST", path+"/test", `{"type":"message.bouncd"}`).is(422, "validation_failed"); a.at("/errors/0/field") != "type" || a.at("/errors/0/suggestion") != "message.bounced" {
		t.Errorf("%s", a.Body)
	}
	receiver.Close()
	if a := h.ask(liveKey, "POST", path+"/test", "").is(200, ""); a.at("/response") != "null" || !strings.Contains(a.at("/error"), "Nobody listens") || a.at("/verdict") != a.at("/error") {
		t.Errorf("%s", a.Body)
	}
}

func TestListsOfDeliveriesAndStatsReadTheirParametersStrictly(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	path := h.hook(`{"url":"` + hookURL + `","events":["*"]}`)
	for query, code := range map[string]string{"status=sent": "invalid_parameter", "type=message.delivred": "invalid_parameter", "message_id=x": "invalid_parameter", "after=-1": "invalid_parameter", "after=x": "invalid_parameter",
		"limit=0": "invalid_parameter", "cursor=x": "invalid_cursor", "order=up": "invalid_parameter"} {
		h.ask(liveKey, "GET", path+"/deliveries?"+query, "").is(400, code)
	}
	for _, query := range []string{"", "?status=failed", "?type=message.delivered", "?types=message.*,suppression.created", "?after=0", "?after=99999", "?message_id=msg_01kpk2byj0emq8k9w39qsaekf4"} {
		if a := h.ask(liveKey, "GET", path+"/deliveries"+query, "").is(200, ""); a.at("/data") != "[]" {
			t.Errorf("%s: %s", query, a.Body)
		}
	}
	for _, window := range []string{"soon", "0h", "31d", "-"} {
		h.ask(liveKey, "GET", path+"/stats?window="+window, "").is(400, "invalid_parameter")
	}
	for window, seconds := range map[string]string{"": "86400", "1h": "3600", "7d": "604800", "30d": "2592000"} {
		if a := h.ask(liveKey, "GET", path+"/stats?window="+window, "").is(200, ""); a.at("/window_seconds") != seconds || a.at("/success_rate") != "null" || a.at("/breaker") != "closed" {
			t.Errorf("%s: %s", window, a.Body)
		}
	}
	for body, field := range map[string]string{`{"status":"sent"}`: "status", `{"since":"2026-04-20T00:00:00Z","until":"2026-04-19T00:00:00Z"}`: "until", `{"types":["x"]}`: "types", `{"since":"yesterday"}`: "since", `{"since":[]}`: "since",
		`{"dry_run":"x"}`: "dry_run"} {
		if a := h.ask(liveKey, "POST", path+"/replay", body).is(422, "validation_failed"); !strings.HasPrefix(a.at("/errors/0/field"), field) {
			t.Errorf("%s: %s", body, a.Body)
		}
	}
	if a := h.ask(liveKey, "POST", path+"/replay", `{"since":"-24h","until":"now","dry_run":true}`).is(200, ""); a.at("/matched") != "0" || a.at("/at_least") != "false" {
		t.Errorf("%s", a.Body)
	}
}

func TestAProjectHasAtMostFiftyWebhooks(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	for i := range 50 {
		key := liveKey
		if i%2 == 0 {
			key = testKey
		}
		h.ask(key, "POST", "/v1/webhooks", `{"url":"`+hookURL+`?`+strconv.Itoa(i)+`","events":["*"]}`).is(201, "")
	}
	h.ask(liveKey, "POST", "/v1/webhooks", `{"url":"`+hookURL+`","events":["*"]}`).is(422, "validation_failed")
}

// The deliveries of what really happened.
func TestDeliveriesAreShownRetriedAndReplayed(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	var status atomic.Int64
	status.Store(http.StatusInternalServerError)
	requests := make(chan *http.Request, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(int(status.Load()))
		requests <- r
	}))
	t.Cleanup(receiver.Close)
	path := "/v1/webhooks/" + h.ask(testKey, "POST", "/v1/webhooks", `{"url":"`+receiver.URL+`","events":["message.*"]}`).is(201, "").at("/webhook_id")
	h.runHooks()
	id := h.send(`{"from":"hello@sandbox.test","to":"ada@sandbox.test","subject":"x","text":"y"}`).is(202, "").at("/message_id")
	first := next(t, requests).Header.Get("webhook-id")
	d := h.eventually(path+"/deliveries?type=message.queued", func(a answer) bool { return a.at("/data/0/attempt_count") == "1" })
	if d.at("/data/0/status") != "pending" || d.at("/data/0/event_id") != first || d.at("/data/0/message_id") != id || d.at("/data/0/next_attempt_at") == "null" || d.at("/data/0/attempts") != "" {
		t.Errorf("%s", d.Body)
	}
	one := h.ask(testKey, "GET", "/v1/webhook-deliveries/"+d.at("/data/0/delivery_id"), "").is(200, "")
	if one.at("/attempts/0/response/status") != "500" || one.at("/attempts/0/request/headers/webhook-id") != first || one.at("/attempts/0/request/body") == "" {
		t.Errorf("%s", one.Body)
	}
	h.ask(liveKey, "GET", "/v1/webhook-deliveries/"+d.at("/data/0/delivery_id"), "").is(404, "not_found")
	if a := h.ask(testKey, "GET", path+"/deliveries?message_id="+mail.NewID(time.Now()).Text("msg"), "").is(200, ""); a.at("/data") != "[]" {
		t.Errorf("%s", a.Body)
	}
	h.timelineTells("/v1/messages/"+id+"/events", "webhook.pending", "500", strings.TrimPrefix(receiver.URL, "http://"))

	status.Store(http.StatusNoContent)
	r := h.ask(testKey, "POST", "/v1/webhook-deliveries/"+d.at("/data/0/delivery_id")+"/retry", "", "Idempotency-Key: r1").is(202, "")
	if r.at("/delivery_id") != d.at("/data/0/delivery_id") || r.Header().Get("Location") != "/v1/webhook-deliveries/"+d.at("/data/0/delivery_id") {
		t.Errorf("%s", r.Body)
	}
	if again := next(t, requests).Header.Get("webhook-id"); again != first {
		t.Errorf("retried as %s, first %s", again, first)
	}
	h.eventually(path+"/deliveries?status=delivered", func(a answer) bool { return a.at("/data/0/event_id") == first })
	h.timelineTells("/v1/messages/"+id+"/events", "webhook.delivered", "204", strings.TrimPrefix(receiver.URL, "http://"))
	h.ask(testKey, "POST", "/v1/webhook-deliveries/"+d.at("/data/0/delivery_id")+"/retry", "", "Idempotency-Key: r1").is(202, "")

	if a := h.ask(testKey, "POST", path+"/replay", `{"since":"-1h","types":["message.queued"],"dry_run":true}`).is(200, ""); a.at("/matched") != "1" {
		t.Errorf("%s", a.Body)
	}
	job := h.ask(testKey, "POST", path+"/replay", `{"since":"-1h","types":["message.queued"]}`).is(202, "")
	if !strings.HasPrefix(job.at("/job_id"), "job_") || job.Header().Get("Location") != "/v1/jobs/"+job.at("/job_id") {
		t.Errorf("%s", job.Body)
	}
	if again := next(t, requests).Header.Get("webhook-id"); again != first {
		t.Errorf("replayed as %s, first %s", again, first)
	}
	h.eventually("/v1/jobs/"+job.at("/job_id"), func(a answer) bool { return a.at("/status") == "done" })
	h.eventually(path+"/stats", func(a answer) bool { return a.at("/delivered") == "2" && a.at("/failed_attempts") == "1" })
}

func next(t *testing.T, requests chan *http.Request) *http.Request {
	t.Helper()
	select {
	case r := <-requests:
		return r
	case <-time.After(patience):
		t.Fatal("no request came")
		return nil
	}
}

// eventually asks until an answer is as it should be.
func (h *house) eventually(path string, is func(answer) bool) answer {
	h.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		a := h.ask(testKey, "GET", path, "").is(200, "")
		if is(a) {
			return a
		}
		if time.Now().After(end) {
			h.t.Fatalf("%s stays %s", path, a.Body)
		}
	}
}

// timelineTells checks what a message's timeline of one event says of its one webhook.
func (h *house) timelineTells(path, kind, status, host string) {
	h.t.Helper()
	if a := h.ask(testKey, "GET", path, "").is(200, ""); a.at("/data/0/type") != "message.queued" || a.at("/data/1") != "" {
		h.t.Errorf("webhooks nobody asked for: %s", a.Body)
	}
	a := h.ask(testKey, "GET", path+"?include=webhooks,total", "").is(200, "")
	if a.at("/data/0/type") != "message.queued" || a.at("/data/0/webhook") != "" || a.at("/data/1/type") != kind || a.at("/data/1/event_id") != a.at("/data/0/event_id") || a.at("/data/2") != "" ||
		a.at("/data/1/webhook/last_status") != status || a.at("/data/1/webhook/host") != host || a.at("/data/1/recipient") != "ada@sandbox.test" || a.at("/total/count") != "2" || strings.Contains(a.Body.String(), "http://") {
		h.t.Errorf("%s", a.Body)
	}
	if a := h.ask(testKey, "GET", path+"?include=webhooks&order=desc", "").is(200, ""); a.at("/data/0/type") != kind || a.at("/data/1/type") != "message.queued" {
		h.t.Errorf("%s", a.Body)
	}
	h.ask(testKey, "GET", path+"?include=hooks", "").is(400, "invalid_parameter")
}
