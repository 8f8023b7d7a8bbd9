package reference

import (
	_ "embed"
	"net/http"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"

	"github.com/postroad/postroad/internal/httpapi"
)

//go:embed openapi.json
var document []byte

// JSON is the OpenAPI document. Nobody may change it.
func JSON() []byte { return document }

// Owns tells whether a path is this door's.
func Owns(path string) bool {
	if len(path) < 5 || path[1] != 'o' && path[1] != 'd' {
		return false
	}
	return path == "/openapi.json" || path == "/openapi.yaml" || path == "/docs" || strings.HasPrefix(path, "/docs/")
}

// Routes are the paths of the document and its pages. Texts are made when they are first
// asked for.
func Routes() []httpapi.Route {
	texts := map[string]func() *httpapi.Static{
		"/openapi.json": asJSON,
		"/openapi.yaml": asYAML,
		"/docs":         reading,
		"/docs/errors":  errorsPage,
	}
	var all []httpapi.Route
	for _, path := range []string{"/openapi.json", "/openapi.yaml", "/docs", "/docs/errors"} {
		text := texts[path]
		all = append(all, httpapi.Route{Method: http.MethodGet, Pattern: path, Public: true, Handle: func(c *httpapi.Call) { c.Static(text()) }})
	}
	return all
}

// New gives the handler of what [Owns] names; other paths below /docs are 404 in JSON.
func New(door *httpapi.Door) http.Handler { return door.Handler(Routes()) }

var asJSON = sync.OnceValue(func() *httpapi.Static { return httpapi.NewStatic("application/json", "", document) })

var asYAML = sync.OnceValue(func() *httpapi.Static {
	text, err := yaml.JSONToYAML(document)
	if err != nil {
		panic("reference: the document is not JSON: " + err.Error()) // embedded: a test holds it
	}
	return httpapi.NewStatic("application/yaml", "", text)
})
