package reference_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/httpapi/reference"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/test/contract"
)

// get asks the door for a path; headers are "Name: value".
func get(t *testing.T, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	access := project.NewAccess(project.AccessOptions{Limits: project.NewLimits(1000)})
	reference.New(httpapi.New(httpapi.Options{Access: access, PublicURL: "https://mail.acme.test"})).ServeHTTP(w, r)
	if err := contract.Check(contract.Answer{Method: "GET", Path: path, Status: w.Code, Header: w.Header(), Body: w.Body.Bytes()}); err != nil {
		t.Error(err)
	}
	return w
}

func TestTheDocumentIsServedAsItIsKept(t *testing.T) {
	t.Parallel()
	w := get(t, "/openapi.json")
	if w.Code != 200 || !bytes.Equal(w.Body.Bytes(), reference.JSON()) {
		t.Errorf("%d, %d bytes", w.Code, w.Body.Len())
	}
	var want, have map[string]any
	if err := json.Unmarshal(reference.JSON(), &want); err != nil {
		t.Fatal(err)
	}
	if want["openapi"] != "3.1.1" {
		t.Errorf("openapi: %v", want["openapi"])
	}
	text := get(t, "/openapi.yaml").Body.Bytes()
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(asJSON, &have); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("the YAML says something else:\n%.2000s", diff)
	}
}

func TestWhoHasTheDocumentIsToldSo(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/openapi.json", "/docs"} {
		plain := get(t, path)
		tag := plain.Header().Get("Etag")
		if again := get(t, path, "If-None-Match: "+tag); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
			t.Errorf("%s: %d, %d bytes", path, again.Code, again.Body.Len())
		}
		if other := get(t, path, `If-None-Match: "other"`); other.Code != 200 {
			t.Errorf("%s: %d", path, other.Code)
		}
		packed := get(t, path, "Accept-Encoding: gzip")
		z, err := gzip.NewReader(packed.Body)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(z)
		if err != nil || !bytes.Equal(text, plain.Body.Bytes()) || packed.Header().Get("Etag") == tag {
			t.Errorf("%s packed: %v, %d bytes, tag %s", path, err, len(text), packed.Header().Get("Etag"))
		}
	}
}

func TestOtherPathsAreNotFoundInJSON(t *testing.T) {
	t.Parallel()
	if w := get(t, "/docs/elsewhere"); w.Code != 404 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for path, want := range map[string]bool{"/docs": true, "/docs/errors": true, "/docs/x": true, "/openapi.json": true, "/openapi.yaml": true, "/docsx": false, "/v1/messages": false, "/o/x": false, "/": false, "/openapi": false} {
		if reference.Owns(path) != want {
			t.Errorf("owns %s: %v", path, !want)
		}
	}
}

// each calls f for every attribute of a page.
func each(t *testing.T, page io.Reader, f func(n *html.Node, name, value string)) {
	t.Helper()
	doc, err := html.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc.Descendants() {
		for _, a := range n.Attr {
			f(n, a.Key, a.Val)
		}
	}
}

func TestThePagesAskForNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/docs", "/docs/errors"} {
		w := get(t, path)
		policy := w.Header().Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(policy, "http") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %s", path, policy)
		}
		links := 0
		each(t, w.Body, func(n *html.Node, name, value string) {
			switch name {
			case "src", "href", "action", "srcset", "data", "poster":
				links++
				if !strings.HasPrefix(value, "#") && !strings.HasPrefix(value, "/") || strings.HasPrefix(value, "//") {
					t.Errorf("%s asks for %s", path, value)
				}
			}
			if strings.HasPrefix(name, "on") || name == "style" {
				t.Errorf("%s has %s=%q, which the policy forbids", path, name, value)
			}
		})
		if style := w.Body.String(); links < 10 || strings.Contains(style, "@import") || strings.Contains(style, "url(") {
			t.Errorf("%s: %d links, or a style that loads something", path, links)
		}
	}
}

func TestEveryLinkOfThePagesLeadsSomewhere(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/docs", "/docs/errors"} {
		ids, links := map[string]int{}, []string{}
		each(t, get(t, path).Body, func(_ *html.Node, name, value string) {
			switch name {
			case "id":
				ids[value]++
			case "href":
				links = append(links, value)
			}
		})
		for id, n := range ids {
			if n > 1 && id != "" {
				t.Errorf("%s: %d elements are called %s", path, n, id)
			}
		}
		for _, link := range links {
			switch to, inside := strings.CutPrefix(link, "#"); {
			case inside && ids[to] == 0:
				t.Errorf("%s: %s leads nowhere", path, link)
			case !inside && get(t, link).Code != 200:
				t.Errorf("%s: %s leads nowhere", path, link)
			}
		}
	}
}

func TestThePageHasEveryOperationAndEveryCode(t *testing.T) {
	t.Parallel()
	page, codes := get(t, "/docs").Body.String(), get(t, "/docs/errors").Body.String()
	n := 0
	for _, item := range contract.Load().Root["paths"].(map[string]any) {
		for _, op := range item.(map[string]any) {
			n++
			if id := op.(map[string]any)["operationId"].(string); !strings.Contains(page, `<article id="`+id+`">`) {
				t.Errorf("%s is not on the page", id)
			}
		}
	}
	for _, c := range httpapi.Codes() {
		if !strings.Contains(codes, `<div id="`+c.Code+`">`) {
			t.Errorf("%s is not on the page of errors", c.Code)
		}
	}
	t.Logf("%d operations, %d codes, the page has %d KB", n, len(httpapi.Codes()), len(page)>>10)
}

// docs/api.md lists every route of the document, and no other.
func TestThePageOfTheAPIListsEveryRoute(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "## Every route\n")
	listed := map[string]bool{}
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "    ") {
			continue
		}
		words := strings.Fields(line)
		for _, method := range words[:len(words)-1] {
			listed[method+" "+words[len(words)-1]] = true
		}
	}
	var doc struct {
		Paths map[string]map[string]jsontext.Value `json:"paths"`
	}
	if err := json.Unmarshal(reference.JSON(), &doc); err != nil {
		t.Fatal(err)
	}
	for path, operations := range doc.Paths {
		for method := range operations {
			if !slices.Contains([]string{"get", "post", "put", "patch", "delete"}, method) {
				continue
			}
			route := strings.ToUpper(method) + " " + path
			if !listed[route] {
				t.Errorf("docs/api.md does not list %s", route)
			}
			delete(listed, route)
		}
	}
	for route := range listed {
		t.Errorf("docs/api.md lists %s, which is not in the document", route)
	}
}
