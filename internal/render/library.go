package render

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/recent"
)

// What is known of templates is asked for with every message. What this node changes
// holds at once. Versions never change and are compiled once.
const (
	freshTime    = time.Second // another node's publishing is seen within it
	headsKept    = 20_000
	compiledSize = 64 << 20 // bytes of sources whose trees are kept
)

// LibraryOptions are the parts a [Library] is built from.
type LibraryOptions struct {
	Store Store
	Now   func() time.Time // nil: time.Now
	Log   *slog.Logger     // nil: silent
}

// Library keeps the templates of projects and renders them. It implements [Templates].
type Library struct {
	store Store
	now   func() time.Time
	log   *slog.Logger

	heads *recent.Memory[headKey, head]

	mu       sync.RWMutex
	changes  uint64 // counts forgettings
	compiled map[compiledKey]*compiled
	size     int64 // of what is compiled
}

// headKey is what a template is asked for by: alias, or id as text.
type headKey struct {
	project int64
	ref     string
}

// head is a template as it was read.
type head struct {
	template *Template // nil: there is none
	nearest  string    // then: the alias that was probably meant
}

type compiledKey struct {
	template int64
	number   int
}

// NewLibrary makes a Library.
func NewLibrary(o LibraryOptions) *Library {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Library{store: o.Store, now: o.Now, log: o.Log, heads: recent.New[headKey, head](headsKept), compiled: map[compiledKey]*compiled{}}
}

// head gives a template by alias or id as it was a moment ago. What it points to is
// shared. Its error is the store's.
func (l *Library) head(ctx context.Context, project int64, ref string) (head, error) {
	return l.heads.Get(headKey{project, ref}, l.now(), func(*head) (head, time.Duration, error) {
		switch t, err := l.find(ctx, project, ref); {
		case err == nil && t.ArchivedAt.IsZero():
			return head{template: &t}, freshTime, nil
		case err == nil || errors.Is(err, mail.ErrNotFound):
			return head{nearest: l.nearest(ctx, project, ref)}, freshTime, nil
		default:
			return head{}, 0, err
		}
	})
}

// find asks the store. Aliases never look like ids.
func (l *Library) find(ctx context.Context, project int64, ref string) (Template, error) {
	if id, err := mail.ParseID(mail.PrefixTemplate, ref); err == nil {
		return l.store.TemplateByID(ctx, project, id)
	}
	if !validAlias(ref) {
		return Template{}, mail.ErrNotFound
	}
	return l.store.TemplateByAlias(ctx, project, ref)
}

// nearest gives the alias that was probably meant; not knowing is no error.
func (l *Library) nearest(ctx context.Context, project int64, ref string) string {
	all, err := l.store.Templates(ctx, Query{Project: project, Limit: 1000})
	if err != nil {
		return ""
	}
	aliases := make([]string, len(all))
	for i := range all {
		aliases[i] = all[i].Alias
	}
	return mail.NearestName(ref, aliases)
}

// forget makes a change of a template hold at once on this node: for its project, as
// others may be named by the alias it had.
func (l *Library) forget(t *Template) {
	l.heads.ForgetAll(func(key headKey) bool { return key.project == t.Project })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changes++
	for key, c := range l.compiled {
		if key.template == t.Row && c.draft { // it may have been published, with its styles inlined
			l.drop(key)
		}
	}
}

// version gives a version ready for rendering: from memory, or from the store. Its
// errors are mail.ErrNotFound and the store's.
func (l *Library) version(ctx context.Context, t *Template, number int) (*compiled, error) {
	key := compiledKey{t.Row, number}
	l.mu.RLock()
	c, change := l.compiled[key], l.changes
	l.mu.RUnlock()
	if c != nil && (!c.draft || l.now().Before(c.until)) {
		return c, nil
	}
	v, err := l.store.TemplateVersion(ctx, t.Row, number)
	if err != nil {
		return nil, err
	}
	c = compile(t, &v)
	c.until = l.now().Add(freshTime)
	l.keep(key, change, c)
	return c, nil
}

// keep remembers a compiled version, and makes room.
func (l *Library) keep(key compiledKey, change uint64, c *compiled) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changes != change || c.size > compiledSize/4 {
		return
	}
	l.drop(key)
	for other := range l.compiled {
		if l.size+c.size <= compiledSize {
			break
		}
		l.drop(other)
	}
	l.compiled[key] = c
	l.size += c.size
}

func (l *Library) drop(key compiledKey) {
	if c := l.compiled[key]; c != nil {
		l.size -= c.size
		delete(l.compiled, key)
	}
}
