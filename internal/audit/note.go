package audit

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/postroad/postroad/internal/mail"
)

// Entry is one change of the configuration.
type Entry struct {
	ID        mail.ID
	Row       int64
	At        time.Time
	Owner     mail.Owner // of the caller: its project, and the environment of its key
	Actor     string     // "key_…", "usr_…" or "operator"
	ActorName string
	Session   string // "ses_…" when it was made in the console
	IP        string
	Agent     string
	RequestID string
	Action    string // "api_keys.create"
	Target    string // id of what was changed, "" where the action names it already
	Changes   []Change
}

// Change is one member that is different now. What did not exist is null.
type Change struct {
	Field string         `json:"field"`
	From  jsontext.Value `json:"from"`
	To    jsontext.Value `json:"to"`
}

// Note is an entry on its way: it is written with the first change made in its context.
type Note struct {
	mu      sync.Mutex
	entry   Entry
	written bool
}

type noteKey struct{}

// Begin gives a context whose first write is written down as e.
func Begin(ctx context.Context, e Entry) context.Context {
	return context.WithValue(ctx, noteKey{}, &Note{entry: e})
}

// Without gives a context whose writes are not written down: they prepare the change, or
// would be made anyway.
func Without(ctx context.Context) context.Context {
	return context.WithValue(ctx, noteKey{}, (*Note)(nil))
}

// From gives the context's note, nil when there is none or it was written already.
func From(ctx context.Context) *Note {
	n, _ := ctx.Value(noteKey{}).(*Note)
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.written {
		return nil
	}
	return n
}

// Entry is what is to be written.
func (n *Note) Entry() Entry {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.entry
}

// Written is the engine's word that the entry is on disk.
func (n *Note) Written() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.written = true
}

// Changed says what is about to be changed: target is the public id of the thing, before and
// after are its shapes as they marshal to JSON objects; nil stands for "is not there". Only
// members that differ are kept, those with telling names without their values. Without a
// note in ctx nothing happens.
func Changed(ctx context.Context, target string, before, after any) {
	n := From(ctx)
	if n == nil {
		return
	}
	changes := Diff(before, after)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.entry.Target, n.entry.Changes = target, changes
}

// Bounds of what an entry keeps.
const (
	maxChanges = 100
	maxValue   = 2 << 10 // bytes of one value; longer ones are told by their length only
)

// Diff lists the members that differ, in the order of their names.
func Diff(before, after any) (out []Change) {
	from, to := members(before), members(after)
	var names []string
	for name := range from {
		names = append(names, name)
	}
	for name := range to {
		if _, both := from[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		a, b := from[name], to[name]
		if bytes.Equal(a, b) || len(out) == maxChanges {
			continue
		}
		out = append(out, Change{name, shown(name, a), shown(name, b)})
	}
	return out
}

// members reads a shape's members in canonical form; null ones count as absent.
func members(v any) map[string]jsontext.Value {
	if v == nil {
		return nil
	}
	text, err := json.Marshal(v, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return nil
	}
	var out map[string]jsontext.Value
	if json.Unmarshal(text, &out, jsontext.AllowInvalidUTF8(true)) != nil {
		return nil
	}
	for name, v := range out {
		if v.Kind() == 'n' {
			delete(out, name)
		}
	}
	return out
}

// telling are parts of names whose values must not be kept.
var telling = []string{"secret", "password", "hash", "sealed", "private", "token", "authorization"}

var (
	null     = jsontext.Value(`null`)
	redacted = jsontext.Value(`"[redacted]"`)
	tooLong  = jsontext.Value(`"[too long to be kept]"`)
)

func shown(name string, v jsontext.Value) jsontext.Value {
	name = strings.ToLower(name)
	switch {
	case v == nil:
		return null
	case slices.ContainsFunc(telling, func(part string) bool { return strings.Contains(name, part) }):
		return redacted
	case len(v) > maxValue:
		return tooLong
	}
	return redactInside(v)
}

// redactInside blanks telling members of objects and lists within a value.
func redactInside(v jsontext.Value) jsontext.Value {
	var object map[string]jsontext.Value
	var list []jsontext.Value
	switch v.Kind() {
	case '{':
		if json.Unmarshal(v, &object) != nil {
			return redacted
		}
		for name, inner := range object {
			object[name] = shown(name, inner)
		}
		v, _ = json.Marshal(object, json.Deterministic(true))
	case '[':
		if json.Unmarshal(v, &list) != nil {
			return redacted
		}
		for i, inner := range list {
			list[i] = shown("", inner)
		}
		v, _ = json.Marshal(list)
	}
	return v
}
