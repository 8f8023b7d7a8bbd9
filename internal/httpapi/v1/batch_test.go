package v1_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/mail"
)

const batchPath = "/v1/messages/batch"

func (h *house) batch(body string, headers ...string) answer {
	h.t.Helper()
	return h.ask(testKey, "POST", batchPath, body, headers...)
}

// thousand is a batch of 1,000 items, the 500th of which is bad when asked.
func thousand(mode string, bad bool) string {
	var b strings.Builder
	b.WriteString(`{"mode":"` + mode + `","defaults":{"subject":"Your digest","html":"<p>Hello</p>","tags":["weekly"]},"messages":[`)
	for i := range 1000 {
		if i > 0 {
			b.WriteByte(',')
		}
		at := "@example.com"
		if bad && i == 500 {
			at = "@"
		}
		fmt.Fprintf(&b, `{"recipient":"u%d%s","metadata":{"n":"%d"}}`, i, at, i)
	}
	return b.String() + "]}"
}

func TestABatchTellsOfEveryMessageInItsPlace(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	a := h.batch(`{"mode":"partial","defaults":{"from":"hello@sandbox.test","subject":"Digest","text":"x","tags":["weekly"]},
		"messages":[{"recipient":"a@example.com","idempotency_key":"wk45/a","htlm":"x"},{"recipient":"bad@","tags":[1]},7,
			{"to":["b@example.com"],"subject":null},{"recipient":"suppressed@sandbox.test","tags":["own"]}]}`).is(202, "")
	for pointer, want := range map[string]string{
		"/object": "batch", "/summary/total": "5", "/summary/queued": "1", "/summary/suppressed": "1", "/summary/rejected": "3", "/summary/replayed": "0",
		"/data/0/index": "0", "/data/0/status": "queued", "/data/0/recipient": "a@example.com", "/data/0/warnings/0/pointer": "#/messages/0/htlm",
		"/data/1/index": "1", "/data/1/error/code": "validation_failed", "/data/1/error/errors/0/pointer": "#/messages/1/tags/0", "/data/1/error/errors/0/code": "invalid_type",
		"/data/1/error/errors/1/pointer": "#/messages/1/recipient", "/data/1/error/errors/1/field": "recipient", "/data/1/error/errors/1/code": "invalid_email", "/data/1/error/errors/2": "",
		"/data/2/error/errors/0/pointer": "#/messages/2", "/data/2/error/errors/0/code": "invalid_type", "/data/2/error/errors/1": "",
		"/data/3/error/errors/0/pointer": "#/messages/3/subject", "/data/3/error/errors/0/code": "missing_required_field",
		"/data/4/status": "suppressed", "/data/4/suppression/reason": "hard_bounce",
	} {
		if got := a.at(pointer); got != want {
			t.Errorf("%s: %q, want %q in %s", pointer, got, want, a.Body)
		}
	}
	bat := a.at("/batch_id")
	if !strings.HasPrefix(bat, "bat_") || a.Header().Get("Location") != "/v1/messages?batch_id="+bat {
		t.Errorf("%q, Location %q", bat, a.Header().Get("Location"))
	}
	listed := h.ask(testKey, "GET", "/v1/messages?batch_id="+bat, "").is(200, "")
	if listed.at("/data/0/tags/0") != "own" || listed.at("/data/1/tags/0") != "weekly" || listed.at("/data/2") != "" {
		t.Errorf("%s", listed.Body)
	}
	one := h.ask(testKey, "GET", "/v1/messages/"+a.at("/data/0/message_id"), "").is(200, "")
	if one.at("/batch_id") != bat || one.at("/idempotency_key") != "wk45/a" || one.at("/from/email") != "hello@sandbox.test" {
		t.Errorf("%s", one.Body)
	}
}

func TestAThousandMessagesAreOneCommit(t *testing.T) {
	t.Parallel()
	h := build(t, 1)
	before := h.store.Stats()
	a := h.batch(thousand("partial", true)).is(202, "")
	after := h.store.Stats()
	if commits := after.Commits - before.Commits; commits != 1 {
		t.Errorf("%d commits", commits)
	}
	if a.at("/summary/queued") != "999" || a.at("/summary/rejected") != "1" || strings.Count(a.Body.String(), `"message_id":"msg_`) != 999 {
		t.Errorf("%.300s", a.Body)
	}
	if !strings.Contains(a.Body.String(), `{"index":500,"error":{"code":"validation_failed","errors":[{"field":"recipient","pointer":"#/messages/500/recipient","code":"invalid_email"`) {
		t.Error("the bad one is not told in its place")
	}
	if n := h.count(); n != 999 {
		t.Errorf("%d messages", n)
	}
	if a := h.batch(thousand("partial", true)); a.Code != 429 { // one unit, and that was the minute's
		t.Errorf("%d", a.Code)
	}
}

func TestAnAtomicBatchIsAllOrNothing(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	before := h.store.Stats()
	a := h.batch(thousand("atomic", true)).is(422, "validation_failed")
	if faults := faultsOf(t, a); len(faults) != 1 || faults[0].Pointer != "#/messages/500/recipient" || faults[0].Field != "recipient" {
		t.Errorf("%.400s", a.Body)
	}
	if h.count() != 0 || h.store.Stats().Commits != before.Commits {
		t.Error("something was kept")
	}
	before = h.store.Stats()
	h.batch(thousand("atomic", false)).is(202, "")
	if n := h.count(); n != 1000 || h.store.Stats().Commits-before.Commits != 1 {
		t.Errorf("%d messages", n)
	}
}

func TestAnAtomicBatchWithAUsedKeyIsRefusedAsAWhole(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.send(`{"recipient":"a@example.com","subject":"s","text":"another"}`, "Idempotency-Key: k")
	const body = `{"mode":"%s","defaults":{"subject":"s","text":"x"},"messages":[{"recipient":"b@example.com"},{"recipient":"a@example.com","idempotency_key":"k"}]}`
	a := h.batch(fmt.Sprintf(body, "atomic"), "Idempotency-Key: request").is(422, "validation_failed")
	if f := faultsOf(t, a); len(f) != 1 || f[0].Code != "idempotency_key_reused" || f[0].Pointer != "#/messages/1/idempotency_key" || h.count() != 1 {
		t.Errorf("%d kept: %s", h.count(), a.Body)
	}
	a = h.batch(fmt.Sprintf(body, "partial"), "Idempotency-Key: request").is(202, "") // nothing was kept under the key
	if a.at("/data/1/error/code") != "idempotency_key_reused" || a.at("/summary/queued") != "1" || h.count() != 2 {
		t.Errorf("%s", a.Body)
	}
	only := `{"messages":[{"recipient":"a@example.com","subject":"s","text":"x","idempotency_key":"k"}]}`
	h.batch(only, "Idempotency-Key: second").is(422, "idempotency_key_reused")
	h.batch(`{"messages":[{"recipient":"a@example.com","subject":"s","text":"x"}]}`, "Idempotency-Key: second").is(202, "")
}

func TestItemKeysAndSingleKeysAreTheSame(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	single := h.send(`{"recipient":"a@example.com","subject":"Digest","text":"x"}`, "Idempotency-Key: a")
	body := `{"defaults":{"text":"x","subject":"Digest"},"messages":[{"idempotency_key":"a","recipient":"a@example.com"},{"recipient":"b@example.com","idempotency_key":"b"},
		{"recipient":"b@example.com","idempotency_key":"b"},{"recipient":"c@example.com","idempotency_key":"b"}]}`
	a := h.batch(body).is(202, "")
	for pointer, want := range map[string]string{"/data/0/replayed": "true", "/data/0/message_id": single.at("/message_id"), "/data/0/status": "queued", "/data/0/recipient": "a@example.com",
		"/data/1/replayed": "", "/data/2/replayed": "true", "/data/2/message_id": a.at("/data/1/message_id"), "/data/3/error/code": "idempotency_key_reused",
		"/summary/queued": "1", "/summary/replayed": "2", "/summary/rejected": "1"} {
		if got := a.at(pointer); got != want {
			t.Errorf("%s: %q, want %q", pointer, got, want)
		}
	}
	again := h.send(`{"text":"x","recipient":"b@example.com","subject":"Digest"}`, "Idempotency-Key: b").is(202, "")
	if again.at("/message_id") != a.at("/data/1/message_id") || again.Header().Get("Idempotency-Replayed") != "true" || again.at("/object") != "message" || again.at("/links/self") == "" {
		t.Errorf("%s", again.Body)
	}
	if n := h.count(); n != 2 {
		t.Errorf("%d messages", n)
	}
	// What was accepted is told, though it would be refused now.
	scheduled := `{"messages":[{"recipient":"d@example.com","subject":"s","text":"x","scheduled_time":"2026-04-20T09:00:00Z","idempotency_key":"d"}]}`
	first := h.batch(scheduled).is(202, "")
	h.pass(20 * time.Hour)
	late := h.batch(scheduled).is(202, "")
	if late.at("/data/0/message_id") != first.at("/data/0/message_id") || late.at("/summary/replayed") != "1" {
		t.Errorf("%s", late.Body)
	}
}

func TestABatchIsReplayedByteForByte(t *testing.T) {
	t.Parallel()
	h := build(t, 1)
	first := h.batch(thousand("partial", true), "Idempotency-Key: k").is(202, "")
	again := h.batch(strings.Replace(thousand("partial", true), `{"mode":"partial",`, ` {"idempotency_key":"k", "mode":"partial",`, 1)).is(202, "")
	if again.Body.String() != first.Body.String() || again.Header().Get("Idempotency-Replayed") != "true" || again.Header().Get("Location") != first.Header().Get("Location") {
		t.Errorf("%d %.200s", again.Code, again.Body)
	}
	h.batch(thousand("partial", false), "Idempotency-Key: k").is(422, "idempotency_key_reused")
	h.batch(thousand("atomic", true), "Idempotency-Key: k").is(422, "idempotency_key_reused")
	h.batch(thousand("partial", true)).is(429, "rate_limited")
	if n := h.count(); n != 999 {
		t.Errorf("%d messages", n)
	}
}

func TestParallelTwinsOfABatchAreOneBatch(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	var all sync.WaitGroup
	ids := make([]string, 20)
	for i := range ids {
		all.Go(func() {
			key := []string{"Idempotency-Key: k"}
			if i%2 == 1 {
				key = nil // only the items have keys
			}
			ids[i] = h.batch(`{"defaults":{"subject":"s","text":"x"},"messages":[{"recipient":"a@example.com","idempotency_key":"a"},{"recipient":"b@example.com","idempotency_key":"b"}]}`, key...).at("/data/1/message_id")
		})
	}
	all.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("%q", ids)
		}
	}
	if n := h.count(); n != 2 {
		t.Errorf("%d messages", n)
	}
}

func TestWhatABatchCannotBe(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	for body, want := range map[string]string{
		`{"messages":[{"recipient":"bad@","subject":"s","text":"x"},{"recipient":"worse","subject":"s","text":"x"}]}`: "all_recipients_invalid #/messages/0/recipient #/messages/1/recipient",
		`{"messages":[]}`: "validation_failed #/messages",
		`{}`:              "validation_failed #/messages",
		`{"messages":{}}`: "validation_failed #/messages",
		`{"mode":"maybe","messages":[{"recipient":"a@example.com","subject":"s","text":"x"}]}`:                                                       "validation_failed #/mode",
		`{"mode":1,"defaults":[],"messages":[{"recipient":"a@example.com","subject":"s","text":"x"}]}`:                                               "validation_failed #/mode #/defaults",
		`{"defaults":{"idempotency_key":"k","headers":{"X-Idempotency-Key":"j"}},"messages":[{"recipient":"a@example.com"}]}`:                        "validation_failed #/defaults/idempotency_key #/defaults/headers/X-Idempotency-Key",
		`{"defaults":{"subject":"s","body_html":5},"messages":[{"recipient":"a@example.com"}]}`:                                                      "all_recipients_invalid #/defaults/body_html",
		`{"defaults":{"subject":"s","text":"x"},"messages":[{"recipient":"a@example.com","headers":{"Idempotency-Key":"a"},"idempotency_key":"b"}]}`: "all_recipients_invalid #/messages/0/idempotency_key",
		`{"mesages":[]}`: "validation_failed #/messages",
	} {
		a := h.batch(body)
		got := a.at("/code")
		for _, f := range faultsOf(t, a) {
			got += " " + f.Pointer
		}
		if a.Code != 422 || got != want {
			t.Errorf("%s:\n got %d %q\nwant %q", body, a.Code, got, want)
		}
	}
	many := `{"defaults":{"subject":"s","text":"x"},"messages":[` + strings.Repeat(`{"recipient":"a@example.com"},`, 1000) + `{"recipient":"a@example.com"}]}`
	if f := faultsOf(t, h.batch(many).is(422, "validation_failed")); len(f) != 1 || f[0].Code != "too_many" {
		t.Errorf("%v", f)
	}
	h.batch(`[]`).is(400, "invalid_json")
	h.batch(`{"messages":`).is(400, "invalid_json")
	h.batch(`{"messages":[{"recipient":"a@example.com","subject":"s","text":"x"}],"idempotency_key":"a"}`, "Idempotency-Key: b").is(400, "idempotency_key_conflict")
	if h.count() != 0 {
		t.Error("something was kept")
	}
}

func TestDefaultsGiveWayToWhatMeansTheSame(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	a := h.batch(`{"defaults":{"recipient":"d@example.com","subject":"default","body":{"html":"<p>default</p>","text":"default"},"scheduled_at":"2026-04-20T09:00:00Z","metadata":{"a":"1"}},
		"messages":[{},{"to":["own@example.com"],"html_body":"<p>own</p>","send_at":"2026-04-21T09:00:00Z"},{"text":"own","scheduled_time":null,"metadata":{"b":"2"}},{"template":"welcome"}]}`).is(202, "")
	if got := a.at("/data/3/error/errors/0/code"); got != "template_not_found" { // and not mutually_exclusive
		t.Errorf("%q in %s", got, a.Body)
	}
	for i, want := range []string{"d@example.com scheduled 2026-04-20T09:00:00.000Z 1 ", "own@example.com scheduled 2026-04-21T09:00:00.000Z 1 ", "d@example.com queued null  2"} {
		m := h.ask(testKey, "GET", "/v1/messages/"+a.at(fmt.Sprintf("/data/%d/message_id", i)), "").is(200, "")
		if got := strings.Join([]string{m.at("/recipient"), m.at("/status"), m.at("/scheduled_time"), m.at("/metadata/a"), m.at("/metadata/b")}, " "); got != want {
			t.Errorf("%d: %q, want %q", i, got, want)
		}
	}
	content := h.ask(testKey, "GET", "/v1/messages/"+a.at("/data/1/message_id")+"/content", "")
	if !strings.Contains(content.at("/html"), "own") {
		t.Errorf("%s", content.Body)
	}
}

func TestADryRunOfABatchStoresNothing(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	a := h.ask(testKey, "POST", batchPath+"?dry_run=true", thousand("partial", true)).is(200, "")
	if a.at("/object") != "dry_run" || a.at("/summary/queued") != "999" || a.at("/data/0/message_id") != "" || h.count() != 0 {
		t.Errorf("%.200s", a.Body)
	}
	h.ask(testKey, "POST", batchPath+"?strict=true", `{"messages":[{"recipient":"a@example.com","subject":"s","text":"x"}],"mod":"atomic"}`).is(422, "validation_failed")
}

func TestABatchThatGrowsByItsDefaultsIsBounded(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	body := `{"defaults":{"subject":"s","html":"` + strings.Repeat("x", 600<<10) + `"},"messages":[` + strings.TrimSuffix(strings.Repeat(`{"recipient":"a@example.com"},`, 500), ",") + `]}`
	h.batch(body).is(413, "payload_too_large")
	if h.count() != 0 {
		t.Error("something was kept")
	}
	few := strings.Replace(body, strings.Repeat(`{"recipient":"a@example.com"},`, 400), "", 1)
	a := h.batch(few).is(202, "")
	if a.at("/summary/queued") != "100" {
		t.Errorf("%.200s", a.Body)
	}
	records, err := h.store.Messages(t.Context(), archive.Query{Owner: h.owner(mail.Test), Limit: 200})
	if err != nil || len(records) != 100 || records[0].Message.Size < 600<<10 {
		t.Fatal(len(records), err)
	}
}

func TestAKeyWithoutTheRightToSendAsOneIsToldOnce(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	k := h.ask(testKey, "POST", "/v1/api-keys", `{"name":"narrow","scopes":["messages.send"],"allowed_from":["ok@sandbox.test"]}`).is(201, "").at("/secret")
	mixed := `{"defaults":{"recipient":"a@example.com","subject":"s","text":"x"},"messages":[{"from":"ok@sandbox.test"},{"from":"no@sandbox.test"}]}`
	if a := h.ask(k, "POST", batchPath, mixed).is(202, ""); a.at("/data/1/error/code") != "from_not_allowed" || a.at("/data/1/error/errors/0/pointer") != "#/messages/1/from" {
		t.Errorf("%s", a.Body)
	}
	h.ask(k, "POST", batchPath, strings.Replace(mixed, "ok@sandbox.test", "no@sandbox.test", 1)).is(403, "from_not_allowed")
}
