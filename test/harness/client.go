package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/test/contract"
)

// Answer is what came back for one request.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Fields reads the body as a JSON object.
func (a Answer) Fields(t testing.TB) map[string]any {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(a.Body, &fields); err != nil {
		t.Fatalf("status %d, not a JSON object: %v: %.500s", a.Status, err, a.Body)
	}
	return fields
}

// Text gives one text field of the body, "" when it is not there.
func (a Answer) Text(t testing.TB, field string) string {
	t.Helper()
	text, _ := a.Fields(t)[field].(string)
	return text
}

// Do makes one request. The body is nil, bytes as they are, a reader, or something to
// write as JSON. Headers come in pairs. A server whose machine stood still takes no mail in for a moment
// and says so: it is asked again.
func (p *Postroad) Do(method, path, key string, body any, headers ...string) (Answer, error) {
	a, err := p.once(method, path, key, body, headers)
	_, read := body.(io.Reader)
	for end := time.Now().Add(Patience); err == nil && !read && a.overloaded() && time.Now().Before(end); {
		time.Sleep(200 * time.Millisecond)
		a, err = p.once(method, path, key, body, headers)
	}
	return a, err
}

func (a *Answer) overloaded() bool {
	return a.Status == http.StatusServiceUnavailable && bytes.Contains(a.Body, []byte(`"code":"overloaded"`))
}

func (p *Postroad) once(method, path, key string, body any, headers []string) (Answer, error) {
	var content io.Reader
	switch b := body.(type) {
	case nil:
	case []byte:
		content = bytes.NewReader(b)
	case io.Reader:
		content = b
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return Answer{}, err
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, p.URL+path, content)
	if err != nil {
		return Answer{}, err
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := p.client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil {
		p.judge(contract.Answer{Method: method, Path: path, Status: res.StatusCode, Header: res.Header, Body: text})
	}
	return Answer{res.StatusCode, res.Header, text}, err
}

// keptBreaches is how many answers that differ from the document a test shows.
const keptBreaches = 5

// judge holds an answer against the API's description. What differs is kept until the end of
// the test, so that no caller can take it for a fault of the connection.
func (p *Postroad) judge(a contract.Answer) {
	if p.foreign {
		return
	}
	err := contract.Check(a)
	if err == nil {
		return
	}
	p.judging.Lock()
	defer p.judging.Unlock()
	if p.breaches = append(p.breaches, err); len(p.breaches) > keptBreaches {
		p.breaches = p.breaches[:keptBreaches]
	}
}

// Breaches are the first answers that differed from the API's description.
func (p *Postroad) Breaches() []error {
	p.judging.Lock()
	defer p.judging.Unlock()
	return slices.Clone(p.breaches)
}

// Call makes one request that must be answered, with whatever status.
func (p *Postroad) Call(t testing.TB, method, path, key string, body any, headers ...string) Answer {
	t.Helper()
	a, err := p.Do(method, path, key, body, headers...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// Must makes one request that must be answered with this status.
func (p *Postroad) Must(t testing.TB, status int, method, path, key string, body any, headers ...string) Answer {
	t.Helper()
	a := p.Call(t, method, path, key, body, headers...)
	if a.Status != status {
		t.Fatalf("%s %s: status %d, want %d: %.2000s", method, path, a.Status, status, a.Body)
	}
	return a
}

// Send sends one message, which must be accepted, and gives its message_id.
func (p *Postroad) Send(t testing.TB, key string, fields map[string]any) string {
	t.Helper()
	id := p.Must(t, http.StatusAccepted, "POST", "/v1/messages", key, fields).Text(t, "message_id")
	if !strings.HasPrefix(id, "msg_") {
		t.Fatalf("message_id is %q", id)
	}
	return id
}

// Event is one line of a message's timeline.
type Event struct {
	Type      string `json:"type"`
	Recipient string `json:"recipient"`
	Summary   string `json:"summary"`
}

// Events is a message's whole timeline.
func (p *Postroad) Events(t testing.TB, key, id string) []Event {
	t.Helper()
	var list struct {
		Data []Event `json:"data"`
	}
	a := p.Must(t, http.StatusOK, "GET", "/v1/messages/"+id+"/events", key, nil)
	if err := json.Unmarshal(a.Body, &list); err != nil {
		t.Fatal(err)
	}
	return list.Data
}

// names are the types of the events of one recipient ("" = all), without "message.".
func names(events []Event, recipient string) []string {
	var all []string
	for _, e := range events {
		if recipient == "" || e.Recipient == recipient {
			all = append(all, strings.TrimPrefix(e.Type, "message."))
		}
	}
	return all
}

// ExpectEvents waits until the whole timeline of a recipient ("" = of the message) is
// this list, written as one text: "queued accepted delivered". An event too many fails
// as one too few does: the list is looked at again a moment later. It waits for as long as within says,
// and at least [Patience].
func (p *Postroad) ExpectEvents(t testing.TB, key, id, recipient, want string, within time.Duration) {
	t.Helper()
	list := strings.Fields(want)
	var events []Event
	for end := time.Now().Add(max(within, Patience)); ; time.Sleep(15 * time.Millisecond) {
		events = p.Events(t, key, id)
		have := names(events, recipient)
		if slices.Equal(have, list) {
			break
		}
		if len(have) >= len(list) && !slices.Equal(have[:len(list)], list) || time.Now().After(end) {
			t.Fatalf("events of %s %s\n got %s\nwant %s\n%s", id, recipient, have, list, describe(events))
		}
	}
	time.Sleep(100 * time.Millisecond)
	if have := names(p.Events(t, key, id), recipient); !slices.Equal(have, list) {
		t.Fatalf("events of %s %s a moment later\n got %s\nwant %s", id, recipient, have, list)
	}
}

func describe(events []Event) string {
	var all strings.Builder
	for _, e := range events {
		fmt.Fprintf(&all, "  %-20s %-30s %s\n", e.Type, e.Recipient, e.Summary)
	}
	return all.String()
}

// Status is a message's overall status.
func (p *Postroad) Status(t testing.TB, key, id string) string {
	t.Helper()
	return p.Must(t, http.StatusOK, "GET", "/v1/messages/"+id, key, nil).Text(t, "status")
}

// Attempt is one attempt as the API shows it: what scenarios look at.
type Attempt struct {
	Number  int    `json:"number"`
	Outcome string `json:"outcome"`
	Class   string `json:"class"`
	MX      struct {
		Used string `json:"used"`
		IP   string `json:"ip"`
	} `json:"mx"`
	TLS *struct {
		Version  string `json:"version"`
		Verified bool   `json:"verified"`
	} `json:"tls"`
	Reply struct {
		Code     int    `json:"code"`
		Enhanced string `json:"enhanced"`
		Text     string `json:"text"`
	} `json:"reply"`
	Transcript []struct {
		Dir  string `json:"dir"`
		Line string `json:"line"`
	} `json:"transcript"`
}

// Attempts are a message's attempts.
func (p *Postroad) Attempts(t testing.TB, key, id string) []Attempt {
	t.Helper()
	var list struct {
		Data []Attempt `json:"data"`
	}
	a := p.Must(t, http.StatusOK, "GET", "/v1/messages/"+id+"/attempts", key, nil)
	if err := json.Unmarshal(a.Body, &list); err != nil {
		t.Fatal(err)
	}
	return list.Data
}
