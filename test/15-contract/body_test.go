package contract

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/postroad/postroad/test/contract"
	"github.com/postroad/postroad/test/harness"
)

func sorted(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

// body gives a request one: of its schema, wrong in one place, of any JSON, or of no kind.
func (g *generator) body(out *generated) {
	content, _ := contract.Load().Resolve(out.op.fields["requestBody"])["content"].(map[string]any)
	if len(content) == 0 {
		if g.chance(10) {
			out.body, out.header["Content-Type"] = []byte(`{"x":1}`), "application/json"
		}
		return
	}
	kinds := sorted(content)
	kind := pick(g, kinds)
	if slices.Contains(kinds, "application/json") && g.chance(80) {
		kind = "application/json"
	}
	out.header["Content-Type"] = kind
	if kind != "application/json" {
		g.foreign(out, kind, content[kind].(map[string]any))
		return
	}
	schema := content[kind].(map[string]any)["schema"].(map[string]any)
	v := g.value(schema, 0)
	switch n := g.r.IntN(100); {
	case n < 45:
	case n < 75:
		v = g.spoil(v, 0)
	case n < 85:
		v = g.anything(0)
	case n < 92:
		text, _ := json.Marshal(v)
		out.body = g.broken(text)
		return
	default:
		g.odd(out)
	}
	text, err := json.Marshal(v)
	if err != nil {
		text = []byte(`{`)
	}
	out.body = text
}

// spoil changes one place of a value.
func (g *generator) spoil(v any, depth int) any {
	switch x := v.(type) {
	case map[string]any:
		names := sorted(x)
		if len(names) == 0 || g.chance(15) {
			x[pick(g, []string{"recipent", "htlm", "x", "__proto__", "Recipient", "idempotency_key"})] = g.anything(depth + 1)
			return x
		}
		name := pick(g, names)
		if g.chance(10) {
			delete(x, name)
			return x
		}
		x[name] = g.spoil(x[name], depth+1)
		return x
	case []any:
		if len(x) == 0 || g.chance(30) {
			for range 60 {
				x = append(x, g.anything(3))
			}
			return x
		}
		i := g.r.IntN(len(x))
		x[i] = g.spoil(x[i], depth+1)
		return x
	}
	return g.anything(depth)
}

// broken are bytes that are no JSON, or hardly.
func (g *generator) broken(text []byte) []byte {
	switch g.r.IntN(9) {
	case 0:
		return nil
	case 1:
		return text[:len(text)/2]
	case 2:
		return append(text, text...)
	case 3:
		return []byte(strings.Repeat("[", 5000))
	case 4:
		return []byte(strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40))
	case 5:
		return []byte("\xff\xfe{}\x00")
	case 6:
		return []byte(`{"a":1,"a":2}`)
	case 7:
		return []byte(`{"recipient":"\ud800"}`)
	}
	i := g.r.IntN(max(len(text), 1))
	return slices.Insert(slices.Clone(text), min(i, len(text)), byte(g.r.IntN(256)))
}

// odd gives a good body a head that says something else.
func (g *generator) odd(out *generated) {
	switch g.r.IntN(5) {
	case 0:
		out.header["Content-Type"] = pick(g, []string{"text/plain", "application/xml", "application/json; charset=latin1", "application/vnd.api+json", ";", "multipart/form-data", "multipart/form-data; boundary=x", "message/rfc822", ""})
	case 1:
		out.header["Content-Encoding"] = pick(g, []string{"gzip", "br", "identity", "gzip, gzip"})
	case 2:
		out.header["Accept"] = pick(g, []string{"text/html", "image/*", "application/json;q=0"})
	case 3:
		out.header["X-Request-Id"] = header(pick(g, wild))
	case 4:
		out.header["X-Idempotency-Key"] = header(pick(g, wild))
	}
}

// foreign are bodies that are not JSON.
func (g *generator) foreign(out *generated, kind string, media map[string]any) {
	text, _ := media["example"].(string)
	switch kind {
	case "multipart/form-data":
		out.header["Content-Type"] = "multipart/form-data; boundary=b"
		text = "--b\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\n" + pick(g, []string{`{"recipient":"ada@example.com","subject":"x","text":"y"}`, `{`, `[]`, ``}) +
			"\r\n--b\r\nContent-Disposition: form-data; name=\"" + pick(g, []string{"attachments", "other", ""}) + "\"; filename=\"" + pick(g, []string{"a.txt", "", "../x"}) + "\"\r\n\r\nhello\r\n--b--\r\n"
	case "message/rfc822":
		text = pick(g, []string{text, "Subject: x\r\n\r\nbody", "From: a@acme.test\nTo: b@example.com\n\nbare line feeds", "To: " + pick(g, wild) + "\r\n\r\n", "Content-Type: multipart/mixed; boundary=x\r\nTo: a@b.test\r\n\r\n--x\r\n\r\n"})
	case "text/csv":
		text = pick(g, []string{text, "email\n" + pick(g, wild) + "\n", "no,such\n1,2\n", "\"never closed\n"})
	}
	if g.chance(25) {
		out.body = g.broken([]byte(text))
		return
	}
	out.body = []byte(text)
}

// caller says who asks: mostly a key that may.
func (g *generator) caller(out *generated) {
	switch n := g.r.IntN(100); {
	case n < 86:
		out.header["Authorization"] = "Bearer " + harness.TestKey
	case n < 94:
		out.header["Authorization"] = "Bearer " + harness.LiveKey
	case n < 97:
		out.header["Authorization"] = pick(g, []string{"Bearer sk_test_aaaaaaaa_x", "Bearer ", "Basic eDp5", "bearer x", header(pick(g, wild))})
	}
}
