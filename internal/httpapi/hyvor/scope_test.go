package hyvor_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/postroad/postroad/internal/httpapi/hyvor"
)

// endpoints are all that ask for a scope, as the contract has them.
var endpoints = []struct{ scope, method, path string }{
	{"sends.send", "POST", "/sends"}, {"sends.read", "GET", "/sends"}, {"sends.read", "GET", "/sends/1"},
	{"sends.read", "GET", "/sends/uuid/019da625-fa40-752e-89a7-834df2a74de4"}, {"sends.read", "GET", "/sends/uuid/019da625-fa40-752e-89a7-834df2a74de4/content"},
	{"sends.send", "POST", "/sends/1/retry"},
	{"domains.read", "GET", "/domains"}, {"domains.write", "POST", "/domains"}, {"domains.write", "DELETE", "/domains"}, {"domains.write", "POST", "/domains/verify"},
	{"domains.read", "GET", "/domains/by"}, {"domains.read", "GET", "/domains/acme.test"},
	{"webhooks.read", "GET", "/webhooks"}, {"webhooks.write", "POST", "/webhooks"}, {"webhooks.write", "PATCH", "/webhooks/1"}, {"webhooks.write", "DELETE", "/webhooks/1"},
	{"webhooks.read", "GET", "/webhooks/deliveries"},
	{"api_keys.read", "GET", "/api-keys"}, {"api_keys.write", "POST", "/api-keys"}, {"api_keys.write", "PATCH", "/api-keys/4242"}, {"api_keys.write", "DELETE", "/api-keys/4242"},
	{"suppressions.read", "GET", "/suppressions"}, {"suppressions.write", "DELETE", "/suppressions/1"},
	{"analytics.read", "GET", "/analytics/stats"}, {"analytics.read", "GET", "/analytics/sends/chart"},
	{"project.read", "GET", "/project"}, {"project.write", "PATCH", "/project"}, {"project.read", "GET", "/project-users"}, {"project.read", "GET", "/init/project"},
}

func TestEachEndpointAsksForItsScopeAndForNoOther(t *testing.T) {
	t.Parallel()
	h := build(t, hyvor.Bounds{Keys: 1000})
	all := map[string]bool{}
	for _, e := range endpoints {
		all[e.scope] = true
	}
	make := func(scopes []string) string {
		body, _ := json.Marshal(map[string]any{"name": "k", "scopes": scopes})
		var made struct {
			Key string `json:"key"`
		}
		if err := json.Unmarshal(h.must(200, "", liveKey, "POST", "/api/console/api-keys", string(body)).Body.Bytes(), &made); err != nil {
			t.Fatal(err)
		}
		return made.Key
	}
	only, without := map[string]string{}, map[string]string{}
	for scope := range all {
		var others []string
		for other := range all {
			if other != scope {
				others = append(others, other)
			}
		}
		only[scope], without[scope] = make([]string{scope}), make(others)
	}
	for _, e := range endpoints {
		refusal := fmt.Sprintf("You do not have the required scope '%s' to access this resource.", e.scope)
		h.must(403, refusal, without[e.scope], e.method, "/api/console"+e.path, "{}")
		if a := h.ask(only[e.scope], e.method, "/api/console"+e.path, "{}"); a.Code == 401 || a.Code == 403 || a.Code >= 500 || strings.Contains(a.Body.String(), "required scope") {
			t.Errorf("%s %s with %s alone: %d %s", e.method, e.path, e.scope, a.Code, a.Body)
		}
	}
	if want := len(hyvor.Routes()) - 6; len(endpoints) != want { // five ask for a session, one for nothing
		t.Errorf("%d endpoints are looked at, there are %d", len(endpoints), want)
	}
}
