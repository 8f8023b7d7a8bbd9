package hyvor

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postroad/postroad/internal/httpapi"
)

// fields are the members of a request's object by name; the values borrow the body.
// Unknown ones are nobody's business, and of a name that stands there twice the last counts.
type fields map[string]jsontext.Value

// readFields reads a call's body. No body, and PHP's empty array, are an empty object.
func readFields(c *httpapi.Call) (fields, error) {
	if c.Blank() {
		return fields{}, nil
	}
	v, err := readValue(c.Body)
	if err != nil {
		return nil, err
	}
	if v.Kind() == '[' && len(bytes.TrimSpace(v[1:len(v)-1])) == 0 {
		return fields{}, nil
	}
	if v.Kind() != '{' {
		return nil, bad("The request body must be a JSON object.")
	}
	f := fields{}
	err = members(v, func(name string, v jsontext.Value) error {
		f[name] = v
		return nil
	})
	return f, err
}

var lenient = jsontext.AllowDuplicateNames(true)

// readValue checks that a body is one JSON value and gives it, without copying.
func readValue(body []byte) (jsontext.Value, error) {
	dec := jsontext.NewDecoder(bytes.NewBuffer(body), lenient)
	v, err := dec.ReadValue()
	if err != nil {
		return nil, malformed(err)
	}
	end := dec.InputOffset()
	if rest := bytes.TrimSpace(body[end:]); len(rest) > 0 {
		return nil, bad("The request body is not valid JSON: something follows its end at byte %d.", end)
	}
	return jsontext.Value(body[end-int64(len(v)) : end]), nil
}

func malformed(err error) error {
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		return bad("The request body is not valid JSON (at byte %d).", syntax.ByteOffset)
	}
	return bad("The request body is not valid JSON.")
}

// members walks an object that readValue found valid; the values borrow it.
func members(object jsontext.Value, each func(name string, v jsontext.Value) error) error {
	return walk(object, func(dec *jsontext.Decoder, at func() (jsontext.Value, error)) error {
		name, err := at()
		if err != nil {
			return err
		}
		v, err := at()
		if err != nil {
			return err
		}
		return each(text(name), v)
	})
}

// elements walks an array likewise.
func elements(array jsontext.Value, each func(i int, v jsontext.Value) error) error {
	i := -1
	return walk(array, func(dec *jsontext.Decoder, at func() (jsontext.Value, error)) error {
		v, err := at()
		if err != nil {
			return err
		}
		i++
		return each(i, v)
	})
}

func walk(outer jsontext.Value, step func(dec *jsontext.Decoder, at func() (jsontext.Value, error)) error) error {
	dec := jsontext.NewDecoder(bytes.NewBuffer(outer), lenient)
	if _, err := dec.ReadToken(); err != nil {
		return malformed(err)
	}
	at := func() (jsontext.Value, error) {
		v, err := dec.ReadValue()
		if err != nil {
			return nil, malformed(err)
		}
		end := dec.InputOffset()
		return outer[end-int64(len(v)) : end], nil
	}
	for {
		switch dec.PeekKind() {
		case '}', ']':
			return nil
		case 0:
			_, err := dec.ReadToken()
			return malformed(err)
		}
		if err := step(dec, at); err != nil {
			return err
		}
	}
}

// text is a JSON string's meaning.
func text(v jsontext.Value) string {
	b, _ := jsontext.AppendUnquote(nil, v) // it was found valid
	return string(b)
}

// given tells whether a field is there and not null.
func (f fields) given(name string) bool {
	v, ok := f[name]
	return ok && v.Kind() != 'n'
}

// textOf reads a text that may be left out or null: "" then.
func (f fields) textOf(name string, bad *faults) (string, bool) {
	if !f.given(name) {
		return "", false
	}
	if f[name].Kind() != '"' {
		bad.add(name, textString)
		return "", false
	}
	return text(f[name]), true
}

// numberOf reads an integer that may be left out or null.
func (f fields) numberOf(name string, bad *faults) (int64, bool) {
	if !f.given(name) {
		return 0, false
	}
	n, err := strconv.ParseInt(string(f[name]), 10, 64)
	if f[name].Kind() != '0' || err != nil {
		bad.add(name, textInt)
		return 0, false
	}
	return n, true
}

// textsOf reads a list of texts; given is false when it is left out or null.
func (f fields) textsOf(name string, bad *faults) (list []string, given bool) {
	if !f.given(name) {
		return nil, false
	}
	if f[name].Kind() != '[' {
		bad.add(name, textArray)
		return nil, false
	}
	list = []string{}
	_ = elements(f[name], func(i int, v jsontext.Value) error {
		if v.Kind() != '"' {
			bad.add(fmt.Sprintf("%s[%d]", name, i), textString)
			return nil
		}
		list = append(list, text(v))
		return nil
	})
	return list, true
}

// numbers reads a list of integers.
func numbers(v jsontext.Value, wrong *faults) (list []int64, err error) {
	if v.Kind() != '[' {
		wrong.add("recipient_ids", textArray)
		return nil, nil
	}
	err = elements(v, func(i int, v jsontext.Value) error {
		n, err := strconv.ParseInt(string(v), 10, 64)
		if v.Kind() != '0' || err != nil {
			wrong.add(fmt.Sprintf("recipient_ids[%d]", i), textInt)
			return nil
		}
		list = append(list, n)
		return nil
	})
	return list, err
}

// orQuery adds what a query says to a body's fields, where the body does not.
func (f fields) orQuery(q url.Values, names ...string) fields {
	for _, name := range names {
		if v := q.Get(name); v != "" && !f.given(name) {
			if _, err := strconv.ParseInt(v, 10, 64); err == nil && name == "id" {
				f[name] = jsontext.Value(v)
				continue
			}
			quoted, err := jsontext.AppendQuote(nil, strings.ToValidUTF8(v, "\uFFFD"))
			if err == nil {
				f[name] = quoted
			}
		}
	}
	return f
}

// The bounds of a list. Theirs has no maximum.
const (
	pageDefault = 50
	pageMost    = 1000
)

// page reads limit and offset. What is no number is a fault; what is too large is lowered.
func page(q url.Values) (limit, offset int, err error) {
	var bad faults
	limit, offset = pageDefault, 0
	for _, p := range []struct {
		name string
		into *int
		most int
	}{{"limit", &limit, pageMost}, {"offset", &offset, 1 << 30}} {
		v := q.Get(p.name)
		if v == "" {
			continue
		}
		n, err := strconv.Atoi(v)
		switch {
		case err != nil && !isDigits(v) || n < 0:
			bad.add(p.name, textInt)
		case err != nil || n > p.most:
			*p.into = p.most
		default:
			*p.into = n
		}
	}
	return limit, offset, bad.err()
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// number reads a path's id: 400 when it is none.
func number(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return 0, bad(textBadID)
	}
	return n, nil
}

// moment reads a time of a filter: RFC 3339, "2026-04-19", "2026-04-19 14:30:00" in UTC, or
// unix seconds. last is the last second it can mean: a day without a time is all of it.
func moment(s string) (first, last time.Time, ok bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if n < 0 || n > maxUnix {
			return first, last, false
		}
		t := time.Unix(n, 0).UTC()
		return t, t, true
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil && sane(t) {
		return t, t.Add(24*time.Hour - time.Second), true
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateTime, "2006-01-02 15:04"} {
		if t, err := time.Parse(layout, s); err == nil && sane(t) {
			return t.UTC(), t.UTC(), true
		}
	}
	return first, last, false
}

const maxUnix = 253402300799 // the last second of the year 9999

func sane(t time.Time) bool { return t.Unix() >= 0 && t.Unix() <= maxUnix }

// entity is the refusal for a number of another's or of nobody.
func (a *API) entity(c *httpapi.Call, what Thing, row int64) error {
	owner, err := a.o.Store.Whose(c.Context(), what, row)
	if err != nil {
		return err
	}
	if owner.Project != c.Who.Owner.Project {
		return forbidden(textForeign)
	}
	return &refusal{Status: http.StatusNotFound, Message: textNotFound} // the other environment's
}
