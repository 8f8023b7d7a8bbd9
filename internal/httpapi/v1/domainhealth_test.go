package v1_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
)

// carry settles everything live that is due, each as the address's local part says.
func (h *house) carry() {
	h.t.Helper()
	now := h.clock()
	works, err := h.store.Claim(h.t.Context(), queue.ClaimParams{Node: "test", Now: now, Until: now.Add(time.Minute), Max: 1000,
		Room: func(string, mail.Owner, mail.Tier) int { return 1000 }})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, w := range works {
		event := mail.Event{ID: mail.NewID(now), Owner: w.Delivery.Owner, Type: mail.EventDelivered, At: now, Message: w.Message.Row, Delivery: w.Delivery.Row}
		a := &mail.Attempt{ID: mail.NewID(now), Number: 1, At: now, Outcome: mail.OutcomeDelivered, Reply: mail.Reply{Code: 250, Text: "ok"}, Signed: []string{"s1"},
			TLS: &mail.TLSFacts{Version: "TLS 1.3", Verified: true}, Transcript: []mail.Line{{From: "C", Text: "MAIL FROM:<t@bounce.acme.test> SIZE=5"}}}
		r := queue.Result{Lease: w.Lease, Status: mail.Delivered, Tries: 1, Site: "example", Attempt: a, Events: []mail.Event{event}}
		local := mail.Address{Email: w.Delivery.Address}.Local()
		switch local {
		case "bounced":
			r.Status, a.Outcome, r.Events[0].Type = mail.Bounced, mail.OutcomeBounced, mail.EventBounced
			r.Bounce = &mail.Bounce{Type: "hard", Reason: "rejected", Class: mail.ClassUnknownUser, Attempts: 1}
		case "deferred":
			r.Status, a.Outcome, r.Events[0].Type = mail.Deferred, mail.OutcomeDeferred, mail.EventDeferred
			r.Wait, r.Due = mail.WaitRetry, now.Add(time.Hour)
		case "clear":
			a.TLS, a.Signed, a.Transcript[0].Text = nil, nil, "MAIL FROM:<t@mx.postroad.test> SIZE=5"
		}
		if lost, err := h.store.Settle(h.t.Context(), now, []queue.Result{r}); err != nil || len(lost) > 0 {
			h.t.Fatal(lost, err)
		}
		if local == "complained" {
			if _, err := h.store.Report(h.t.Context(), now, queue.Report{Outcomes: []queue.Returned{{Delivery: w.Delivery.Row, Status: mail.Complained}}}); err != nil {
				h.t.Fatal(err)
			}
		}
	}
}

func TestTheHealthOfADomainTellsHowItsLiveMailFared(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.ask(liveKey, "GET", "/v1/domains/acme.test/health", "").is(404, "not_found")
	h.domain()
	empty := h.ask(liveKey, "GET", "/v1/domains/acme.test/health", "").is(200, "")
	for pointer, want := range map[string]string{
		"/object": "domain_health", "/name": "acme.test", "/status": "verified", "/window/messages": "0", "/window/sampled": "false", "/delivery/bounced_by_class": "{}",
		"/delivery/rates/delivery/value": "null", "/alignment/dkim/value": "null", "/alignment/spf/return_paths": "{}", "/tls/encrypted/denominator": "0",
		"/advice/0": "No live mail of the domain was found in this time: there is nothing to judge yet.", "/advice/1": "",
	} {
		if got := empty.at(pointer); got != want {
			t.Errorf("without mail %s is %q, want %q", pointer, got, want)
		}
	}
	const letter = `{"recipient":"%s@example.net","from":"hi@acme.test","subject":"s","text":"x"}`
	h.ask(liveKey, "POST", "/v1/messages", fmt.Sprintf(letter, "delivered")).is(202, "")
	h.carry()
	h.pass(31 * 24 * time.Hour)
	for _, local := range []string{"delivered", "delivered", "clear", "bounced", "complained", "deferred"} {
		h.ask(liveKey, "POST", "/v1/messages", fmt.Sprintf(letter, local)).is(202, "")
	}
	h.ask(testKey, "POST", "/v1/messages", fmt.Sprintf(letter, "bounced")).is(202, "")
	h.carry()
	h.ask(liveKey, "POST", "/v1/messages", fmt.Sprintf(letter, "later")).is(202, "")

	a := h.ask(testKey, "GET", "/v1/domains/acme.test/health", "").is(200, "")
	for pointer, want := range map[string]string{
		"/window/from": h.clock().Add(-30 * 24 * time.Hour).Format("2006-01-02T15:04:05.000Z"), "/window/to": h.clock().Format("2006-01-02T15:04:05.000Z"),
		"/window/messages": "7", "/window/recipients": "7", "/delivery/delivered": "3", "/delivery/bounced": "1", "/delivery/bounced_by_class": `{"unknown_user":1}`,
		"/delivery/complained": "1", "/delivery/deferred_now": "1", "/delivery/waiting_now": "1", "/delivery/expired": "0",
		"/delivery/rates/delivery/value": "0.8", "/delivery/rates/bounce/value": "0.2", "/delivery/rates/complaint/value": "0.25", "/delivery/rates/complaint/denominator": "4",
		"/alignment/dkim/value": "0.75", "/alignment/dkim/selectors/s1": "3", "/alignment/spf/numerator": "3", "/alignment/spf/denominator": "4", "/alignment/spf/basis": "transcripts",
		"/alignment/spf/return_paths/mx.postroad.test": "1", "/alignment/dmarc_policy": "none", "/tls/encrypted/numerator": "3", "/tls/verified/value": "0.75",
	} {
		if got := a.at(pointer); got != want {
			t.Errorf("%s is %q, want %q", pointer, got, want)
		}
	}
	if a.at("/advice/2") == "" || a.at("/advice/3") != "" {
		t.Errorf("want advice on DKIM, the return path and TLS: %s", a.at("/advice"))
	}
}
