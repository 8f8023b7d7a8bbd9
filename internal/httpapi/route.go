package httpapi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Route is one endpoint of a dialect.
type Route struct {
	Method  string
	Pattern string // "/v1/messages/{message}/events"; a {name} stands for one segment
	Scope   string // what the key must have; "" = any key will do
	Public  bool   // no key is needed
	// Once marks a POST that takes an idempotency key: its handler calls Call.Begin,
	// which draws from the limits after the look-up of the key.
	Once bool
	// NoBody: a body, if there is one, is not read.
	NoBody bool
	// Body: a body is read whatever the method, GET and DELETE too.
	Body bool
	// Streams are media types of bodies that are not read but left to the handler, which
	// finds them in Call.Reader. JSON is read as ever unless NoJSON is set.
	Streams []string
	NoJSON  bool
	// Intake marks routes that take in much: they are refused while there is no room. Those of
	// the scope messages.send are, unmarked.
	Intake bool
	Handle func(*Call)

	action string // what audits call it; "" = it changes no configuration
}

// maxParams is how many {name} segments a pattern may have.
const maxParams = 3

// router finds routes by segments. It redirects nothing, so that no answer is HTML; one
// slash at the end is forgiven.
type router struct{ root node }

type node struct {
	next   map[string]*node
	param  *node
	routes map[string]*Route
	allow  []string // methods, sorted, as one header value
}

func newRouter(routes []Route) *router {
	r := &router{}
	for i := range routes {
		n := &r.root
		for seg := range strings.SplitSeq(strings.TrimPrefix(routes[i].Pattern, "/"), "/") {
			n = n.child(seg)
		}
		if n.routes == nil {
			n.routes = map[string]*Route{}
		}
		if n.routes[routes[i].Method] != nil {
			panic("two routes for " + routes[i].Method + " " + routes[i].Pattern)
		}
		routes[i].action = actionOf(&routes[i])
		routes[i].Intake = routes[i].Intake || routes[i].Scope == "messages.send"
		n.routes[routes[i].Method] = &routes[i]
		n.allow = allowed(n.routes)
	}
	return r
}

func (n *node) child(segment string) *node {
	if strings.HasPrefix(segment, "{") {
		if n.param == nil {
			n.param = &node{}
		}
		return n.param
	}
	if n.next == nil {
		n.next = map[string]*node{}
	}
	if n.next[segment] == nil {
		n.next[segment] = &node{}
	}
	return n.next[segment]
}

func allowed(routes map[string]*Route) []string {
	var out []string
	for m := range routes {
		out = append(out, m)
		if m == http.MethodGet {
			out = append(out, http.MethodHead)
		}
	}
	slices.Sort(out)
	return []string{strings.Join(out, ", ")}
}

// match finds the call's route and parameters. Where the path is known and the method
// is not, the call knows what would be allowed.
func (r *router) match(c *Call) bool {
	path, escaped := c.R.URL.RawPath, true
	if path == "" {
		path, escaped = c.R.URL.Path, false
	}
	path = strings.TrimPrefix(path, "/")
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	n, params := &r.root, 0
	for more := true; more; {
		var seg string
		seg, path, more = strings.Cut(path, "/")
		if next := n.next[seg]; next != nil {
			n = next
			continue
		}
		if n.param == nil || seg == "" || params == maxParams {
			return false
		}
		if escaped {
			if plain, err := url.PathUnescape(seg); err == nil {
				seg = plain
			}
		}
		c.params[params] = seg
		params, n = params+1, n.param
	}
	method := c.R.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if c.route = n.routes[method]; c.route == nil {
		c.allow = n.allow
		return false
	}
	return true
}
