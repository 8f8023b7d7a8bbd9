package v1_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestEqualMessagesAreTwoUnlessTheProjectHasAWindow(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	const otp = `{"recipient":"ada@example.com","subject":"Your code","text":"482913"}`
	if one, two := h.send(otp).is(202, ""), h.send(otp).is(202, ""); one.at("/message_id") == two.at("/message_id") || two.Header().Get("Idempotency-Replayed") != "" {
		t.Errorf("without a window: %s %v", two.Body, two.Header())
	}
	for _, body := range []string{`{"dedupe_window_seconds":-1}`, `{"dedupe_window_seconds":86401}`, `{"dedupe_window_seconds":"x"}`} {
		h.ask(testKey, "PATCH", "/v1/project", body).is(422, "validation_failed")
	}
	if a := h.ask(testKey, "PATCH", "/v1/project", `{"dedupe_window_seconds":600}`).is(200, ""); a.at("/dedupe_window_seconds") != "600" {
		t.Errorf("%s", a.Body)
	}
	first := h.send(otp).is(202, "")
	before := h.count()
	again := h.send(otp).is(202, "")
	if again.Body.String() != first.Body.String() || again.Header().Get("Idempotency-Replayed") != "true" || again.Header().Get("Location") != first.Header().Get("Location") || h.count() != before {
		t.Errorf("%d messages, %s %v", h.count(), again.Body, again.Header())
	}
	if a := h.ask(testKey, "GET", first.at("/links/self"), "").is(200, ""); a.at("/idempotency_key") != "null" {
		t.Errorf("a key nobody gave: %s", a.Body)
	}

	// What does not matter, and what does.
	for body, same := range map[string]bool{
		`{"recipient":"Ada <ADA@Example.com>","subject":"Your code","text":"482913","tags":["x"],"metadata":{"a":"b"}}`:                                                            true,
		`{"recipient":"ada@example.com","subject":"Your code","text":"482914"}`:                                                                                                    false,
		`{"recipient":"ada@example.com","subject":"Your code!","text":"482913"}`:                                                                                                   false,
		`{"recipient":"bob@example.com","subject":"Your code","text":"482913"}`:                                                                                                    false,
		`{"recipient":"ada@example.com","cc":"bob@example.com","subject":"Your code","text":"482913"}`:                                                                             false,
		`{"recipient":"ada@example.com","subject":"Your code","html":"<p>482913</p>","text":"482913"}`:                                                                             false,
		`{"from":"other@sandbox.test","recipient":"ada@example.com","subject":"Your code","text":"482913"}`:                                                                        false,
		`{"recipient":"ada@example.com","subject":"Your code","text":"482913","scheduled_time":"2026-04-20T09:00:00Z"}`:                                                            false,
		`{"recipient":"ada@example.com","subject":"Your code","text":"482913","attachments":[{"filename":"a.txt","content_type":"text/plain","content":"aGVsbG8="}]}`:              false,
		`{"recipient":"ada@example.com","subject":"Your code","text":"482913","attachments":[{"filename":"a.txt","content_type":"text/plain","content":"aGVsbG9v"}]}`:              false,
		`{"recipient":"ada@example.com","subject":"Your code","text":"482913","idempotency_key":"mine"}`:                                                                           false,
		`{"recipient":"ada@example.com","subject":"A file","text":"hosted:a.txt","attachments":[{"filename":"a.txt","content_type":"text/plain","content":"aGk=","hosted":true}]}`: false,
	} {
		a := h.send(body).is(202, "")
		if (a.at("/message_id") == first.at("/message_id")) != same {
			t.Errorf("taken for the same: %v\n%s", !same, body)
		}
		if again := h.send(body).is(202, ""); again.at("/message_id") != a.at("/message_id") {
			t.Errorf("not found again: %s", body)
		}
	}
	h.ask(testKey, "POST", first.at("/links/self")+"/resend", `{"recipients":["`+first.at("/recipients/0/recipient_id")+`"]}`).is(202, "")
	if a := h.ask(testKey, "POST", first.at("/links/self")+"/resend", "").is(202, ""); a.at("/message_id") == first.at("/message_id") {
		t.Error("a message sent again on purpose was taken for the first")
	}
	h.pass(601 * time.Second)
	late := h.send(otp).is(202, "")
	if late.at("/message_id") == first.at("/message_id") {
		t.Error("the window has no end")
	}
}

func TestEqualMessagesThatComeTogetherAreOne(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.ask(testKey, "PATCH", "/v1/project", `{"dedupe_window_seconds":600}`).is(200, "")
	got := make([]string, 20)
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() { got[i] = h.send(hello).is(202, "").at("/message_id") })
	}
	all.Wait()
	for _, id := range got {
		if id != got[0] || !strings.HasPrefix(id, "msg_") {
			t.Fatalf("%q", got)
		}
	}
	if n := h.count(); n != 1 {
		t.Errorf("%d messages", n)
	}

	item := func(n int) string {
		return fmt.Sprintf(`{"recipient":"u%d@example.com","subject":"s","text":"x"}`, n)
	}
	b := h.ask(testKey, "POST", "/v1/messages/batch", `{"messages":[`+item(1)+`,`+item(2)+`,`+item(1)+`]}`).is(202, "")
	if b.at("/summary/queued") != "2" || b.at("/summary/replayed") != "1" || b.at("/data/2/message_id") != b.at("/data/0/message_id") || b.at("/data/2/replayed") != "true" {
		t.Errorf("%s", b.Body)
	}
	if a := h.send(item(2)).is(202, ""); a.at("/message_id") != b.at("/data/1/message_id") {
		t.Errorf("one of a batch and one alone: %s", a.Body)
	}
	b = h.ask(testKey, "POST", "/v1/messages/batch", `{"mode":"atomic","messages":[`+item(2)+`,`+item(3)+`]}`).is(202, "")
	if b.at("/summary/replayed") != "1" || b.at("/summary/queued") != "1" {
		t.Errorf("%s", b.Body)
	}

	raw := func(id, text string) answer {
		return h.ask(testKey, "POST", "/v1/messages/raw", "From: onboarding@sandbox.test\r\nTo: ada@example.com\r\nSubject: Raw\r\nMessage-ID: <"+id+"@x.test>\r\n\r\n"+text+"\r\n", "Content-Type: message/rfc822").is(202, "")
	}
	one := raw("1", "Hello")
	if two := raw("2", "Hello"); two.at("/message_id") != one.at("/message_id") {
		t.Errorf("built twice: %s", two.Body)
	}
	if three := raw("3", "Hello!"); three.at("/message_id") == one.at("/message_id") {
		t.Errorf("says something else: %s", three.Body)
	}
}
