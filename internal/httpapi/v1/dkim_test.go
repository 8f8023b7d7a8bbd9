package v1_test

import (
	"strings"
	"testing"
	"time"
)

// domain makes acme.test with one key and publishes what it needs.
func (h *house) domain() answer {
	h.t.Helper()
	h.ask(liveKey, "POST", "/v1/domains", `{"name":"acme.test","dkim":{"algorithm":"ed25519"}}`).is(201, "")
	h.publish()
	return h.ask(liveKey, "POST", "/v1/domains/acme.test/verify", "").is(200, "")
}

// publish serves what the domain exports.
func (h *house) publish() {
	h.t.Helper()
	a := h.ask(liveKey, "GET", "/v1/domains/acme.test/dns/export", "").is(200, "")
	if err := h.dns.Set("mx.postroad.test. A 192.0.2.1\n" + a.Body.String()); err != nil {
		h.t.Fatal(err)
	}
}

func TestADKIMKeyIsRotated(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	if a := h.domain(); a.at("/status") != "verified" || a.at("/dkim_keys/0/state") != "active" || a.at("/dkim_keys/0/keep_until") != "null" {
		t.Fatalf("%s", a.Body)
	}
	etag := h.ask(liveKey, "GET", "/v1/domains/acme.test", "").Header().Get("ETag")
	h.ask(liveKey, "POST", "/v1/domains/acme.test/dkim/rotate", `{}`, `If-Match: "v99"`).is(412, "precondition_failed")
	const body = `{"algorithm":"ed25519","overlap_hours":24,"speed":1}`
	a := h.ask(liveKey, "POST", "/v1/domains/acme.test/dkim/rotate", body, "Idempotency-Key: r1", "If-Match: "+etag).is(201, "")
	for pointer, want := range map[string]string{
		"/object": "dkim_key", "/selector": "s2", "/algorithm": "ed25519", "/state": "pending", "/overlap_hours": "24",
		"/record/fqdn": "s2._domainkey.acme.test", "/record/state": "unchecked", "/record/required": "false", "/warnings/0/pointer": "#/speed",
	} {
		if got := a.at(pointer); got != want {
			t.Errorf("%s is %q, want %q", pointer, got, want)
		}
	}
	again := h.ask(liveKey, "POST", "/v1/domains/acme.test/dkim/rotate", body, "Idempotency-Key: r1", "If-Match: "+etag).is(201, "")
	if again.Body.String() != a.Body.String() || again.Header().Get("Idempotency-Replayed") != "true" {
		t.Errorf("the second time: %s", again.Body)
	}
	h.ask(liveKey, "POST", "/v1/domains/acme.test/dkim/rotate", `{"algorithm":"rsa2048"}`, "Idempotency-Key: r1").is(422, "idempotency_key_reused")
	if a := h.ask(liveKey, "POST", "/v1/domains/acme.test/dkim/rotate", ``).is(409, "state_conflict"); a.at("/current_state") != "pending" {
		t.Errorf("%s", a.Body)
	}

	a = h.ask(liveKey, "POST", "/v1/domains/acme.test/dkim/s2/activate", "").is(409, "state_conflict")
	if a.at("/current_state") != "pending" || !strings.Contains(a.at("/detail"), "was not found") {
		t.Errorf("%s", a.Body)
	}
	h.ask(liveKey, "DELETE", "/v1/domains/acme.test/dkim/s1", "").is(409, "state_conflict")
	h.publish()
	a = h.ask(liveKey, "POST", "/v1/domains/acme.test/dkim/s2/activate", "").is(200, "")
	until := h.clock().Add(24 * time.Hour).Format("2006-01-02T15:04:05.000Z")
	for pointer, want := range map[string]string{
		"/dkim_keys/0/state": "retired", "/dkim_keys/0/keep_until": until, "/dkim_keys/1/state": "active",
		"/records/0/keep_until": until, "/records/0/state": "found", "/status": "verified",
	} {
		if got := a.at(pointer); got != want {
			t.Errorf("%s is %q, want %q", pointer, got, want)
		}
	}
	h.ask(liveKey, "DELETE", "/v1/domains/acme.test/dkim/s1", "").is(204, "")
	h.ask(liveKey, "DELETE", "/v1/domains/acme.test/dkim/s1", "").is(404, "not_found")
	h.ask(liveKey, "POST", "/v1/domains/acme.test/dkim/rotate", `{"algorithm":"dsa","overlap_hours":"x","selector":5}`).is(422, "validation_failed")
	h.ask(liveKey, "POST", "/v1/domains/acme.test/dkim/rotate", `{"algorithm":"dsa","overlap_hours":-1,"selector":"a.b"}`).is(422, "validation_failed")

	h.ask(liveKey, "POST", "/v1/domains/acme.test/dkim/rotate", ``).is(201, "")
	a = h.ask(liveKey, "POST", "/v1/domains/acme.test/dkim/s3/activate?force=true", "").is(200, "")
	if a.at("/dkim_keys/1/state") != "active" {
		t.Errorf("by force: %s", a.Body)
	}
}

func TestAnEditAfterBackgroundChecksStillMatches(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.domain()
	etag := h.ask(liveKey, "GET", "/v1/domains/acme.test", "").Header().Get("ETag")
	for range 3 {
		h.ask(liveKey, "POST", "/v1/domains/acme.test/verify", "").is(200, "")
	}
	h.ask(liveKey, "PATCH", "/v1/domains/acme.test", `{"tls":"required"}`, "If-Match: "+etag).is(200, "")
	h.ask(liveKey, "PATCH", "/v1/domains/acme.test", `{"tls":"required"}`, "If-Match: "+etag).is(412, "precondition_failed")
}

func TestRecordsAreExported(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.domain()
	for format, kind := range map[string]string{"bind": "text/dns; charset=utf-8", "terraform": "text/plain; charset=utf-8", "cloudflare": "application/json", "route53": "application/json"} {
		a := h.ask(liveKey, "GET", "/v1/domains/acme.test/dns/export?format="+format, "").is(200, "")
		if a.Header().Get("Content-Type") != kind || !strings.Contains(a.Body.String(), "s1._domainkey.acme.test") || !strings.HasPrefix(a.Header().Get("Content-Disposition"), "attachment; filename=acme.test.") {
			t.Errorf("%s: %v %s", format, a.Header(), a.Body)
		}
	}
	h.ask(liveKey, "GET", "/v1/domains/acme.test/dns/export?format=xml", "").is(400, "invalid_parameter")
	h.ask(liveKey, "GET", "/v1/domains/other.test/dns/export", "").is(404, "not_found")
}
