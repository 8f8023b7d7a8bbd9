package v1_test

import (
	"strings"
	"testing"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/mail"
)

// checks of a message by their ids.
func (h *house) checks(body string) map[string]string {
	h.t.Helper()
	id := h.send(body).is(202, "").at("/message_id")
	a := h.ask(testKey, "GET", "/v1/sandbox/messages/"+id+"/checks", "").is(200, "")
	out := map[string]string{"status": a.at("/status")}
	for _, i := range []string{"0", "1", "2", "3", "4"} {
		check := "/checks/" + i
		out[a.at(check+"/id")] = a.at(check + "/status")
		if (a.at(check+"/fix") == "null") != (a.at(check+"/status") == "pass") {
			h.t.Errorf("%s", a.Body)
		}
	}
	return out
}

func TestACapturedMessageIsChecked(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	for _, c := range []struct{ body, worst, id, status string }{
		{`{"from":"a@sandbox.test","recipient":"ada@example.com","subject":"s","text":"x"}`, "warn", "authentication", "warn"},
		{`{"from":"a@nobody.test","recipient":"ada@example.com","subject":"s","text":"x"}`, "fail", "authentication", "fail"},
		{`{"recipient":"ada@example.com","subject":"s","text":"x"}`, "warn", "html_support", "pass"},
		{`{"recipient":"ada@example.com","subject":"s","html":"<form>x</form>"}`, "warn", "html_support", "warn"},
		{`{"recipient":"ada@example.com","subject":"s","html":"<a href=\"/x\">x</a>"}`, "warn", "links", "warn"},
		{`{"recipient":"ada@example.com","subject":"s","html":"<a href=\"https://acme.test/x\">x</a>"}`, "warn", "links", "pass"},
		{`{"recipient":"ada@example.com","subject":"s","text":"x","topic":"news"}`, "warn", "list_unsubscribe", "pass"},
		{`{"recipient":"ada@example.com","subject":"s","text":"x","topic":"news","list_unsubscribe":"none"}`, "fail", "list_unsubscribe", "fail"},
		{`{"recipient":"ada@example.com","subject":"s","text":"x","list_unsubscribe":"none","headers":{"List-Unsubscribe":"<mailto:u@acme.test>"}}`, "warn", "list_unsubscribe", "warn"},
		{`{"recipient":"ada@example.com","subject":"s","text":"x"}`, "warn", "size", "pass"},
		{`{"recipient":"ada@example.com","subject":"s","text":"x","attachments":[{"filename":"a.bin","content":"` + strings.Repeat("AAAA", 3<<20) + `"}]}`, "warn", "size", "warn"},
		{`{"recipient":"ada@example.com","subject":"s","text":"x","attachments":[{"filename":"a.bin","content":"` + strings.Repeat("AAAA", 7<<20) + `"}]}`, "fail", "size", "fail"},
	} {
		if got := h.checks(c.body); got["status"] != c.worst || got[c.id] != c.status {
			t.Errorf("%.150s: %v, want %s of %s, %s in all", c.body, got, c.status, c.id, c.worst)
		}
	}
	h.ask(testKey, "GET", "/v1/sandbox/messages/msg_01kpk2byj0emq8k9w39qsaekf4/checks", "").is(404, "message_not_found")
	id := h.send(hello).is(202, "").at("/message_id")
	h.ask(liveKey, "GET", "/v1/sandbox/messages/"+id+"/checks", "").is(404, "message_not_found")
	h.domain()
	if got := h.checks(`{"from":"a@acme.test","recipient":"ada@example.com","subject":"s","text":"x"}`); got["authentication"] == "fail" {
		t.Errorf("%v", got)
	}
}

func TestACapturedMessageIsReallySentWhenALiveKeyAsks(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.domain()
	sent := h.send(`{"from":"Acme <hello@acme.test>","recipient":"ada@example.com","cc":"bob@example.com","subject":"Hi","text":"Your code is 482913","topic":"news"}`).is(202, "")
	path := "/v1/sandbox/messages/" + sent.at("/message_id") + "/release"
	h.ask(testKey, "POST", path, `{"to":"me@real.io"}`).is(403, "insufficient_scope")
	sender := h.ask(liveKey, "POST", "/v1/api-keys", `{"name":"k","scopes":["messages.send"]}`).is(201, "").at("/secret")
	if a := h.ask(sender, "POST", path, `{"to":"me@real.io"}`).is(403, "insufficient_scope"); a.at("/required_scope") != "messages.content" {
		t.Errorf("%s", a.Body)
	}
	reader := h.ask(liveKey, "POST", "/v1/api-keys", `{"name":"k","scopes":["messages.content"]}`).is(201, "").at("/secret")
	h.ask(reader, "POST", path, `{"to":"me@real.io"}`).is(403, "insufficient_scope")
	h.ask(liveKey, "POST", path, `{}`).is(422, "validation_failed")
	h.ask(liveKey, "POST", path, `{"to":"me@"}`).is(422, "validation_failed")
	h.ask(liveKey, "POST", "/v1/sandbox/messages/msg_01kpk2byj0emq8k9w39qsaekf4/release", `{"to":"me@real.io"}`).is(404, "message_not_found")

	one := h.ask(liveKey, "POST", path, `{"to":"Me <me@real.io>"}`, "Idempotency-Key: r1").is(202, "")
	if one.at("/environment") != "live" || one.at("/recipient") != "me@real.io" || one.at("/recipients/1") != "" || one.at("/resent_from") != sent.at("/message_id") || one.at("/status") != "queued" {
		t.Errorf("%s", one.Body)
	}
	if two := h.ask(liveKey, "POST", path, `{"to":"Me <me@real.io>"}`, "Idempotency-Key: r1").is(202, ""); two.Body.String() != one.Body.String() || two.Header().Get("Idempotency-Replayed") != "true" {
		t.Errorf("%s", two.Body)
	}
	if a := h.ask(liveKey, "GET", one.at("/links/self")+"/content", "").is(200, ""); !strings.Contains(a.at("/text"), "482913") {
		t.Errorf("%s", a.Body)
	}
	records, err := h.store.Messages(t.Context(), archive.Query{Owner: h.owner(mail.Live)})
	if err != nil || len(records) != 1 || len(records[0].Deliveries) != 1 || records[0].Deliveries[0].Destination != "real.io" {
		t.Errorf("%+v %v", records, err)
	}

	// It is judged like any live mail.
	h.ask(liveKey, "POST", "/v1/suppressions", `{"recipient":"gone@real.io","reason":"hard_bounce"}`).is(201, "")
	if a := h.ask(liveKey, "POST", path, `{"to":"gone@real.io"}`).is(202, ""); a.at("/status") != "suppressed" {
		t.Errorf("%s", a.Body)
	}
	unsendable := h.send(`{"recipient":"ada@example.com","subject":"Hi","text":"x"}`).is(202, "").at("/message_id")
	h.ask(liveKey, "POST", "/v1/sandbox/messages/"+unsendable+"/release", `{"to":"me@real.io"}`).is(422, "validation_failed")
	live := h.ask(liveKey, "POST", "/v1/messages", `{"from":"hello@acme.test","recipient":"ada@real.io","subject":"s","text":"x"}`).is(202, "").at("/message_id")
	h.ask(liveKey, "POST", "/v1/sandbox/messages/"+live+"/release", `{"to":"me@real.io"}`).is(404, "message_not_found")
}

func TestTheSandboxBehavesAsToldUntilToldOtherwise(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	const path = "/v1/sandbox/behaviour"
	plain := h.ask(testKey, "GET", path, "").is(200, "")
	if plain.at("/default") != "deliver" || plain.at("/latency_ms") != "0" || plain.at("/time_scale") != "1" || plain.at("/chaos") != "{}" {
		t.Errorf("%s", plain.Body)
	}
	for body, field := range map[string]string{`{"default":"vanish"}`: "default", `{"latency_ms":60001}`: "latency_ms", `{"latency_ms":-1}`: "latency_ms", `{"latency_ms":"x"}`: "latency_ms", `{"time_scale":0}`: "time_scale",
		`{"time_scale":1.5}`: "time_scale", `{"time_scale":"x"}`: "time_scale", `{"chaos":1}`: "chaos", `{"chaos":{"rcpt":1}}`: "chaos.rcpt", `{"chaos":{"rcpt":{"code":250}}}`: "chaos.rcpt.code",
		`{"chaos":{"data":{"probability":101}}}`: "chaos.data.probability", `{"chaos":{"data":{"probability":"x"}}}`: "chaos.data.probability"} {
		if a := h.ask(testKey, "PUT", path, body).is(422, "validation_failed"); a.at("/errors/0/field") != field || a.at("/errors/0/pointer") != "#/"+strings.ReplaceAll(field, ".", "/") {
			t.Errorf("%s: %s", body, a.Body)
		}
	}
	a := h.ask(testKey, "PUT", path, `{"default":"defer","latency_ms":200,"time_scale":0.01,"chaos":{"rcpt":{"code":451,"probability":2.5},"rctp":{}}}`).is(200, "")
	if a.at("/default") != "defer" || a.at("/time_scale") != "0.01" || a.at("/chaos/rcpt/probability") != "2.5" || !strings.Contains(a.at("/warnings/0/message"), "rcpt") {
		t.Errorf("%s", a.Body)
	}
	if b := h.access.Behaviour(t.Context(), h.owner(mail.Test).Project); b.Default != "defer" || b.LatencyMS != 200 || b.Chaos["rcpt"].Code != 451 {
		t.Errorf("%+v", b)
	}
	if got := h.ask(testKey, "GET", path, "").is(200, ""); got.at("/latency_ms") != "200" {
		t.Errorf("%s", got.Body)
	}
	h.ask(liveKey, "GET", path, "").is(409, "state_conflict")
	h.ask(liveKey, "PUT", path, `{"default":"bounce"}`).is(409, "state_conflict")
	reader := h.ask(testKey, "POST", "/v1/api-keys", `{"name":"k","scopes":["messages.read"]}`).is(201, "").at("/secret")
	h.ask(reader, "GET", path, "").is(200, "")
	h.ask(reader, "PUT", path, `{}`).is(403, "insufficient_scope")
	if got := h.ask(testKey, "PUT", path, `{}`).is(200, ""); got.at("/default") != "deliver" || got.at("/chaos") != "{}" || got.at("/latency_ms") != "0" {
		t.Errorf("what is not given stays: %s", got.Body)
	}
	if b := h.access.Behaviour(t.Context(), h.owner(mail.Test).Project); b.Default != "" || b.LatencyMS != 0 {
		t.Errorf("a change on this node counts at once: %+v", b)
	}
}
