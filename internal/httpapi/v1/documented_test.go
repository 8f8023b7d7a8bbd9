package v1_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/httpapi/reference"
	v1 "github.com/postroad/postroad/internal/httpapi/v1"
	"github.com/postroad/postroad/test/contract"
)

// served are paths of the document that others serve: probes.
var served = []string{"GET /healthz", "GET /readyz"}

func TestTheDocumentHasTheRoutesOfTheBinaryAndNoOthers(t *testing.T) {
	t.Parallel()
	documented := map[string]map[string]any{}
	for path, item := range contract.Load().Root["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			documented[strings.ToUpper(method)+" "+path] = op.(map[string]any)
		}
	}
	for _, r := range append(v1.Routes(), reference.Routes()...) {
		name := r.Method + " " + r.Pattern
		op := documented[name]
		delete(documented, name)
		if op == nil {
			t.Errorf("%s is not documented: add it to internal/httpapi/reference/source and run `go run ./tools/openapi`", name)
			continue
		}
		sameAccess(t, name, &r, op)
	}
	for _, name := range served {
		if documented[name] == nil {
			t.Errorf("%s is not documented", name)
		}
		delete(documented, name)
	}
	for name := range documented {
		t.Errorf("%s is documented, and the binary has no such route", name)
	}
}

// sameAccess compares who may call, and whether an idempotency key is taken.
func sameAccess(t *testing.T, name string, r *httpapi.Route, op map[string]any) {
	t.Helper()
	scopes := []string{}
	for _, s := range op["x-scopes"].([]any) {
		scopes = append(scopes, fmt.Sprint(s))
	}
	if r.Scope == "" && len(scopes) > 0 || r.Scope != "" && !slices.Contains(scopes, r.Scope) {
		t.Errorf("%s needs the scope %q, documented are %q", name, r.Scope, scopes)
	}
	security, said := op["security"].([]any)
	if public := said && len(security) == 0; public != r.Public {
		t.Errorf("%s: without a key %v, documented %v", name, r.Public, public)
	}
	if kept := op["x-idempotent"] == "key"; kept && !r.Once {
		t.Errorf("%s keeps no answers under idempotency keys, documented is that it does", name)
	}
}

func TestTheCodesOfTheDocumentAreThoseOfTheDoor(t *testing.T) {
	t.Parallel()
	documented := maps.Clone(contract.Load().Root["x-errors"].(map[string]any))
	for _, c := range httpapi.Codes() {
		d := contract.Load().Resolve(documented[c.Code])
		delete(documented, c.Code)
		if d == nil || fmt.Sprint(d["status"]) != fmt.Sprint(c.Status) || d["title"] != c.Title || d["retry"] != c.Retry || d["text"] == "" {
			t.Errorf("%s is %+v, documented is %v: see 95-errors.yaml", c.Code, c, d)
		}
	}
	for code := range documented {
		t.Errorf("%s is documented and no code of the door", code)
	}
}
