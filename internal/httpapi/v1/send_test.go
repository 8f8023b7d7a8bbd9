package v1_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const hello = `{"recipient":"ada@example.com","subject":"Your code","text":"Your code is 482913. https://acme.test/v?t=1"}`

func TestASentMessageIsToldInFull(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	a := h.send(`{"recipient":{"email":"ada@EXAMPLE.com","name":"Ada"},"cc":["Böb <bob@example.net>"],"bcc":[{"email":"c@example.org"}],
		"from":"Ünï <onboarding@sandbox.test>","subject":"Hi","html":"<p>x</p>","priority":"high","tags":["a"],"metadata":{"order_id":"42"},
		"scheduled_time":"2026-04-20T11:00:00+02:00","expires_in_seconds":900,"supersedes":"otp/1","htlm":"y"}`).is(202, "")
	id := a.at("/message_id")
	for pointer, want := range map[string]string{
		"/status": "scheduled", "/recipient": "ada@example.com", "/created_at": "2026-04-19T14:30:00.000Z", "/object": "message",
		"/from": "Ünï <onboarding@sandbox.test>", "/recipients/0/email": "ada@example.com", "/recipients/0/type": "to", "/recipients/1/type": "cc",
		"/recipients/2/type": "bcc", "/recipients/2/status": "scheduled", "/scheduled_time": "2026-04-20T09:00:00.000Z",
		"/expires_at": "2026-04-20T09:15:00.000Z", "/priority": "urgent", "/environment": "test", "/superseded": "[]",
		"/warnings/0/code": "unknown_field", "/warnings/0/pointer": "#/htlm", "/warnings/0/message": "Did you mean 'html'?",
		"/links/self": "/v1/messages/" + id, "/links/events": "/v1/messages/" + id + "/events",
		"/links/console": "https://mail.acme.test/p/default/messages/" + id,
	} {
		if got := a.at(pointer); got != want {
			t.Errorf("%s: %q, want %q", pointer, got, want)
		}
	}
	if a.Header().Get("Location") != "/v1/messages/"+id || !strings.HasPrefix(id, "msg_") || !strings.HasPrefix(a.at("/recipients/0/recipient_id"), "rcp_") {
		t.Errorf("Location %q, id %q", a.Header().Get("Location"), id)
	}
	if got := h.ask(testKey, "GET", a.at("/links/self"), "").is(200, "").at("/metadata/order_id"); got != "42" {
		t.Errorf("read back: metadata %q", got)
	}
	if h.send(hello+"  \n ").is(202, "").at("/status") != "queued" {
		t.Error("an immediate one is queued")
	}
}

func TestEveryAliasMeansWhatItStandsFor(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	for _, body := range []string{
		`{"to":"ada@example.com","subject":"s","body_html":"<p>x</p>"}`,
		`{"to":["ada@example.com"],"subject":"s","html_body":"<p>x</p>","text_body":"x"}`,
		`{"to":{"email":"ada@example.com"},"subject":"s","body":{"html":"<p>x</p>","text":"x"}}`,
		`{"to":[{"email":"ada@example.com","name":null}],"subject":"s","body_text":"x","html":null}`,
		`{"recipient":["ada@example.com"],"subject":"s","text":"x","scheduled_at":1776700000}`,
		`{"recipient":"ada@example.com","subject":"s","text":"x","send_at":"2026-04-20T09:00:00Z"}`,
		`{"recipient":"ada@example.com","subject":"s","text":"x","send_after":1776700000.5,"expires_in_seconds":9e2}`,
	} {
		h.send(body).is(202, "")
	}
	a := h.send(`{"recipient":"ada@example.com","subject":"s","text":"x","scheduled_time":"2026-04-20T09:00:00"}`).is(202, "")
	if a.at("/warnings/0/code") != "timezone_assumed_utc" || a.at("/scheduled_time") != "2026-04-20T09:00:00.000Z" {
		t.Errorf("no offset: %s", a.Body)
	}
	for body, field := range map[string]string{
		`{"to":"ada@example.com","recipient":"b@example.com","subject":"s","text":"x"}`:                                              "recipient",
		`{"to":"ada@example.com","subject":"s","text":"x","body_text":"y"}`:                                                          "body_text",
		`{"to":"ada@example.com","subject":"s","text":"x","send_at":"2026-04-20T09:00:00Z","scheduled_time":"2026-04-20T09:00:00Z"}`: "scheduled_time",
	} {
		if a := h.send(body).is(422, "validation_failed"); a.at("/errors/0/code") != "mutually_exclusive" || a.at("/errors/0/field") != field || a.at("/errors/1") != "" {
			t.Errorf("%s: %s", body, a.Body)
		}
	}
}

func TestEveryFaultIsToldAtOnceEachWithItsPlace(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	a := h.send(`{"to":["ada@exmaple",7,{"email":9},{"name":"x"},{"emial":"x"}],"subject":5,"text":["x"],"auto_text":"no","headers":{"X-A":1,"From":"x@y.test"},
		"attachments":[{"filename":3,"content":"%%%"},"x",{"filename":"a.txt"},{"filename":"b.txt","content":"%%%"}],"tags":[1],"metadata":{"a/b":2},"expires_in_seconds":"1","priority":"whatever",
		"scheduled_time":"tomorrow","template_data":[],"tracking":7}`).is(422, "validation_failed")
	got := map[string]string{}
	var all []string
	for _, f := range faultsOf(t, a) {
		got[f.Pointer] = f.Code
		all = append(all, f.Pointer+" "+f.Code)
		if f.Code == "" || f.Pointer == "" || f.Message == "" || f.Field == "" {
			t.Errorf("not whole: %+v", f)
		}
	}
	for pointer, code := range map[string]string{"#/to/0": "invalid_email", "#/to/1": "invalid_type", "#/to/2/email": "invalid_type", "#/to/3/email": "missing_required_field",
		"#/subject": "invalid_type", "#/text": "invalid_type", "#/auto_text": "invalid_type", "#/headers/X-A": "invalid_type",
		"#/attachments/0/filename": "invalid_type", "#/attachments/1": "invalid_type", "#/attachments/2/content": "missing_required_field", "#/tags/0": "invalid_type",
		"#/metadata/a~1b": "invalid_type", "#/expires_in_seconds": "invalid_type", "#/priority": "invalid_value", "#/scheduled_time": "invalid_value",
		"#/template_data": "invalid_type", "#/tracking": "invalid_type", "#/attachments/3/content": "attachment_decode_error"} {
		if got[pointer] != code {
			t.Errorf("%s: %q, want %q (all: %v)", pointer, got[pointer], code, all)
		}
	}
	if h.count() != 0 {
		t.Error("something was kept")
	}
}

func TestAnUnknownFieldIsAFaultWhereStrictnessIsAsked(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	body := `{"recipient":"ada@example.com","subject":"s","text":"x","recipeint":"y"}`
	h.send(body).is(202, "")
	if a := h.ask(testKey, "POST", "/v1/messages?strict=true", body).is(422, "validation_failed"); a.at("/errors/0/code") != "unknown_field" || a.at("/errors/0/pointer") != "#/recipeint" {
		t.Errorf("%s", a.Body)
	}
	h.ask(testKey, "PATCH", "/v1/project", `{"strict_fields":true}`).is(200, "")
	h.send(body).is(422, "validation_failed")
}

func TestADryRunStoresNothingAndShowsWhatWouldBeSent(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	a := h.ask(testKey, "POST", "/v1/messages?dry_run=true", hello).is(200, "")
	if a.at("/preview/subject") != "Your code" || !strings.Contains(a.at("/preview/text"), "482913") || h.count() != 0 {
		t.Errorf("%d kept: %s", h.count(), a.Body)
	}
}

func TestASuppressedRecipientIsToldAndNotAnError(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	s := h.ask(testKey, "POST", "/v1/suppressions", `{"recipient":"ADA@example.com","reason":"hard_bounce"}`).is(201, "")
	a := h.send(hello).is(202, "")
	if a.at("/status") != "suppressed" || a.at("/suppression/reason") != "hard_bounce" || a.at("/suppression/suppression_id") != s.at("/suppression_id") || a.at("/suppression/since") == "" {
		t.Errorf("%s", a.Body)
	}
	if got := h.eventTypes(a); got != "message.queued message.suppressed" {
		t.Errorf("events: %s", got)
	}
}

func TestTooManyOfEverythingIsAFaultNotAFlood(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	many := func(item string, n int) string { return strings.TrimSuffix(strings.Repeat(item+",", n), ",") }
	var pairs strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&pairs, `"k%d":"v",`, i)
	}
	a := h.send(`{"to":[` + many(`"a@example.com"`, 10_000) + `],"subject":"s","text":"x","tags":[` + many(`"t"`, 10_000) + `],"metadata":{` + strings.TrimSuffix(pairs.String(), ",") +
		`},"attachments":[` + many(`{"content":""}`, 5_000) + `],"headers":{` + strings.ReplaceAll(strings.TrimSuffix(pairs.String(), ","), `"k`, `"X-k`) + `},` + strings.TrimSuffix(pairs.String(), ",") + `}`)
	a.is(422, "validation_failed")
	if a.Body.Len() > 64<<10 {
		t.Errorf("the answer has %d bytes", a.Body.Len())
	}
}

// TestHostileRequestsAreAnswered holds the rule: always JSON with a code, never a 5xx
// (house.ask fails on those).
func TestHostileRequestsAreAnswered(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	send := func(fields string) string {
		return `{"recipient":"ada@example.com","subject":"s","text":"x",` + fields + `}`
	}
	big := strings.Repeat("A", 70_000)
	for name, c := range map[string]struct {
		body   string
		status int
		code   string // of the answer, or of its first field
	}{
		"nothing":              {"", 400, "invalid_json"},
		"white space":          {"  ", 400, "invalid_json"},
		"not JSON":             {"recipient=ada", 400, "invalid_json"},
		"a list":               {"[]", 400, "invalid_json"},
		"a string":             {`"x"`, 400, "invalid_json"},
		"half":                 {`{"recipient":"ada@exam`, 400, "invalid_json"},
		"two":                  {hello + hello, 400, "invalid_json"},
		"a comment":            {"// x\n" + hello, 400, "invalid_json"},
		"a name twice":         {send(`"subject":"t"`), 400, "invalid_json"},
		"a name twice, deeper": {send(`"metadata":{"a":"1","a":"2"}`), 400, "invalid_json"},
		"a name twice, coded":  {send(`"\u0073ubject":"t"`), 400, "invalid_json"},
		"deep":                 {send(`"template_data":` + strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 33)), 400, "invalid_json"},
		"very deep":            {strings.Repeat(`[`, 1_000_000), 400, "invalid_json"},
		"not UTF-8":            {send("\"topic\":\"\xff\xfe\""), 400, "invalid_json"},
		"a lone surrogate":     {send(`"topic":"\ud800"`), 400, "invalid_json"},
		"a lone low surrogate": {send(`"topic":"\udc00x"`), 400, "invalid_json"},
		"NUL raw":              {send("\"topic\":\"a\x00b\""), 400, "invalid_json"},
		"NUL in the subject":   {`{"recipient":"ada@example.com","subject":"a\u0000b","text":"x"}`, 422, "invalid_value"},
		"NUL in the text":      {`{"recipient":"ada@example.com","subject":"s","text":"a\u0000b"}`, 422, "invalid_value"},
		"NUL in a name":        {send(`"metadata":{"a\u0000":"b"}`), 422, "invalid_value"},
		"NUL in the address":   {`{"recipient":"a\u0000da@example.com","subject":"s","text":"x"}`, 422, "invalid_value"},
		"CRLF in the subject":  {`{"recipient":"ada@example.com","subject":"a\r\nBcc: e@evil.test","text":"x"}`, 422, "header_injection"},
		"LF in the recipient":  {`{"recipient":"ada@example.com\nBcc: e@evil.test","subject":"s","text":"x"}`, 422, ""},
		"CRLF in a name":       {`{"recipient":{"email":"ada@example.com","name":"A\r\nBcc: e@evil.test"},"subject":"s","text":"x"}`, 422, ""},
		"CRLF in from":         {send(`"from":"A\r\nBcc: e@evil.test <onboarding@sandbox.test>"`), 422, ""},
		"CRLF in reply_to":     {send(`"reply_to":["a@example.com\r\nX: y"]`), 422, ""},
		"CRLF in a header":     {send(`"headers":{"X-A":"b\r\nBcc: e@evil.test"}`), 422, "header_injection"},
		"CRLF in its name":     {send(`"headers":{"X-A\r\nBcc":"e@evil.test"}`), 422, ""},
		"CRLF in a filename":   {send(`"attachments":[{"filename":"a\r\nX: y","content":"eA=="}]`), 422, ""},
		"CRLF in its type":     {send(`"attachments":[{"filename":"a","content_type":"text/plain\r\nX: y","content":"eA=="}]`), 422, ""},
		"CRLF in its id":       {send(`"attachments":[{"filename":"a","content_id":"a>\r\nX: y","disposition":"inline","content":"eA=="}]`), 422, ""},
		"a header of ours":     {send(`"headers":{"DKIM-Signature":"x"}`), 422, "header_not_allowed"},
		"Bcc as a header":      {send(`"headers":{"bcc":"e@evil.test"}`), 422, "header_not_allowed"},
		"a huge header":        {send(`"headers":{"X-A":"` + big + `"}`), 422, "too_long"},
		"a huge header name":   {send(`"headers":{"X-` + big + `":"a"}`), 422, ""},
		"a huge name":          {send(`"` + big + `":1`), 202, ""},
		"bad base64":           {send(`"attachments":[{"filename":"a","content":"!!!!"}]`), 422, "attachment_decode_error"},
		"half base64":          {send(`"attachments":[{"filename":"a","content":"eA="}]`), 422, "attachment_decode_error"},
		"escaped base64":       {send(`"attachments":[{"filename":"a","content":"e\u0041=="}]`), 202, ""},
		"no recipient":         {`{"subject":"s","text":"x"}`, 422, "missing_required_field"},
		"nobody":               {`{"to":[],"subject":"s","text":"x"}`, 422, "missing_required_field"},
		"a number":             {`{"recipient":5,"subject":"s","text":"x"}`, 422, "invalid_type"},
		"a huge number":        {send(`"expires_in_seconds":1e999`), 422, "invalid_type"},
		"a half second":        {send(`"expires_in_seconds":1.5`), 422, "invalid_type"},
		"a negative expiry":    {send(`"expires_in_seconds":-1`), 422, "invalid_value"},
		"the past":             {send(`"scheduled_time":"2020-01-01T00:00:00Z"`), 422, "scheduled_time_in_past"},
		"far ahead":            {send(`"scheduled_time":"2999-01-01T00:00:00Z"`), 422, "scheduled_time_too_far"},
		"milliseconds":         {send(`"scheduled_time":1776700000000`), 422, "invalid_value"},
		"year 10000":           {send(`"scheduled_time":"10000-01-01T00:00:00Z"`), 422, "invalid_value"},
		"a bad priority":       {send(`"priority":"asap"`), 422, "invalid_value"},
		"a template":           {`{"recipient":"ada@example.com","template":"welcome"}`, 422, "template_not_found"},
		"an address literal":   {`{"recipient":"ada@[127.0.0.1]","subject":"s","text":"x"}`, 422, "invalid_email"},
		"a bad key":            {send(`"idempotency_key":"schl\u00fcssel"`), 400, "invalid_idempotency_key"},
		"a key that is none":   {send(`"idempotency_key":5`), 422, "invalid_type"},
	} {
		t.Run(name, func(t *testing.T) {
			h := *h
			h.t = t
			a := h.send(c.body)
			code := a.at("/code")
			if code == "validation_failed" {
				code = a.at("/errors/0/code")
				if a.at("/errors/0/pointer") == "" {
					t.Errorf("no pointer: %s", a.Body)
				}
			}
			if a.Code != c.status || c.code != "" && code != c.code {
				t.Errorf("%d %s: %.300s, want %d %s", a.Code, code, a.Body, c.status, c.code)
			}
		})
	}
	for _, path := range []string{"/v1/messages/msg_x", "/v1/messages/%00", "/v1/messages/%ff%fe", "/v1/messages/" + big[:5000], "/v1/messages/msg_01kpk2byj0emq8k9w39qsaekf4",
		"/v1/messages/%3Cx@y%3E", "/v1/messages/msg_01kpk2byj0emq8k9w39qsaekf4/raw", "/v1/suppressions/%00", "/v1/suppressions/a@b.test", "/v1/domains/%00", "/v1/domains/..",
		"/v1/api-keys/key_'--", "/v1/sandbox/messages/msg_x"} {
		h.ask(testKey, "GET", path, "").is(404, "")
	}
	for query, code := range map[string]string{"limit=0": "invalid_parameter", "limit=x": "invalid_parameter", "status=nice": "invalid_parameter", "order=up": "invalid_parameter",
		"created_after=yesterday": "invalid_parameter", "cursor=x": "invalid_cursor", "cursor=c_": "invalid_cursor", "cursor=c_AAAA": "invalid_cursor", "subject=%00": "invalid_parameter",
		"batch_id=7": "invalid_parameter", "smtp_code=9": "invalid_parameter", "priority=x": "invalid_parameter", "q=x": "invalid_parameter", "a=%zz": "invalid_parameter",
		"created_after=-24h&since=-7d": "invalid_parameter"} {
		h.ask(testKey, "GET", "/v1/messages?"+query, "").is(400, code)
	}
	for _, query := range []string{"limit=100000", "recipient=%25", "recipient='", "recipient=*@", "subject=%f0%9f%98%80", "tag=%ff", "metadata[a]=b&metadata[c]=d", "created_after=-24h&created_before=now",
		"created_after=2026-04-19T14:30:00%2B02:00", "created_after=1776700000", "recipient=ada*", "recipient=*@example.com", "domain=x&site=y&class=z&smtp_code=550&api_key_id=key_x&rfc_message_id=%3Cx@y%3E&idempotency_key=k&supersedes=s&topic=t&from=f&priority=low&status=bounced,deferred"} {
		h.ask(testKey, "GET", "/v1/messages?"+query, "").is(200, "")
	}
}

func TestKeysDecideWhoMaySendWhat(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	k := h.ask(testKey, "POST", "/v1/api-keys", `{"name":"bound","scopes":["messages.send"],"allowed_from":["*@acme.test"]}`).is(201, "")
	h.ask(k.at("/secret"), "POST", "/v1/messages", hello).is(403, "from_not_allowed")
	if a := h.ask(k.at("/secret"), "GET", "/v1/messages", "").is(403, "insufficient_scope"); a.at("/required_scope") != "messages.read" {
		t.Errorf("%s", a.Body)
	}
	live := h.ask(liveKey, "POST", "/v1/messages", `{"recipient":"ada@example.net","from":"a@acme.test","subject":"s","text":"x"}`).is(422, "validation_failed")
	if live.at("/errors/0/code") != "domain_not_found" || live.at("/errors/0/pointer") != "#/from" {
		t.Errorf("%s", live.Body)
	}
	sent := h.send(hello)
	h.ask(liveKey, "GET", sent.at("/links/self"), "").is(404, "message_not_found")
	h.pass(time.Second)
	h.ask(testKey, "DELETE", "/v1/api-keys/"+k.at("/key_id"), "").is(204, "")
	h.ask(k.at("/secret"), "GET", "/v1/me", "").is(401, "api_key_revoked")
}
