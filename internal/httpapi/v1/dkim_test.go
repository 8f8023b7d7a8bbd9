package v1_test

import "testing"

func TestANewKeyIsToldWithItsRecord(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.ask(testKey, "POST", "/v1/domains", `{"name":"acme.test"}`).is(201, "")
	h.ask(testKey, "DELETE", "/v1/domains/acme.test/dkim/s2", "").is(204, "")
	a := h.ask(testKey, "POST", "/v1/domains/acme.test/dkim/rotate", `{"algorithm":"ed25519"}`).is(201, "")
	if a.at("/selector") == "" || a.at("/algorithm") != "ed25519" || a.at("/state") != "pending" || a.at("/record/type") != "TXT" {
		t.Errorf("rotated: %s", a.Body)
	}
}
