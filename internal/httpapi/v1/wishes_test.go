package v1_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/tracking"
)

// upload posts a list.
func (h *house) upload(key, target, list string, headers ...string) answer {
	h.t.Helper()
	r := httptest.NewRequest("POST", target, strings.NewReader(list))
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", "text/csv")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	h.judge(r, rec)
	return answer{rec, h.t}
}

// runJobs does what is queued, until a job has a state.
func (h *house) runJobs(id string, want string) answer {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = h.jobs.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	deadline := time.Now().Add(patience)
	for {
		a := h.ask(liveKey, "GET", "/v1/jobs/"+id, "").is(200, "")
		if a.at("/status") == want || time.Now().After(deadline) {
			if a.at("/status") != want {
				h.t.Fatalf("the job is %s", a.Body)
			}
			return a
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestAListIsImportedWithProgressAndFaults(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	list := "\xef\xbb\xbfEmail;Reason;Topic;Created At;Note\r\nAda@Example.com;hard_bounce;;2025-01-02T03:04:05Z;\"a; \"\"b\"\"\"\r\nnobody;manual;;;\r\n" +
		"bob@example.com;unsubscribed;news;;\r\nada@example.com;hard_bounce;;;\r\neve@example.com;550 5.1.1 no such user;;;\r\n"
	a := h.upload(liveKey, "/v1/suppressions/import", list, "Idempotency-Key", "k1").is(202, "")
	id := a.at("/job_id")
	if a.at("/status") != "queued" || a.Header().Get("Location") != "/v1/jobs/"+id || a.at("/type") != "suppressions.import" {
		t.Fatalf("%s", a.Body)
	}
	if again := h.upload(liveKey, "/v1/suppressions/import", list, "Idempotency-Key", "k1").is(202, ""); again.at("/job_id") != id || again.Header().Get("Idempotency-Replayed") != "true" {
		t.Errorf("a replay: %s", again.Body)
	}
	h.upload(liveKey, "/v1/suppressions/import", list+"x@y.example\n", "Idempotency-Key", "k1").is(422, "idempotency_key_reused")
	h.ask(testKey, "GET", "/v1/jobs/"+id, "").is(404, "")
	done := h.runJobs(id, "done")
	if done.at("/result/created") != "3" || done.at("/result/existing") != "1" || done.at("/result/invalid") != "1" || done.at("/progress/done") != "5" ||
		done.at("/progress/total") != "5" || done.at("/errors/0/line") != "3" || done.at("/errors/0/code") != "invalid_email" {
		t.Errorf("%s", done.Body)
	}
	if a := h.ask(liveKey, "GET", "/v1/suppressions/ada@example.com", "").is(200, ""); a.at("/kind") != "hard_bounce" || a.at("/source") != "import" || a.at("/created_at") != "2025-01-02T03:04:05.000Z" || a.at("/note") != `a; "b"` {
		t.Errorf("%s", a.Body)
	}
	if a := h.ask(liveKey, "GET", "/v1/suppressions/eve@example.com", "").is(200, ""); a.at("/reason") != "import" || a.at("/detail") != "550 5.1.1 no such user" {
		t.Errorf("%s", a.Body)
	}
	h.ask(liveKey, "POST", "/v1/jobs/"+id+"/cancel", "").is(409, "state_conflict")
}

func TestFilesOfOtherVendorsAreRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ query, list, want string }{
		"sendgrid bounces":     {"?preset=sendgrid", "status,reason,email,created\n5.1.1,\"550 no, really\",a@x.example,1700000000\n", "hard_bounce 550 no, really 2023-11-14"},
		"sendgrid spam":        {"?preset=sendgrid", "email,created,ip\na@x.example,1700000000,192.0.2.1\n", "complaint  2023-11-14"},
		"sendgrid unsubscribe": {"?preset=sendgrid&topic=news", "email,created\na@x.example,1700000000\n", "unsubscribe  2023-11-14"},
		"mailgun bounces":      {"?preset=mailgun", "address,code,error,created_at\na@x.example,550,no user,\"Tue, 14 Nov 2023 22:13:20 UTC\"\n", "hard_bounce no user 2023-11-14"},
		"postmark":             {"?preset=postmark", "EmailAddress,SuppressionReason,Origin,CreatedAt\na@x.example,SpamComplaint,Recipient,2023-11-14T22:13:20Z\n", "complaint  2023-11-14"},
		"ses":                  {"?preset=ses", "EmailAddress,Reason,LastUpdateTime\na@x.example,BOUNCE,2023-11-14T22:13:20Z\n", "hard_bounce  2023-11-14"},
		"resend":               {"?preset=resend", "id,email,origin,created_at\nabc,a@x.example,complaint,2023-11-14 22:13:20\n", "complaint  2023-11-14"},
		"hyvor":                {"?preset=hyvor", "id,created_at,email,reason,description\n1,1700000000,a@x.example,bounce,550 5.1.1\n", "hard_bounce 550 5.1.1 2023-11-14"},
		"addresses only":       {"?reason=manual", "a@x.example\n", "manual  2026-04-19"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := build(t, 0)
			h.runJobs(h.upload(liveKey, "/v1/suppressions/import"+c.query, c.list).is(202, "").at("/job_id"), "done")
			a := h.ask(liveKey, "GET", "/v1/suppressions/a@x.example", "").is(200, "")
			if got := a.at("/kind") + " " + strings.TrimPrefix(a.at("/detail"), "null") + " " + a.at("/created_at")[:10]; got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if topic := a.at("/topic"); strings.Contains(c.query, "topic") != (topic == "news") {
				t.Errorf("topic %q", topic)
			}
		})
	}
}

func TestWhatIsNoListIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.upload(liveKey, "/v1/suppressions/import", "").is(422, "validation_failed")
	h.upload(liveKey, "/v1/suppressions/import", "name,age\nAda,36\n").is(422, "validation_failed")
	h.upload(liveKey, "/v1/suppressions/import", strings.Repeat("x", 100<<10)).is(422, "validation_failed")
	h.upload(liveKey, "/v1/suppressions/import?preset=other", "a@x.example\n").is(422, "validation_failed")
	h.upload(liveKey, "/v1/suppressions/import?reason=unsubscribe&topic=%FF%FE", "a@x.example\n").is(422, "validation_failed")
	h.upload(liveKey, "/v1/suppressions/import?reason=Not+ok", "a@x.example\n").is(422, "validation_failed")
	h.upload(liveKey, "/v1/suppressions/import", "a@x.example\n", "Content-Type", "application/pdf").is(415, "unsupported_media_type")
	h.upload(liveKey, "/v1/suppressions/import", "a@x.example\n", "Content-Encoding", "gzip").is(400, "")
	id := h.upload(liveKey, "/v1/suppressions/import", "email,note\na@x.example,\"never closed\n"+strings.Repeat("b@x.example,x\n", 10000)).is(202, "").at("/job_id")
	if a := h.runJobs(id, "failed"); !strings.Contains(a.at("/error"), "64 KB") {
		t.Errorf("%s", a.Body)
	}
}

func TestACancelledImportStopsAndKeepsWhatItHas(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	id := h.upload(liveKey, "/v1/suppressions/import", "a@x.example\nb@x.example\n").is(202, "").at("/job_id")
	if a := h.ask(liveKey, "POST", "/v1/jobs/"+id+"/cancel", "").is(200, ""); a.at("/status") != "cancelled" || a.at("/finished_at") == "" {
		t.Errorf("%s", a.Body)
	}
	other := h.upload(liveKey, "/v1/suppressions/import", "c@x.example\n").is(202, "").at("/job_id")
	h.runJobs(other, "done")
	h.ask(liveKey, "GET", "/v1/suppressions/a@x.example", "").is(404, "")
	h.ask(liveKey, "GET", "/v1/jobs/job_00000000000000000000000000", "").is(404, "")
	h.ask(liveKey, "GET", "/v1/jobs/nonsense", "").is(404, "")
}

func TestABatchTellsOfEachLineAndIsOneFact(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.ask(liveKey, "POST", "/v1/suppressions", `{"recipient":"old@x.example","reason":"manual"}`).is(201, "")
	h.ask(liveKey, "POST", "/v1/suppressions", `{"recipient":"spam@x.example","reason":"complaint"}`).is(201, "")
	body := `{"add":["a@x.example",{"recipient":"b@x.example","reason":"unsubscribed","topic":"news"},{"recipient":"nobody"},{"email":"old@x.example"}],
		"remove":["old@x.example","spam@x.example","none@x.example",{"recipient":"spam@x.example","force":true}]}`
	a := h.ask(liveKey, "POST", "/v1/suppressions/batch", body, "Idempotency-Key: b1").is(200, "")
	for pointer, want := range map[string]string{
		"/summary/total": "8", "/summary/created": "2", "/summary/removed": "2", "/summary/failed": "3",
		"/data/0/suppression/created": "true", "/data/1/suppression/topic": "news", "/data/2/error/code": "validation_failed",
		"/data/2/error/errors/0/pointer": "#/add/2/recipient", "/data/3/suppression/created": "false", "/data/4/op": "remove",
		"/data/5/error/code": "state_conflict", "/data/6/error/code": "not_found", "/data/7/suppression/kind": "complaint",
	} {
		if got := a.at(pointer); got != want {
			t.Errorf("%s is %q, want %q", pointer, got, want)
		}
	}
	if again := h.ask(liveKey, "POST", "/v1/suppressions/batch", body, "Idempotency-Key: b1").is(200, ""); again.Body.String() != a.Body.String() {
		t.Errorf("a replay: %s", again.Body)
	}
	h.ask(liveKey, "GET", "/v1/suppressions/old@x.example", "").is(404, "")
	h.ask(liveKey, "POST", "/v1/suppressions/batch", `{}`).is(422, "validation_failed")
	h.ask(liveKey, "POST", "/v1/suppressions/batch", `{"add":[`+strings.TrimSuffix(strings.Repeat(`"a@x.example",`, 1001), ",")+`]}`).is(422, "validation_failed")
}

func TestUnsubscribesAreTheVoluntaryOnes(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.ask(liveKey, "POST", "/v1/suppressions", `{"recipient":"a@x.example","reason":"manual"}`).is(201, "")
	a := h.ask(liveKey, "POST", "/v1/unsubscribes", `{"recipient":"A@x.example","topic":"news"}`).is(201, "")
	if a.at("/kind") != "unsubscribe" || a.at("/topic") != "news" {
		t.Errorf("%s", a.Body)
	}
	if a := h.ask(liveKey, "POST", "/v1/unsubscribes", `{"recipient":"a@x.example","topic":"news"}`).is(200, ""); a.at("/created") != "false" {
		t.Errorf("%s", a.Body)
	}
	h.ask(liveKey, "POST", "/v1/unsubscribes", `{"recipient":"a@x.example"}`).is(201, "")
	h.ask(liveKey, "POST", "/v1/unsubscribes", `{"recipient":"a@x.example","message_id":"msg_00000000000000000000000000"}`).is(422, "validation_failed")
	if a := h.ask(liveKey, "GET", "/v1/unsubscribes?recipient=a@x.example", "").is(200, ""); a.at("/data/1/kind") != "unsubscribe" || a.at("/data/2") != "" {
		t.Errorf("%s", a.Body)
	}
	h.pass(time.Minute)
	h.ask(liveKey, "DELETE", "/v1/unsubscribes/a@x.example", "").is(409, "state_conflict")
	h.ask(liveKey, "DELETE", "/v1/unsubscribes/a@x.example?topic=news", "").is(200, "")
	h.ask(liveKey, "DELETE", "/v1/unsubscribes/a@x.example?topic=", "").is(200, "")
	h.ask(liveKey, "DELETE", "/v1/unsubscribes/a@x.example", "").is(404, "")
	a = h.ask(liveKey, "GET", "/v1/suppressions/a@x.example", "").is(200, "")
	events := ""
	for i := range 5 {
		events += a.at(fmt.Sprintf("/history/%d/event", i)) + " "
	}
	if a.at("/kind") != "manual" || events != "created created created deleted deleted " {
		t.Errorf("history %q in %s", events, a.Body)
	}
}

func TestAnExportReadsBackAsAnImport(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	now := h.clock()
	var all []mail.Suppression
	for i := range 2500 {
		all = append(all, mail.Suppression{ID: mail.NewID(now), Owner: mail.Owner{Project: 1}, Address: fmt.Sprintf("a%d@x.example", i), Reason: "manual", Kind: "manual",
			Source: "api", Note: "a \"b\", c\nd", CreatedAt: now})
	}
	if _, err := h.store.ChangeSuppressions(t.Context(), feedback.Changes{Owner: mail.Owner{Project: 1}, Add: all, Now: now}); err != nil {
		t.Fatal(err)
	}
	lines := h.ask(liveKey, "GET", "/v1/suppressions/export?format=ndjson", "")
	if lines.Code != 200 || bytes.Count(lines.Body.Bytes(), []byte("\n")) != 2500 || lines.Header().Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("%d, %d lines", lines.Code, bytes.Count(lines.Body.Bytes(), []byte("\n")))
	}
	list := h.ask(liveKey, "GET", "/v1/suppressions/export?reason=manual", "")
	if list.Code != http.StatusOK || !strings.HasPrefix(list.Body.String(), "recipient,reason,kind,") {
		t.Fatalf("%d %.200s", list.Code, list.Body)
	}
	other := build(t, 0)
	done := other.runJobs(other.upload(liveKey, "/v1/suppressions/import", list.Body.String()).is(202, "").at("/job_id"), "done")
	if done.at("/result/created") != "2500" || done.at("/result/invalid") != "0" {
		t.Errorf("%s", done.Body)
	}
	if a := other.ask(liveKey, "GET", "/v1/suppressions/a2499@x.example", "").is(200, ""); a.at("/note") != "a \"b\", c\nd" {
		t.Errorf("%s", a.Body)
	}
	h.ask(liveKey, "GET", "/v1/suppressions/export?format=xml", "").is(400, "invalid_parameter")
}

func TestTrackingIsAProjectsSettingAndARequestsField(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	a := h.ask(liveKey, "PATCH", "/v1/project", `{"tracking":{"opens":true,"clicks":true},"tracking_host":"Track.Acme.test"}`).is(200, "")
	if a.at("/tracking/opens") != "true" || a.at("/tracking_host") != "track.acme.test" {
		t.Errorf("%s", a.Body)
	}
	h.ask(liveKey, "PATCH", "/v1/project", `{"tracking_host":"https://track.acme.test/x"}`).is(422, "validation_failed")
	raw := func(more string) string {
		a := h.ask(testKey, "POST", "/v1/messages", `{"recipient":"you@sandbox.test","subject":"x","html":"<a href=\"https://shop.example/\">x</a>"`+more+`}`).is(202, "")
		return h.ask(testKey, "GET", "/v1/messages/"+a.at("/message_id")+"/raw", "").Body.String()
	}
	if got := raw(""); !strings.Contains(got, "https://track.acme.test/c/") || !strings.Contains(got, "https://track.acme.test/o/") {
		t.Errorf("by the project: %s", got)
	}
	if got := raw(`,"tracking":{"opens":false,"clicks":false}`); strings.Contains(got, "track.acme.test") {
		t.Errorf("by the request: %s", got)
	}
	if got := raw(`,"list_unsubscribe":"always","tracking":{"opens":false,"clicks":false}`); !strings.Contains(got, "https://track.acme.test/u/") {
		t.Errorf("unsubscribe: %s", got)
	} else if _, token, _ := strings.Cut(got, "track.acme.test/u/"); func() bool { _, ok := tokens.Parse(token[:32], 1); return !ok }() {
		t.Error("captured mail has no token that works")
	}
	h.ask(testKey, "POST", "/v1/messages", `{"recipient":"you@sandbox.test","subject":"x","text":"x","list_unsubscribe":"maybe","tracking":{"opens":1}}`).is(422, "validation_failed")
}

func TestABulkMessageThatComesWholeCanBeUnsubscribedFrom(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	rest := letter("From: onboarding@sandbox.test", "To: ada@example.com", "Subject: s", "", "x")
	got := h.bytesOf(h.raw("X-Postroad-Priority: bulk\r\n"+rest, "").is(202, ""))
	_, token, ok := strings.Cut(got, "List-Unsubscribe: <https://mail.acme.test/u/")
	if !ok || !strings.Contains(got, "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n") {
		t.Fatalf("got %q", got)
	}
	if _, ok := tokens.Parse(token[:32], tracking.KindUnsubscribe); !ok {
		t.Error("the token is none")
	}
	own := "List-Unsubscribe: <https://acme.test/bye>\r\nX-Postroad-Priority: bulk\r\n" + rest
	if got := h.bytesOf(h.raw(own, "").is(202, "")); strings.Count(got, "List-Unsubscribe") != 1 {
		t.Errorf("the caller's own: %q", got)
	}
}
