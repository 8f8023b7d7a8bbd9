package v1

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/submit"
)

// form is a small JSON body of a management request, read with the same care as a
// message: all faults at once, unknown fields named.
type form struct {
	findings
	c    *httpapi.Call
	body value // nil: there was none
	q    url.Values
	key  string
}

// readForm reads the body; each is called for every known member, null included.
// False: it has answered. An empty body is one without members.
func (a *API) readForm(c *httpapi.Call, fields []string, each func(f *form, name string, v value)) (*form, bool) {
	f := &form{c: c, q: c.R.URL.Query()}
	keys := httpapi.KeysOf(c.R.Header)
	if !c.Blank() {
		body, fault := readObject(c.Body)
		if fault != nil {
			return nil, c.Refuse(fault)
		}
		f.body = body
		for w := body.walk(); ; {
			name, v, ok := w.next()
			if !ok {
				break
			}
			f.member(&keys, fields, name, v, each)
		}
	}
	if c.R.Method == http.MethodPost {
		key, fault := keys.Key()
		if fault != nil {
			return nil, c.Refuse(fault)
		}
		f.key = key
	}
	if truth(f.q.Get("strict")) || c.Who.Project != nil && c.Who.Project.Settings.StrictFields {
		for _, u := range f.unknown {
			f.faults = append(f.faults, submit.UnknownField(u))
		}
		f.unknown = nil
	}
	return f, true
}

func (f *form) member(keys *httpapi.Keys, fields []string, name []byte, v value, each func(f *form, name string, v value)) {
	n := string(name)
	switch {
	case slices.Contains(fields, n):
		each(f, n, v)
	case n == "idempotency_key":
		if key, ok := f.text(n, v); ok {
			keys.Add(key)
		}
	default:
		f.unknownField("", name, fields)
	}
}

// begin is the turn of a POST: look-up, then limits. False: it has answered.
func (f *form) begin() (httpapi.Turn, bool) {
	var print [32]byte
	if f.key != "" {
		print = fingerprint(f.c.R.Method, f.c.R.URL.Path, f.q, f.body)
	}
	return f.c.Begin(f.c.R.Method+" "+f.c.R.URL.Path, f.key, print)
}

// start is begin where nothing is left to look at before the work: faults are answered,
// and then there is no turn to leave. False: it has answered.
func (f *form) start() (httpapi.Turn, bool) {
	turn, ok := f.begin()
	if !ok || !f.failed() {
		return turn, ok
	}
	turn.Leave()
	return httpapi.Turn{}, false
}

// failed answers the faults found, if there are any.
func (f *form) failed() bool {
	if len(f.faults) > 0 {
		f.c.Fail(f.faults)
		return true
	}
	return false
}

// allWarnings is what the answer tells of; never nil.
func (f *form) allWarnings() []mail.Warning {
	return append(append([]mail.Warning{}, f.unknown...), f.warnings...)
}
