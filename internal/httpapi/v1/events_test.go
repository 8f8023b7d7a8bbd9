package v1_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// logged is what a page of the log says, as "type recipient".
func logged(a answer) (out []string) {
	a.t.Helper()
	var page struct {
		Data []struct {
			Type string
			Data struct{ Recipient string }
		}
	}
	if err := json.Unmarshal(a.Body.Bytes(), &page, json.MatchCaseInsensitiveNames(true)); err != nil {
		a.t.Fatal(err)
	}
	for _, e := range page.Data {
		out = append(out, strings.TrimSuffix(e.Type+" "+e.Data.Recipient, " "))
	}
	return out
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%v, want\n%v", what, got, want)
	}
}

const letterTo = `{"from":"hello@acme.test","to":"%s","subject":"Hi","text":"Hello","tags":["%s"],"metadata":{"user_id":"42"}}`

func TestTheLogTellsWhatHappenedOldestFirst(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	sent := h.send(fmt.Sprintf(letterTo, "ada@example.com", "a")).is(202, "")
	h.deliver(false)
	h.send(fmt.Sprintf(letterTo, "bob@example.com", "b")).is(202, "")
	log := h.ask(testKey, "GET", "/v1/events?types=message.*", "").is(200, "")
	same(t, "log", logged(log), "message.queued ada@example.com", "message.accepted ada@example.com", "message.delivered ada@example.com", "message.queued bob@example.com")
	id := sent.at("/message_id")
	for pointer, want := range map[string]string{"/object": "list", "/has_more": "false", "/next_cursor": "null", "/gap": "null", "/data/0/environment": "test",
		"/data/2/data/message_id": id, "/data/2/data/status": "delivered", "/data/2/sequence": "3",
		"/data/2/data/metadata/user_id": "42", "/data/2/data/url": "https://mail.acme.test/v1/messages/" + id, "/data/0/data/intake/via": "api"} {
		if got := log.at(pointer); got != want {
			t.Errorf("%s: %s, want %s", pointer, got, want)
		}
	}
	if log.at("/next_after") != log.at("/position") || log.at("/position") != log.at("/data/3/position") {
		t.Errorf("next_after %s, position %s", log.at("/next_after"), log.at("/position"))
	}
	one := h.ask(testKey, "GET", "/v1/events/"+log.at("/data/2/id"), "").is(200, "")
	if one.Body.String() != log.at("/data/2") {
		t.Errorf("by its id it is\n%s, in the log\n%s", one.Body, log.at("/data/2"))
	}
	for query, want := range map[string][]string{"types=message.delivered,message.bounced": {"message.delivered ada@example.com"}, "recipient=BOB@example.com": {"message.queued bob@example.com"},
		"tag=b": {"message.queued bob@example.com"}, "types=message.delivered&message_id=" + id: {"message.delivered ada@example.com"},
		"types=message.*&after=" + log.at("/data/2/position"): {"message.queued bob@example.com"}, "after=now": nil, "created_after=2026-04-20": nil, "types=message.*&created_before=2026-04-19": nil} {
		same(t, query, logged(h.ask(testKey, "GET", "/v1/events?"+query, "").is(200, "")), want...)
	}
	h.ask(liveKey, "GET", "/v1/events/"+log.at("/data/0/id"), "").is(404, "not_found")
	same(t, "of the other environment", logged(h.ask(liveKey, "GET", "/v1/events?types=message.*", "")))
}

func TestTheLogIsReadOnByAfterAndByCursor(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	for i := range 5 {
		h.send(fmt.Sprintf(letterTo, fmt.Sprintf("a%d@example.com", i), "x")).is(202, "")
	}
	want := logged(h.ask(testKey, "GET", "/v1/events?types=message.*", ""))
	var byAfter, byCursor []string
	after, cursor := "0", ""
	for range 3 {
		a := h.ask(testKey, "GET", "/v1/events?types=message.*&limit=2&after="+after, "").is(200, "")
		byAfter, after = append(byAfter, logged(a)...), a.at("/next_after")
		a = h.ask(testKey, "GET", "/v1/events?types=message.*&limit=2&cursor="+cursor, "").is(200, "")
		byCursor, cursor = append(byCursor, logged(a)...), a.at("/next_cursor")
		if last := len(byCursor) == 5; (a.at("/has_more") == "false") != last || (a.Header().Get("Link") == "") != last {
			t.Errorf("has_more %s after %d of 5", a.at("/has_more"), len(byCursor))
		}
	}
	same(t, "by after", byAfter, want...)
	same(t, "by cursor", byCursor, want...)
}

func TestWhatIsSharedIsInTheLogsOfBothEnvironments(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.ask(liveKey, "POST", "/v1/domains", `{"name":"shared.test"}`).is(201, "")
	for _, key := range []string{liveKey, testKey} {
		a := h.ask(key, "GET", "/v1/events?types=domain.*", "")
		if a.at("/data/0/type") != "domain.created" || a.at("/data/0/environment") != "null" || a.at("/data/0/data/domain/name") != "shared.test" || a.at("/data/0/data/domain/status") != "pending" {
			t.Errorf("log: %s", a.Body)
		}
		h.ask(key, "GET", "/v1/events/"+a.at("/data/0/id"), "").is(200, "")
	}
}

func TestALongPollAnswersWhenSomethingCommits(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	// Who is not woken answers after 20 seconds. A machine that stalls is measured again.
	took, after := time.Hour, "0"
	for round := 0; took > 10*time.Second && round < 3; round++ {
		began := time.Now()
		got := make(chan answer)
		go func() { got <- h.ask(testKey, "GET", "/v1/events?types=message.*&wait=20&after="+after, "") }()
		time.Sleep(50 * time.Millisecond)
		h.send(fmt.Sprintf(letterTo, "ada@example.com", "a")).is(202, "")
		a := <-got
		same(t, "what was waited for", logged(a), "message.queued ada@example.com")
		took, after = time.Since(began), a.at("/next_after")
	}
	if took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	if a := h.ask(testKey, "GET", "/v1/events?after=now&wait=1", "").is(200, ""); len(logged(a)) > 0 || a.at("/next_after") != a.at("/position") {
		t.Errorf("nothing came, and the answer is %s", a.Body)
	}
}

func TestFaultsOfTheLogsParametersAreNamed(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	for query, words := range map[string]string{"after=-1": "'after'", "after=x": "'after'", "after=99999999999999999999": "'after'", "types=message.deliverd": "message.delivered",
		"types=nonsense": "event-types", "message_id=x": "msg_", "wait=soon": "'wait'", "wait=-1": "'wait'", "limit=0": "'limit'", "order=desc": "'order'", "created_after=x": "'created_after'"} {
		if a := h.ask(testKey, "GET", "/v1/events?"+query, "").is(400, "invalid_parameter"); !strings.Contains(a.at("/detail"), words) {
			t.Errorf("%s: %s", query, a.at("/detail"))
		}
	}
	h.ask(testKey, "GET", "/v1/events?cursor=c_x", "").is(400, "invalid_cursor")
	h.ask(testKey, "GET", "/v1/events/evt_x", "").is(404, "not_found")
	h.ask(testKey, "GET", "/v1/events/stream", "", "Last-Event-ID: x").is(400, "invalid_header")
	if a := h.ask(testKey, "GET", "/v1/events?typs=message.queued", "").is(200, ""); !strings.Contains(a.at("/warnings/0/message"), "types") {
		t.Errorf("a mistyped parameter: %s", a.Body)
	}
	key := h.keyWith("messages.send")
	for _, path := range []string{"/v1/events", "/v1/events/stream", "/v1/events/evt_x"} {
		if a := h.ask(key, "GET", path, "").is(403, "insufficient_scope"); a.at("/required_scope") != "events.read" {
			t.Errorf("%s: %s", path, a.Body)
		}
	}
}

func TestEventTypesAreListedWithSchemaAndExample(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	a := h.ask(h.keyWith("messages.send"), "GET", "/v1/event-types", "").is(200, "")
	var page struct {
		Data []struct {
			Name, Description string
			Schema, Example   jsontext.Value
		}
	}
	if err := json.Unmarshal(a.Body.Bytes(), &page, json.MatchCaseInsensitiveNames(true)); err != nil || len(page.Data) < 25 {
		t.Fatal(len(page.Data), err)
	}
	for _, kind := range page.Data {
		if kind.Description == "" || !strings.Contains(string(kind.Schema), `"properties"`) || !strings.Contains(string(kind.Example), `"type":"`+kind.Name+`"`) {
			t.Errorf("%+v", kind)
		}
	}
}

// block is one block of a stream: an event, or what else there is.
type block struct{ id, event, data, comment string }

// listen opens a stream over a real connection.
func (h *house) listen(key, query string, headers ...string) *listener {
	h.t.Helper()
	server := httptest.NewServer(h)
	h.t.Cleanup(server.Close)
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	h.t.Cleanup(cancel)
	r, _ := http.NewRequestWithContext(ctx, "GET", server.URL+"/v1/events/stream?"+query, nil)
	r.Header.Set("Authorization", "Bearer "+key)
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = res.Body.Close() })
	return &listener{t: h.t, Response: res, in: bufio.NewScanner(res.Body)}
}

type listener struct {
	*http.Response
	t  *testing.T
	in *bufio.Scanner
}

// next is the next block; false when the stream has ended.
func (l *listener) next() (b block, ok bool) {
	for l.in.Scan() {
		name, value, _ := strings.Cut(l.in.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case l.in.Text() == "":
			if ok {
				return b, true
			}
			continue
		case name == "":
			b.comment = value
		case name == "id":
			b.id = value
		case name == "event":
			b.event = value
		case name == "data":
			b.data = value
		}
		ok = true
	}
	return b, false
}

// must is the next block that is an event, which must be of this type.
func (l *listener) must(event string) block {
	l.t.Helper()
	for {
		b, ok := l.next()
		if !ok {
			l.t.Fatalf("the stream ended, want %s: %v", event, l.in.Err())
		}
		if b.event != "" {
			if b.event != event {
				l.t.Fatalf("got %+v, want %s", b, event)
			}
			return b
		}
	}
}

func TestAStreamTellsEventsAsTheyComeAndGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.send(fmt.Sprintf(letterTo, "before@example.com", "a")).is(202, "")
	l := h.listen(testKey, "types=message.*")
	for name, want := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"} {
		if got := l.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if l.Header.Get("X-RateLimit-Limit") == "" || l.Header.Get("X-Request-Id") == "" {
		t.Error("a stream lacks the headers of every answer")
	}
	first := h.send(fmt.Sprintf(letterTo, "ada@example.com", "a")).is(202, "")
	got := l.must("message.queued")
	var envelope struct {
		Position int64
		Type     string
		Data     struct {
			MessageID string `json:"message_id"`
		}
	}
	if err := json.Unmarshal([]byte(got.data), &envelope, json.MatchCaseInsensitiveNames(true)); err != nil || fmt.Sprint(envelope.Position) != got.id || envelope.Data.MessageID != first.at("/message_id") {
		t.Fatalf("%+v, %v", got, err)
	}
	h.deliver(false)
	again := h.listen(testKey, "types=message.*&after=0", "Last-Event-ID: "+got.id)
	for _, l := range []*listener{l, again} { // the message from before is delivered, too
		for _, want := range []string{"message.accepted", "message.delivered", "message.accepted", "message.delivered"} {
			l.must(want)
		}
	}
	whole := h.listen(testKey, "types=message.queued&after=0")
	whole.must("message.queued")
	whole.must("message.queued")
}

func TestAStreamBeatsAndPassesWhatWasNotAskedFor(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.streamBeat = 50 * time.Millisecond
	h.serve()
	l := h.listen(testKey, "types=message.bounced")
	h.send(fmt.Sprintf(letterTo, "ada@example.com", "a")).is(202, "")
	position := h.ask(testKey, "GET", "/v1/events?after=now", "").at("/position")
	for beats, last := 0, ""; beats < 2 || last != position; {
		b, ok := l.next()
		if !ok {
			t.Fatalf("after %d beats, the last at %s, the log at %s: what was not asked for is not passed: %v", beats, last, position, l.in.Err())
		}
		if b.event != "" {
			t.Fatalf("got %+v", b)
		}
		if b.comment == "hb" {
			beats++
			last = b.id
		}
	}
}

func TestAStreamSaysGoodbyeWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.streamTime = 200 * time.Millisecond
	h.serve()
	l := h.listen(testKey, "types=message.bounced")
	l.must("bye")
	if b, more := l.next(); more {
		t.Errorf("after bye: %+v", b)
	}
}

// pieces notes how a stream is written, and hangs up after so many bytes.
type pieces struct {
	*httptest.ResponseRecorder
	largest, left int
	hangUp        func()
}

func (p *pieces) Write(b []byte) (int, error) {
	p.largest = max(p.largest, len(b))
	if p.left -= len(b); p.left <= 0 {
		p.hangUp()
	}
	return len(b), nil
}

func TestAStreamThatCatchesUpIsWrittenInSmallPieces(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	large := make([]string, 8)
	for i := range large {
		large[i] = fmt.Sprintf(`"k%d":"%s"`, i, strings.Repeat("x", 500))
	}
	letter := `{"to":"ada@example.com","metadata":{` + strings.Join(large, ",") + `}}`
	h.ask(testKey, "POST", "/v1/messages/batch", `{"defaults":{"from":"hello@acme.test","subject":"Hi","text":"Hello"},"messages":[`+letter+strings.Repeat(","+letter, 99)+`]}`).is(202, "")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, "GET", "/v1/events/stream?after=0", nil)
	r.Header.Set("Authorization", "Bearer "+testKey)
	p := &pieces{ResponseRecorder: httptest.NewRecorder(), left: 300 << 10, hangUp: cancel}
	h.ServeHTTP(p, r)
	if p.left > 0 || p.largest > 48<<10 {
		t.Errorf("the largest piece has %d bytes; %d did not come", p.largest, p.left)
	}
}

func TestAStreamEndsWhenItsKeyIsRevoked(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	made := h.ask(testKey, "POST", "/v1/api-keys", `{"name":"reader","environment":"test","scopes":["events.read"]}`).is(201, "")
	l := h.listen(made.at("/secret"), "")
	h.ask(testKey, "DELETE", "/v1/api-keys/"+made.at("/key_id"), "").is(204, "")
	h.pass(2 * time.Second)
	for {
		if _, ok := l.next(); !ok {
			break
		}
	}
	if err := l.in.Err(); err != nil {
		t.Errorf("it was not ended by the server: %v", err)
	}
}

func TestAGapIsToldFirst(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	position := h.ask(testKey, "GET", "/v1/events?after=now", "").at("/position")
	for _, l := range []*listener{h.listen(testKey, "", "Last-Event-ID: 99999999"), h.listen(testKey, "after=99999999")} {
		if b := l.must("gap"); !strings.Contains(b.data, `"after":99999999`) || b.id != "" {
			t.Errorf("%+v after position %s", b, position)
		}
	}
	if a := h.ask(testKey, "GET", "/v1/events?after=99999999", "").is(200, ""); a.at("/gap/after") != "99999999" || a.at("/next_after") != position {
		t.Errorf("a page: %s", a.Body)
	}
}

func TestAHeadOfTheStreamEndsAtOnce(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	if a := h.ask(testKey, "HEAD", "/v1/events/stream", ""); a.Code != 200 || a.Header().Get("Content-Type") != "text/event-stream" {
		t.Errorf("%d %v", a.Code, a.Header())
	}
}

func TestTooManyStreamsAreRefused(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.readersPerKey = 4 // so that none of them ends before all are open, however slow the machine is
	h.serve()
	for range h.readersPerKey {
		h.listen(testKey, "").opened()
	}
	a := h.ask(testKey, "GET", "/v1/events/stream", "").is(429, "concurrency_limited")
	if a.Header().Get("Retry-After") == "" || a.Header().Get("X-Should-Retry") != "true" {
		t.Errorf("headers %v", a.Header())
	}
	h.ask(testKey, "GET", "/v1/events?after=now&wait=5", "").is(429, "concurrency_limited")
	h.ask(testKey, "GET", "/v1/events", "").is(200, "")
}

func TestReadersThatWaitAreNotRequestsThatRun(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.limits.AtOnce(2)
	for range 3 {
		h.listen(testKey, "").opened()
	}
	h.ask(testKey, "GET", "/v1/events", "").is(200, "")
}

func (l *listener) opened() {
	l.t.Helper()
	if l.StatusCode != 200 {
		l.t.Fatalf("status %d", l.StatusCode)
	}
}
