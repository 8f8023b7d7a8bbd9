package v1

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
)

const (
	defaultLimit = 25
	maxLimit     = 200
)

// listing is what every list has in common: its parameters read, its page cut.
type listing struct {
	c         *httpapi.Call
	q         url.Values
	now       time.Time
	known     []string
	may       []string // what may be included
	included  []string
	scope     scope
	Limit     int
	Ascending bool
	After     int64
	fault     *mail.Error
}

// list reads the parameters every list has. known are those of this one; those written
// "include=total" say what may be asked for besides.
func (a *API) list(c *httpapi.Call, known ...string) *listing {
	l := &listing{c: c, q: c.R.URL.Query(), now: c.Arrived, Limit: defaultLimit}
	for _, name := range known {
		if what, ok := strings.CutPrefix(name, "include="); ok {
			l.may = append(l.may, what)
		} else {
			l.known = append(l.known, name)
		}
	}
	if _, err := url.ParseQuery(c.R.URL.RawQuery); err != nil {
		l.invalid("", "The query could not be read: percent signs stand for bytes, e.g. %40.")
		return l
	}
	if v, given := l.value("limit"); given {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			l.invalid("limit", "'limit' is a number from 1 to 200.")
		}
		l.Limit = min(max(n, 1), maxLimit)
	}
	switch v, given := l.value("order"); {
	case !given, v == "desc":
	case v == "asc":
		l.Ascending = true
	default:
		l.invalid("order", "'order' is 'asc' or 'desc'.")
	}
	l.readIncluded()
	l.scope = scope{owner: c.Who.Owner, list: c.R.URL.Path, filter: filterText(l.q)}
	if v, given := l.value("cursor"); given && l.fault == nil {
		l.After, l.fault = a.cursors.read(l.scope, v, l.now)
	}
	return l
}

// filterText is what of a query a cursor is bound to.
func filterText(q url.Values) string {
	rest := url.Values{}
	for name, v := range q {
		switch name {
		case "cursor", "limit", "include", "wait":
		default:
			rest[name] = v
		}
	}
	return rest.Encode()
}

func (l *listing) invalid(field, message string) {
	if l.fault == nil {
		l.fault = &mail.Error{Code: "invalid_parameter", Status: 400, Field: field, Message: message}
	}
}

// value gives a parameter; an empty one counts as not given. NULs are a fault.
func (l *listing) value(name string) (string, bool) {
	v := l.q[name]
	if len(v) == 0 || v[0] == "" {
		return "", false
	}
	if strings.IndexByte(v[0], 0) >= 0 || len(v[0]) > 2000 {
		l.invalid(name, "'"+name+"' is too long or holds a NUL character.")
		return "", false
	}
	return v[0], true
}

func (l *listing) text(name string) string { v, _ := l.value(name); return v }

// time reads a time under any of its names; two names that differ are a fault.
func (l *listing) time(names ...string) time.Time {
	var found string
	var out time.Time
	for _, name := range names {
		v, given := l.value(name)
		if !given {
			continue
		}
		if found != "" && v != found {
			l.invalid(name, "'"+name+"' and '"+names[0]+"' are the same parameter. Give one.")
		}
		t, ok := filterTime(v, l.now)
		if !ok {
			l.invalid(name, "'"+name+"' is a time (2026-04-20T09:00:00Z), a date, unix seconds, 'now', or relative: '-24h', '-7d'.")
		}
		found, out = v, t
	}
	return out
}

// id reads an identifier.
func (l *listing) id(name, prefix string) mail.ID {
	v, given := l.value(name)
	if !given {
		return mail.ID{}
	}
	id, err := mail.ParseID(prefix, v)
	if err != nil {
		l.invalid(name, "'"+name+"' is an id that begins with '"+prefix+"_'.")
	}
	return id
}

// failed answers the first fault of the parameters, if there is one.
func (l *listing) failed() bool {
	if l.fault != nil {
		l.c.Fail(l.fault)
		return true
	}
	return false
}

// warnings name parameters nobody knows: a mistyped filter must not be silent.
func (l *listing) warnings() []mail.Warning {
	var out []mail.Warning
	all := append([]string{"limit", "cursor", "order", "include"}, l.known...)
	for name := range l.q {
		if slices.Contains(all, name) || strings.HasPrefix(name, "metadata[") && slices.Contains(l.known, "metadata") || len(out) == maxUnknown {
			continue
		}
		message := "There is no parameter '" + clip(strings.ToValidUTF8(name, "\uFFFD"), 64) + "'. It was ignored."
		if near := nearest(name, all); near != "" {
			message = "Did you mean '" + near + "'?"
		}
		out = append(out, mail.Warning{Code: "unknown_parameter", Message: message})
	}
	return out
}

// page answers a list. data has at most Limit+1 entries, read so that one more tells
// whether the list goes on; next is the row of the last one shown.
func page[T any](a *API, l *listing, data []T, count counter, row func(*T) int64) {
	total, err := l.total(count)
	if err != nil {
		l.c.Fail(err)
		return
	}
	out := listOut[T]{Object: "list", Data: data, Total: total, URL: l.c.R.URL.Path, Warnings: l.warnings()}
	if len(data) > l.Limit {
		out.Data, out.HasMore = data[:l.Limit], true
		out.NextCursor = a.next(l, row(&data[l.Limit-1]))
	}
	if out.Data == nil {
		out.Data = []T{}
	}
	give(l.c, http.StatusOK, out)
}

// pageOf is page of what a store gave, each entry in the shape it is shown in; or the
// store's error.
func pageOf[In, Out any](a *API, l *listing, all []In, err error, count counter, shape func(*In) Out, row func(*Out) int64) {
	if err != nil {
		l.c.Fail(err)
		return
	}
	out := make([]Out, len(all))
	for i := range all {
		out[i] = shape(&all[i])
	}
	page(a, l, out, count, row)
}

// next makes the cursor of a list that goes on behind a row, and its Link header.
func (a *API) next(l *listing, row int64) *string {
	cursor := a.cursors.make(l.scope, row, l.now)
	q := url.Values{}
	for name, v := range l.q {
		q[name] = v
	}
	q.Set("cursor", cursor)
	l.c.W.Header().Set("Link", "<"+a.o.Door.PublicURL()+l.c.R.URL.EscapedPath()+"?"+q.Encode()+`>; rel="next"`)
	return &cursor
}

// listOut is the envelope of every list.
type listOut[T any] struct {
	Object     string         `json:"object"`
	Data       []T            `json:"data"`
	HasMore    bool           `json:"has_more"`
	NextCursor *string        `json:"next_cursor"`
	Total      *totalOut      `json:"total,omitempty"` // where it was asked for
	URL        string         `json:"url"`
	Warnings   []mail.Warning `json:"warnings,omitempty"`
}

// pageWhole answers a list that is short enough to be given in one.
func pageWhole[T any](a *API, l *listing, data []T) {
	l.Limit = max(l.Limit, len(data))
	page(a, l, data, allOf(len(data)), func(*T) int64 { return 0 })
}
