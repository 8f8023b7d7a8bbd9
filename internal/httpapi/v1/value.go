package v1

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postroad/postroad/internal/mail"
)

// maxDepth is how deep a body may be nested.
const maxDepth = 32

// value is one JSON value in a body that [readObject] has found valid: the walkers below
// rely on that and check nothing again. It borrows the body.
type value []byte

// readObject checks that a body is one JSON object as RFC 8259 and I-JSON want it
// (UTF-8, no lone surrogates, no name twice), not nested beyond maxDepth.
func readObject(body []byte) (value, *mail.Error) {
	if deep(body) {
		return nil, badJSON("", "The body is nested deeper than "+strconv.Itoa(maxDepth)+" levels.")
	}
	v, end, err := validate(body)
	if err == nil {
		if len(bytes.TrimLeft(body[end:], " \t\r\n")) > 0 {
			return nil, badJSON("", "Something follows the JSON object at byte "+strconv.FormatInt(end, 10)+".")
		}
		if v.Kind() != '{' {
			return nil, badJSON("", "The body must be a JSON object: { … }.")
		}
		return value(v), nil
	}
	if errors.Is(err, io.EOF) {
		return nil, badJSON("", "The body is empty. Send a JSON object.")
	}
	var syntax *jsontext.SyntacticError
	if !errors.As(err, &syntax) {
		return nil, badJSON("", "The body is not valid JSON.")
	}
	pointer := ""
	if syntax.JSONPointer != "" {
		pointer = "#" + clip(strings.ToValidUTF8(string(syntax.JSONPointer), "\uFFFD"), 200)
	}
	if errors.Is(syntax.Err, jsontext.ErrDuplicateName) {
		return nil, badJSON(pointer, "The name at "+pointer+" stands there twice.")
	}
	if errors.Is(syntax.Err, io.ErrUnexpectedEOF) {
		return nil, badJSON(pointer, "The JSON ends too early, at byte "+strconv.FormatInt(syntax.ByteOffset, 10)+".")
	}
	return nil, badJSON(pointer, fmt.Sprintf("Not valid JSON at byte %d: %s.", syntax.ByteOffset, clip(strings.ToValidUTF8(syntax.Err.Error(), "\uFFFD"), 200)))
}

// validator checks JSON; it is used again because it remembers names in maps.
type validator struct {
	dec *jsontext.Decoder
	in  bytes.Buffer
}

var validators = sync.Pool{New: func() any { return &validator{dec: jsontext.NewDecoder(&bytes.Buffer{})} }}

// keptValidator is the largest body after which a validator is used again.
const keptValidator = 64 << 10

// validate gives the first value of a body, which is borrowed, and where it ends.
func validate(body []byte) (v jsontext.Value, end int64, err error) {
	d := validators.Get().(*validator)
	d.in = *bytes.NewBuffer(body)
	d.dec.Reset(&d.in) // reads the buffer in place
	v, err = d.dec.ReadValue()
	end = d.dec.InputOffset()
	v = body[max(end-int64(len(v)), 0):end]
	if len(body) <= keptValidator {
		d.in = bytes.Buffer{} // holds on to nobody's body
		d.dec.Reset(&d.in)
		validators.Put(d)
	}
	return v, end, err
}

func badJSON(pointer, message string) *mail.Error {
	return &mail.Error{Code: "invalid_json", Status: 400, Pointer: pointer, Message: message}
}

// deep tells whether brackets outside of strings nest beyond maxDepth. It runs before
// anything is known of the body.
func deep(b []byte) bool {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i = stringEnd(b, i) - 1
		case '{', '[':
			if depth++; depth > maxDepth {
				return true
			}
		case '}', ']':
			depth--
		}
	}
	return false
}

// stringEnd gives the index behind the closing quote of the string that begins at i, or
// len(b) when there is none.
func stringEnd(b []byte, i int) int {
	for i++; i < len(b); i++ {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return len(b)
		}
		i += n
		slashes := 0
		for b[i-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return i + 1
		}
	}
	return len(b)
}

// valueEnd gives the index behind the value that begins at i.
func valueEnd(b []byte, i int) int {
	switch b[i] {
	case '"':
		return stringEnd(b, i)
	case '{', '[':
		depth := 0
		for ; i < len(b); i++ {
			switch b[i] {
			case '"':
				i = stringEnd(b, i) - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
		return i
	}
	for i < len(b) && !bytes.ContainsRune([]byte(",}] \t\r\n"), rune(b[i])) {
		i++
	}
	return i
}

// walk goes through the members of an object or the items of an array.
type walk struct {
	b      []byte
	i      int
	object bool
}

func (v value) walk() walk { return walk{b: v, i: 1, object: v[0] == '{'} }

func (w *walk) space() {
	for w.i < len(w.b) && (w.b[w.i] <= ' ' || w.b[w.i] == ',' || w.b[w.i] == ':') {
		w.i++
	}
}

// next gives the next item, of objects with its name as it stands between its quotes.
func (w *walk) next() (name []byte, v value, ok bool) {
	if w.space(); w.i >= len(w.b)-1 {
		return nil, nil, false
	}
	if w.object {
		end := stringEnd(w.b, w.i)
		name = w.b[w.i+1 : end-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			name, _ = jsontext.AppendUnquote(nil, w.b[w.i:end])
		}
		w.i = end
		w.space()
	}
	end := valueEnd(w.b, w.i)
	v = value(w.b[w.i:end])
	w.i = end
	return name, v, true
}

// kind is 'n', 't', 'f', '"', '0', '{' or '['.
func (v value) kind() byte {
	if c := v[0]; c != '-' && (c < '0' || c > '9') {
		return c
	}
	return '0'
}

func (v value) isNull() bool { return v[0] == 'n' }

// text is the string a string value stands for.
func (v value) text() string {
	in := v[1 : len(v)-1]
	if bytes.IndexByte(in, '\\') < 0 {
		return string(in)
	}
	out, _ := jsontext.AppendUnquote(make([]byte, 0, len(in)), v)
	return string(out)
}

// raw is text as bytes, borrowed from the body where nothing in it is escaped.
func (v value) raw() []byte {
	in := v[1 : len(v)-1]
	if bytes.IndexByte(in, '\\') < 0 {
		return in
	}
	out, _ := jsontext.AppendUnquote(make([]byte, 0, len(in)), v)
	return out
}

// kindName says what a value is, for people.
func (v value) kindName() string {
	switch v.kind() {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '{':
		return "an object"
	}
	return "an array"
}

// clip keeps what is shown of a caller's words short.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
