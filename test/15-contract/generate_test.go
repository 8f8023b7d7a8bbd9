package contract

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"

	"github.com/postroad/postroad/test/contract"
)

// generator makes requests from the document: valid ones, such that are wrong in one place,
// and wild ones. The same seed makes the same requests.
type generator struct {
	r     *rand.Rand
	known *known
	words []string // texts of inputs
}

// known is what is there: ids by their resource, and other things by the parameter that
// names them. It grows while requests make more, so a run is only nearly the same again.
type known struct {
	mu  sync.Mutex
	all map[string][]string
}

// keptIDs bounds what is remembered of a resource: the latest, as older ones get deleted.
const keptIDs = 12

func (k *known) add(resource, id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := append(k.all[resource], id)
	k.all[resource] = all[max(len(all)-keptIDs, 0):]
}

func (k *known) some(g *generator, names ...string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := len(names) - 1; i >= 0; i-- { // what the parameter itself is called goes first
		if all := k.all[names[i]]; len(all) > 0 {
			return pick(g, all)
		}
	}
	return ""
}

// resource is the part of a path that says whose ids stand in it.
func resource(path string) string {
	parts := strings.Split(path, "/")
	if len(parts) > 3 && parts[2] == "sandbox" {
		return parts[3]
	}
	if len(parts) < 3 {
		return ""
	}
	return parts[2]
}

// generated is one request.
type generated struct {
	op     operation
	path   string
	header map[string]string
	body   []byte
}

func (g *generator) chance(percent int) bool { return g.r.IntN(100) < percent }

func pick[T any](g *generator, list []T) T { return list[g.r.IntN(len(list))] }

// wild is what nobody expects in a text.
var wild = []string{"", " ", "\x00", "a\x00b", "\r\nX-Evil: 1", "../../etc/passwd", "%00", "%zz", "'; DROP TABLE messages;--", "\u202e\u0000", "🦄", strings.Repeat("ä", 300),
	strings.Repeat("x", 70_000), "<script>alert(1)</script>", "{{#each}}", "{{{{", "null", "-1", "1e999", "9223372036854775808", "ada@", "@", "a@b@c", "ada@example.com", "*@*", "msg_", "msg_zzzzzzzzzzzzzzzzzzzzzzzzzz",
	"2026-02-30T25:61:61Z", "-99999999d", "now", "0", "c_AAAA", "c_" + strings.Repeat("A", 43), "*", "message.*", "draft", "welcome@7", "true", "https://127.0.0.1:1/", "http://169.254.169.254/", "::1", "\"quoted\"", "\xff\xfe", "ſ", "K"}

func (g *generator) request(op operation) generated {
	out := generated{op: op, header: map[string]string{}}
	d := contract.Load()
	path, query := op.path, url.Values{}
	for _, v := range list(op.fields["parameters"]) {
		p := d.Resolve(v)
		name, schema := p["name"].(string), d.Resolve(p["schema"])
		switch p["in"] {
		case "path":
			path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(g.named(name, op)))
		case "query":
			g.query(query, name, schema)
		case "header":
			if name != "Idempotency-Key" && g.chance(15) {
				out.header[name] = header(g.text(schema))
			}
		}
	}
	if g.chance(20) && op.method == "POST" {
		out.header["Idempotency-Key"] = header(pick(g, []string{"k1", "k2", fmt.Sprint("k", g.r.IntN(1000)), pick(g, wild)}))
	}
	g.patience(op, query)
	out.path = path
	if len(query) > 0 {
		out.path += "?" + query.Encode()
		if g.chance(2) {
			out.path += "&%zz"
		}
	}
	g.body(&out)
	g.caller(&out)
	return out
}

// patience keeps requests that wait from waiting long: their time is in the query.
func (g *generator) patience(op operation, query url.Values) {
	for _, v := range list(op.fields["parameters"]) {
		p := contract.Load().Resolve(v)
		if name := p["name"].(string); name == "timeout" || name == "wait" {
			query.Set(name, pick(g, []string{"0", "0", "0", "-1", "x", "1e9"}))
		}
	}
}

func header(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == 0xfffd {
			return -1
		}
		return c
	}, s[:min(len(s), 400)])
}

// named is something for a parameter of the path.
func (g *generator) named(name string, op operation) string {
	if known := g.known.some(g, resource(op.path), name); known != "" && g.chance(70) {
		return known
	}
	switch g.r.IntN(4) {
	case 0:
		return pick(g, []string{"msg", "tmpl", "dom", "sup", "key", "job", "era", "wh", "whd", "evt", "prj", "ses"}) + "_01kpk2byj0emq8k9w39qsaekf4"
	case 1:
		return fmt.Sprint(g.r.IntN(30))
	}
	for {
		if s := pick(g, wild); s != "" && len(s) < 1000 && s != "." && s != ".." {
			return s
		}
	}
}

func (g *generator) query(query url.Values, name string, schema map[string]any) {
	if !g.chance(15) {
		return
	}
	if schema["type"] == "object" {
		query.Set(name+"["+pick(g, []string{"order_id", "", "x]", "a[b"})+"]", pick(g, wild))
		return
	}
	for range 1 + g.r.IntN(2) {
		query.Add(name, g.text(schema))
	}
}

// text is a value for a schema, as a text.
func (g *generator) text(schema map[string]any) string {
	if g.chance(30) {
		return pick(g, wild)
	}
	switch v := g.value(schema, 0).(type) {
	case string:
		return v
	case nil:
		return ""
	default:
		b, _ := json.Marshal(v)
		return string(b)
	}
}

// value is one that fits a schema, mostly.
func (g *generator) value(schema map[string]any, depth int) any {
	d := contract.Load()
	schema = d.Resolve(schema)
	if forms := list(schema["anyOf"]); len(forms) > 0 {
		return g.value(pick(g, forms).(map[string]any), depth)
	}
	if words := list(schema["x-extensible-enum"]); len(words) > 0 {
		return pick(g, words)
	}
	if c := schema["const"]; c != nil {
		return c
	}
	kind, _ := schema["type"].(string)
	if kinds := list(schema["type"]); len(kinds) > 0 {
		kind = pick(g, kinds).(string)
	}
	switch kind {
	case "object":
		return g.object(schema, depth)
	case "array":
		items, _ := schema["items"].(map[string]any)
		out := []any{}
		for range g.r.IntN(4) {
			out = append(out, g.value(items, depth+1))
		}
		return out
	case "integer", "number":
		return g.number(schema)
	case "boolean":
		return g.chance(50)
	case "null":
		return nil
	case "":
		return g.anything(depth)
	}
	if limit, ok := number(schema["maxLength"]); ok && g.chance(3) && limit < 5000 {
		return strings.Repeat("a", limit+g.r.IntN(3)-1)
	}
	return pick(g, g.words)
}

func (g *generator) object(schema map[string]any, depth int) map[string]any {
	out := map[string]any{}
	properties, _ := schema["properties"].(map[string]any)
	required := map[string]bool{}
	for _, name := range list(schema["required"]) {
		required[name.(string)] = true
	}
	for _, name := range sorted(properties) {
		if required[name] && g.chance(97) || depth < 4 && g.chance(22) {
			out[name] = g.member(name, properties[name].(map[string]any), depth)
		}
	}
	if more, ok := schema["additionalProperties"].(map[string]any); ok {
		for range g.r.IntN(3) {
			out[pick(g, []string{"order_id", "X-Entity-Ref", "name", "pt-BR", "footer", "code", pick(g, wild)})] = g.value(more, depth+1)
		}
	}
	return out
}

// member is a value for a field whose name says what would be understood.
func (g *generator) member(name string, schema map[string]any, depth int) any {
	if g.chance(75) {
		switch name {
		case "recipient", "email", "to":
			return pick(g, []string{"ada@example.com", "Bo <bo@example.com>", "bounced@sandbox.test", "delivered@sandbox.test", "reject@sandbox.test", "user@acme.test"})
		case "from", "default_from":
			return pick(g, []string{"hello@acme.test", "Acme <hello@acme.test>", "onboarding@sandbox.test", "x@elsewhere.test"})
		case "template", "layout":
			return pick(g, []string{"welcome", "otp-code", "welcome@1", "nowhere"})
		case "template_data":
			return map[string]any{"name": "Ada", "code": "1", "expires_in": "5 minutes"}
		case "subject", "text", "html":
			return pick(g, []string{"Hello", "Hello {{name}}", "<p>x</p>", "{{#if a}}b{{/if}}", "{{broken"})
		case "content":
			return pick(g, []string{"aGVsbG8=", "aGVsbG8", "%%%", ""})
		case "name", "alias":
			return fmt.Sprint("n", g.r.IntN(100000))
		case "algorithm":
			return "ed25519" // an RSA key takes the time of a thousand other requests
		case "url":
			return pick(g, []string{"https://app.example.com/x", "http://app.example.com/", "ftp://x/", "https://127.0.0.1/"})
		case "events", "types":
			return []any{pick(g, []string{"*", "message.*", "message.bounced", "nonsense"})}
		case "scheduled_time", "expires_at":
			return pick(g, []any{"2099-01-01T00:00:00Z", "2000-01-01T00:00:00Z", 1e10, "tomorrow"})
		case "scopes":
			return []any{pick(g, []string{"messages.send", "messages.read", "read", "nonsense"})}
		}
	}
	return g.value(schema, depth+1)
}

func (g *generator) number(schema map[string]any) any {
	low, _ := number(schema["minimum"])
	high, bounded := number(schema["maximum"])
	if !bounded {
		high = low + 1000
	}
	switch g.r.IntN(8) {
	case 0:
		return low
	case 1:
		return high
	case 2:
		return pick(g, []any{json.Number("1e400"), json.Number("-1"), json.Number("9223372036854775808"), json.Number("0.5"), json.Number("-0"), json.Number("1E+2")})
	}
	return low + g.r.IntN(max(high-low, 0)+1)
}

func number(v any) (int, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	i, err := n.Int64()
	return int(i), err == nil
}

// anything is JSON of any kind.
func (g *generator) anything(depth int) any {
	switch g.r.IntN(9) {
	case 0:
		return nil
	case 1:
		return g.chance(50)
	case 2:
		return pick(g, []any{json.Number("1e400"), -1, 0, json.Number("123456789012345678901234567890"), 0.1})
	case 3, 4:
		return strings.ToValidUTF8(pick(g, wild), "?")
	case 5, 6:
		out := []any{}
		for range g.r.IntN(4) {
			if depth < 5 {
				out = append(out, g.anything(depth+1))
			}
		}
		return out
	}
	out := map[string]any{}
	for range g.r.IntN(4) {
		if depth < 5 {
			out[strings.ToValidUTF8(pick(g, wild), "?")] = g.anything(depth + 1)
		}
	}
	return out
}
