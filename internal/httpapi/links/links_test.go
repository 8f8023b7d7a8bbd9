package links_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http/httptest"
	netmail "net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	oracle "github.com/emersion/go-msgauth/dkim"

	"github.com/postroad/postroad/internal/dkim"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/mime"
	"github.com/postroad/postroad/internal/submit"
	"github.com/postroad/postroad/internal/tracking"
)

var oneClick = url.Values{"List-Unsubscribe": {"One-Click"}}

// verify checks every signature of a copy, and that both headers are under each.
func (w *world) verify(data []byte) {
	w.Helper()
	found, err := oracle.VerifyWithOptions(bytes.NewReader(data), &oracle.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		for _, k := range signing() {
			if name == k.Selector+"._domainkey."+k.Domain {
				return []string{dkim.PublicRecord(k.Signer.Public())}, nil
			}
		}
		return nil, errors.New("no such name")
	}})
	if err != nil || len(found) != 2 {
		w.Fatalf("%d signatures, %v", len(found), err)
	}
	for _, v := range found {
		if v.Err != nil {
			w.Errorf("a signature is not valid: %v", v.Err)
		}
		signed := strings.ToLower(strings.Join(v.HeaderKeys, " ")) + " "
		if !strings.Contains(signed, "list-unsubscribe ") || !strings.Contains(signed, "list-unsubscribe-post ") {
			w.Errorf("signed is only %s", signed)
		}
	}
}

func TestOneMessageToThreeRecipientsHasThreeTokensAndOneBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "plain")
	r := request("a@example.test", "b@example.test", "C@example.test")
	r.Topic = "product-news"
	m := w.send(r).Message
	if m.Stamp == "" {
		t.Fatal("the message has no marker")
	}
	stored, err := w.store.Content(t.Context(), m.Row)
	if err != nil || stored.Size() != m.Size {
		t.Fatal(err)
	}
	for i, a := range w.carry() {
		if a.Outcome != mail.OutcomeDelivered {
			t.Fatalf("%d: %+v", i, a)
		}
	}
	copies := w.mx.Messages()
	if len(copies) != 3 || w.mx.Sessions() != 1 {
		t.Fatalf("%d copies over %d connections", len(copies), w.mx.Sessions())
	}
	links := map[string]string{} // by recipient
	for _, got := range copies {
		w.verify(got.Data)
		parsed, err := netmail.ReadMessage(bytes.NewReader(got.Data))
		if err != nil || len(got.To) != 1 {
			t.Fatal(got.To, err)
		}
		list := regexp.MustCompile(`^<https://mail\.acme\.test(/u/[a-z2-7]{32})>, <mailto:(unsubscribe\+[a-z2-7]{32})@mx\.acme\.test\?subject=unsubscribe>$`).
			FindStringSubmatch(parsed.Header.Get("List-Unsubscribe"))
		if list == nil || parsed.Header.Get("List-Unsubscribe-Post") != "List-Unsubscribe=One-Click" {
			t.Fatalf("headers: %v", parsed.Header)
		}
		if token, ok := w.tokens.ParseMailto(list[2]); !ok || token.Delivery == 0 {
			t.Error("the address to unsubscribe by mail is not known again")
		}
		links[got.To[0]] = list[1]
		if strings.Contains(string(got.Data), m.Stamp) {
			t.Error("a placeholder went out")
		}
	}
	if len(links) != 3 || links["a@example.test"] == links["b@example.test"] || links["b@example.test"] == links["C@example.test"] {
		t.Fatalf("tokens: %v", links)
	}

	before := w.events(m)
	for range 2 {
		page := w.get(links["b@example.test"])
		if page.Code != 200 || !strings.Contains(page.Body.String(), "b@example.test") || !strings.Contains(page.Body.String(), `<form method="post">`) {
			t.Fatalf("the page: %d %s", page.Code, page.Body)
		}
	}
	if len(w.suppressions()) != 0 || !slices.Equal(w.events(m), before) {
		t.Fatal("looking at the page changed something")
	}

	for range 2 { // twice is once
		if did := w.ask("POST", links["b@example.test"], oneClick); did.Code != 200 {
			t.Fatalf("%d %s", did.Code, did.Body)
		}
	}
	all := w.suppressions()
	if len(all) != 1 || all[0].Address != "b@example.test" || all[0].Topic != "product-news" || all[0].Kind != mail.KindUnsubscribe ||
		all[0].Source != "recipient" || all[0].Message != m.ID {
		t.Fatalf("suppressions: %+v", all)
	}
	if got := w.events(m)[len(before):]; !slices.Equal(got, []string{"message.unsubscribed b@example.test one_clickproduct-news"}) {
		t.Errorf("events: %q", got)
	}

	// The topic is stopped for that recipient, and nothing else is.
	out := w.send(func() *submit.Request {
		again := request("b@example.test", "a@example.test")
		again.Topic = "product-news"
		return again
	}())
	if out.Deliveries[0].Status != mail.Suppressed || out.Deliveries[1].Status != mail.Queued {
		t.Errorf("%v, %v", out.Deliveries[0].Status, out.Deliveries[1].Status)
	}
	if out := w.send(request("b@example.test")); out.Deliveries[0].Status != mail.Queued {
		t.Errorf("mail without the topic is %v", out.Deliveries[0].Status)
	}
}

func TestAMessageWithoutStampsGoesToAllInOneTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "plain")
	m := w.send(request("a@example.test", "b@example.test")).Message
	if m.Stamp != "" {
		t.Fatal("it has a marker")
	}
	w.carry()
	if got := w.mx.Messages(); len(got) != 1 || len(got[0].To) != 2 || bytes.Contains(got[0].Data, []byte("List-Unsubscribe:")) {
		t.Errorf("%d transactions", len(got))
	}
}

func TestEachRecipientOfAStampedMessageHasItsOwnOutcome(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script string
		want   string
		taken  int
	}{
		"a refusal":          {"on RCPT <b@*>: 550 5.1.1 no", "delivered bounced delivered", 2},
		"one per connection": {"on MAIL after 1 per session: 421 4.3.2 bye; close", "delivered delivered delivered", 3},
		"reset in between":   {"on MAIL after 1 per session: reset", "delivered delivered delivered", 3},
		"greylisted":         {"on RCPT <a@*>: 451 4.7.1 later", "deferred delivered delivered", 2},
		"nobody there":       {"on connect: close", "deferred deferred deferred", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.script)
			r := request("a@example.test", "b@example.test", "c@example.test")
			r.ListUnsubscribe = "always"
			w.send(r)
			var got []string
			for _, a := range w.carry() {
				got = append(got, a.Outcome.String())
			}
			if strings.Join(got, " ") != c.want || len(w.mx.Messages()) != c.taken {
				t.Errorf("%v, %d taken", got, len(w.mx.Messages()))
			}
			for _, m := range w.mx.Messages() {
				w.verify(m.Data)
			}
		})
	}
}

// link sends one message and gives the path a copy's link has.
func (w *world) link(change func(*submit.Request), pattern string) (*mail.Message, string) {
	w.Helper()
	r := request("a@example.test")
	r.ListUnsubscribe = "always"
	change(r)
	m := w.send(r).Message
	w.carry()
	parts, err := mime.Parse(bytes.NewReader(w.mx.Messages()[len(w.mx.Messages())-1].Data), mime.Limits{})
	if err != nil {
		w.Fatal(err)
	}
	hit := regexp.MustCompile(`https://[a-z.]+(` + pattern + `)`).FindStringSubmatch(fmt.Sprint(parts.Headers) + parts.HTML)
	if hit == nil {
		w.Fatalf("no %s in %+v", pattern, parts)
	}
	return m, hit[1]
}

func TestThePageUnsubscribesAndTakesItBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "plain")
	m, path := w.link(func(r *submit.Request) { r.Topic = "news" }, `/u/[a-z2-7]{32}`)
	for _, step := range []struct {
		do    string
		has   string
		count int
	}{{"topic", "“news”", 1}, {"everything", "no more mail", 2}, {"undo", "as before", 0}, {"undo", "as before", 0}, {"everything", "no more mail", 1}} {
		got := w.ask("POST", path, url.Values{"do": {step.do}})
		if got.Code != 200 || !strings.Contains(got.Body.String(), step.has) || len(w.suppressions()) != step.count {
			t.Errorf("%s: %d, %d suppressions, %s", step.do, got.Code, len(w.suppressions()), got.Body)
		}
	}
	if all := w.suppressions(); all[0].Topic != "" {
		t.Errorf("%+v", all)
	}
	past, err := w.store.PastSuppressions(t.Context(), owner, "a@example.test")
	if err != nil || len(past) != 2 || past[0].By != "recipient" {
		t.Errorf("past: %+v %v", past, err)
	}
	if got := w.events(m); !slices.Contains(got, "message.unsubscribed a@example.test linknews") || !slices.Contains(got, "message.unsubscribed a@example.test link") {
		t.Errorf("%q", got)
	}
}

func TestWhatIsNoWishOrNoTokenOfOursChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "plain")
	_, path := w.link(func(*submit.Request) {}, `/u/[a-z2-7]{32}`)
	forged := []byte(path)
	forged[len(forged)-1] ^= 1
	foreign := "/u/" + strings.TrimPrefix(tracking.NewTokens([32]byte{8}).Mailto(1), "unsubscribe+")
	gone := "/u/" + strings.TrimPrefix(w.tokens.Mailto(4711), "unsubscribe+")
	for _, c := range []struct {
		method, path string
		form         url.Values
		want         int
	}{
		{"GET", string(forged), nil, 404}, {"POST", string(forged), oneClick, 404}, {"GET", foreign, nil, 404}, {"POST", foreign, oneClick, 404},
		{"GET", gone, nil, 404}, {"POST", gone, oneClick, 404}, {"GET", "/u/", nil, 404}, {"GET", "/u/x/y", nil, 404}, {"POST", path, nil, 400},
		{"POST", path, url.Values{"List-Unsubscribe": {"no"}}, 400}, {"POST", path, url.Values{"do": {strings.Repeat("x", 5000)}}, 400},
		{"PUT", path, oneClick, 405}, {"DELETE", path, nil, 405}, {"HEAD", path, nil, 200}, {"POST", "/c/x", oneClick, 405}, {"GET", "/c/x", nil, 404}, {"GET", "/o/x", nil, 404},
	} {
		got := w.ask(c.method, c.path, c.form)
		if got.Code != c.want || got.Header().Get("Set-Cookie") != "" || !strings.HasPrefix(got.Header().Get("Content-Type"), "text/html") {
			t.Errorf("%s %s %v: %d %v", c.method, c.path, c.form, got.Code, got.Header())
		}
	}
	if len(w.suppressions()) != 0 {
		t.Error("something was suppressed")
	}
	multi := "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n"
	req := httptest.NewRequest("POST", path, strings.NewReader(multi))
	req.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	rec := httptest.NewRecorder()
	if w.ServeHTTP(rec, req); rec.Code != 200 || len(w.suppressions()) != 1 {
		t.Errorf("multipart: %d", rec.Code)
	}
}

func TestALinkLeadsToItsURLAndIsCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "plain")
	yes := true
	counts := func(r *submit.Request) { r.Tracking = submit.Tracking{Opens: &yes, Clicks: &yes} }
	m, path := w.link(counts, `/c/[^"]+`)
	got := w.get("https://mail.acme.test" + path)
	if got.Code != 302 || got.Header().Get("Location") != "https://shop.example/a?b=1&c=2" {
		t.Fatalf("%d %v", got.Code, got.Header())
	}
	if elsewhere := w.get("https://track.other.test" + path); elsewhere.Code != 404 || elsewhere.Header().Get("Location") != "" {
		t.Errorf("at another host: %d", elsewhere.Code)
	}
	_, pixel := w.link(counts, `/o/[a-z2-7]{32}`)
	if got := w.get(pixel); got.Code != 200 || got.Header().Get("Content-Type") != "image/gif" || got.Body.Len() != 43 {
		t.Errorf("%d %v", got.Code, got.Header())
	}
	if n := len(w.seen.all); n != 2 || w.seen.all[0].kind != tracking.KindClick || w.seen.all[0].url != "https://shop.example/a?b=1&c=2" || w.seen.all[1].kind != tracking.KindOpen {
		t.Errorf("seen: %+v", w.seen.all)
	}
	if m.Stamp == "" {
		t.Error("no marker")
	}
}
