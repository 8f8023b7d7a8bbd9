package v1

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// fingerprint says which requests are the same: SHA-256 of method, path, the query
// parameters that change behaviour, and the body with its names sorted, its numbers
// normalised, its idempotency fields left out and its attachments by content. It is
// made only when a request has a key.
func fingerprint(method, path string, query url.Values, body value) [32]byte {
	h := sha256.New()
	f := &canon{h: h}
	f.begin(method, path, query)
	if body != nil {
		f.object(body, true)
	}
	var out [32]byte
	h.Sum(out[:0])
	return out
}

// fingerprintOf is the fingerprint a body with these members would have.
func fingerprintOf(method, path string, query url.Values, members []namedValue) [32]byte {
	h := sha256.New()
	f := &canon{h: h}
	f.begin(method, path, query)
	f.members(members, true)
	var out [32]byte
	h.Sum(out[:0])
	return out
}

func newCanon() *canon { return &canon{h: sha256.New()} }

func (c *canon) begin(method, path string, query url.Values) {
	c.word(method)
	c.word(path)
	for _, name := range []string{"dry_run", "strict", "force"} {
		if truth(query.Get(name)) {
			c.word(name)
		}
	}
}

// canon writes values so that equal ones are equal bytes and different ones are not:
// every part has its length before it.
type canon struct {
	h       hash.Hash
	scratch []byte
	length  [8]byte
}

type namedValue struct {
	name []byte
	v    value
}

func (c *canon) part(b []byte) {
	binary.BigEndian.PutUint64(c.length[:], uint64(len(b)))
	c.h.Write(c.length[:])
	c.h.Write(b)
}

// word is part for words of ours, and for the marks that keep kinds apart.
func (c *canon) word(s string) {
	c.scratch = append(c.scratch[:0], s...)
	c.part(c.scratch)
}

// object writes members by name. At the top the request's own rules hold.
func (c *canon) object(v value, top bool) {
	var room [24]namedValue
	members := room[:0]
	w := v.walk()
	for {
		name, item, ok := w.next()
		if !ok {
			break
		}
		if top && (string(name) == "idempotency_key" || item.isNull()) {
			continue
		}
		members = append(members, namedValue{name, item})
	}
	c.members(members, top)
}

// members sorts them and writes them.
func (c *canon) members(members []namedValue, top bool) {
	slices.SortFunc(members, func(a, b namedValue) int { return bytes.Compare(a.name, b.name) })
	for _, m := range members {
		switch {
		case top && string(m.name) == "headers" && m.v.kind() == '{':
			c.headers(m.v)
		case top && string(m.name) == "attachments" && m.v.kind() == '[':
			c.part(m.name)
			c.attachments(m.v)
		default:
			c.part(m.name)
			c.value(m.v)
		}
	}
	c.word("}")
}

// headers are a member only when something but the key stands there.
func (c *canon) headers(v value) {
	var kept []byte
	w := v.walk()
	for {
		name, item, ok := w.next()
		if !ok {
			break
		}
		if isKeyHeader(string(name)) {
			continue
		}
		kept = append(kept, ',')
		kept, _ = jsontext.AppendQuote(kept, string(name))
		kept = append(append(kept, ':'), item...)
	}
	if kept == nil {
		return
	}
	kept[0] = '{'
	c.word("headers")
	c.value(append(kept, '}'))
}

// attachments are compared by their bytes, not by how their base64 was written.
func (c *canon) attachments(v value) {
	w := v.walk()
	for {
		_, item, ok := w.next()
		if !ok {
			break
		}
		if item.kind() != '{' {
			c.value(item)
			continue
		}
		short := []byte{'{'}
		members := item.walk()
		for {
			name, m, ok := members.next()
			if !ok {
				break
			}
			if len(short) > 1 {
				short = append(short, ',')
			}
			short, _ = jsontext.AppendQuote(short, string(name))
			short = append(short, ':')
			if string(name) == "content" && m.kind() == '"' {
				short = append(append(append(short, '"'), contentHash(m.raw())...), '"')
			} else {
				short = append(short, m...)
			}
		}
		c.value(append(short, '}'))
	}
	c.word("]")
}

// contentHash is the SHA-256 of what base64 stands for, or of the text when it is none.
func contentHash(b64 []byte) string {
	h := sha256.New()
	trimmed := bytes.TrimRight(b64, "= \r\n\t")
	if _, err := io.Copy(h, base64.NewDecoder(base64.RawStdEncoding, bytes.NewReader(trimmed))); err != nil {
		h.Reset()
		h.Write([]byte("not base64"))
		h.Write(b64)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// value writes any value in its canonical form (RFC 8785).
func (c *canon) value(v value) {
	if v.kind() == '"' {
		c.word(`"`)
		c.part(v.raw())
		return
	}
	c.word("#")
	c.scratch = append(c.scratch[:0], v...)
	t := jsontext.Value(c.scratch)
	if t.Canonicalize() != nil { // cannot be: it was found valid
		t = jsontext.Value(v)
	}
	c.part(t)
}

// truth reads a switch in a query: "true" or "1".
func truth(s string) bool { return strings.EqualFold(s, "true") || s == "1" }
