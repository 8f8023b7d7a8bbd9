package render

import (
	"context"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/template"
)

// Template is what messages are rendered from: a name, and numbered versions of content.
// Templates belong to a project and serve both its environments.
type Template struct {
	ID          mail.ID
	Row         int64
	Project     int64
	Alias       string // what requests name; unique among those that are not archived
	Name        string
	Description string
	Engine      template.Engine // never changes
	DefaultFrom string
	Layout      string    // alias of the template this one is shown inside of; "" = none
	Published   int       // the version that is sent; 0 = none
	Draft       int       // the newest draft; 0 = none
	Latest      int       // the highest number given out
	CreatedAt   time.Time //
	UpdatedAt   time.Time
	UpdatedBy   string
	ArchivedAt  time.Time  // zero: it can be used
	Variables   []Variable // of the published version, else of the draft; as of its saving
	Revision    int64      // counts changes; the ETag
}

// Where a version stands:
//
//	draft ──▶ published ──▶ archived
//	  └────────────────────────▲
//
// draft: made, can be sent by test keys only. published: what a request without a version
// gets; one of a template at a time. archived: another was published since, or a newer
// draft was published instead. Content never changes; only a draft leaves its state by
// publishing, an archived version comes back by a rollback, under a new number.
const (
	VersionDraft     = "draft"
	VersionPublished = "published"
	VersionArchived  = "archived"
)

// Parts are the sources of what one message has in one language.
type Parts struct {
	Subject   string `json:"subject,omitzero"`
	HTML      string `json:"html,omitzero"`
	Text      string `json:"text,omitzero"`      // "": made from the HTML
	Preheader string `json:"preheader,omitzero"` // what inboxes show beside the subject
}

// Version is subject, HTML, text and preheader of a template together, in all languages.
type Version struct {
	Number int
	State  string
	Parts
	Locales  map[string]Parts // by locale, as [Locale] writes it
	Declared []Variable       // what its author says of variables
	// InlineCSS: Inlined has the HTML that is sent, by locale ("" = the default): the same
	// with the rules of its style elements moved to the elements.
	InlineCSS   bool
	Inlined     map[string]string
	Note        string
	SHA256      [32]byte   // of the parts
	Variables   []Variable // inferred when it was saved, with what Declared adds
	CreatedAt   time.Time
	CreatedBy   string
	PublishedAt time.Time // zero: never
	PublishedBy string
}

// Variable is one piece of data a version asks for.
type Variable struct {
	Name     string         `json:"name"` // user.name; items[].price for a member of each item
	Type     string         `json:"type"`
	Required bool           `json:"required"`
	Default  jsontext.Value `json:"default,omitzero"` // used when the data has no such name at its top
	Example  jsontext.Value `json:"example,omitzero"`
}

// Store keeps templates.
type Store interface {
	// CreateTemplate keeps a template with its first version. A taken alias is
	// mail.ErrExists, a used once key *mail.Replayed.
	CreateTemplate(ctx context.Context, t Template, first Version, once *mail.Once, answer func(Template) mail.Answer) (Template, error)
	// ChangeTemplate makes a change true at once, or nothing of it: mail.ErrStale when the
	// template is not at the Revision of Change.Template any more, mail.ErrNotFound when it
	// is archived, mail.ErrExists when its new alias is taken.
	ChangeTemplate(ctx context.Context, c Change) (Template, error)
	// ArchiveTemplate takes a template out of use; its alias becomes free. Without force it is
	// mail.ErrExists while scheduled messages were rendered from it.
	ArchiveTemplate(ctx context.Context, project int64, id mail.ID, ifRevision int64, force bool, by string, now time.Time) error

	TemplateByAlias(ctx context.Context, project int64, alias string) (Template, error) // not archived
	TemplateByID(ctx context.Context, project int64, id mail.ID) (Template, error)      // archived or not
	Templates(ctx context.Context, q Query) ([]Template, error)                         // not archived, newest first

	TemplateVersion(ctx context.Context, template int64, number int) (Version, error)
	// TemplateVersions lists versions below a number (0 = all), newest first, or above it,
	// oldest first; without parts.
	TemplateVersions(ctx context.Context, template int64, after, limit int, ascending bool) ([]Version, error)
}

// Change is everything that becomes true at once when a template is changed.
type Change struct {
	Template Template // as it will be; Revision as it was read
	Add      *Version // a new one
	// Publish is a version as it is published: the one published before and drafts older than
	// this become archived. It may be the one of Add.
	Publish *Version
	Events  []mail.Event
	Once    *mail.Once
	Answer  func(Template) mail.Answer // as in [Store.CreateTemplate]
}

// Query asks for a page of a project's templates.
type Query struct {
	Project   int64
	Text      string // in alias or name, without case
	Published *bool
	After     int64 // row of the last one shown
	Limit     int
	Ascending bool
}

// locales are the keys of the variants in order, the default ("") first.
func (v *Version) locales() []string {
	all := make([]string, 1, 1+len(v.Locales))
	for l := range v.Locales {
		all = append(all, l)
	}
	slices.Sort(all[1:])
	return all
}

func (v *Version) parts(locale string) Parts {
	if locale == "" {
		return v.Parts
	}
	return v.Locales[locale]
}

// sum is the digest of what a version says, whoever saved it and when.
func (v *Version) sum() (out [32]byte) {
	h := sha256.New()
	for _, l := range v.locales() {
		p := v.parts(l)
		for _, s := range []string{l, p.Subject, p.HTML, p.Text, p.Preheader} {
			b, _ := jsontext.AppendQuote(nil, s) // quoted, so that what is between them is certain
			h.Write(b)
		}
	}
	h.Sum(out[:0])
	return out
}
