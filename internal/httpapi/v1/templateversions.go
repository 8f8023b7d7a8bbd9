package v1

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/render"
)

// partsOut is one language of a version.
type partsOut struct {
	Subject   *string `json:"subject"`
	HTML      *string `json:"html"`
	Text      *string `json:"text"`
	Preheader *string `json:"preheader"`
}

func partsOf(p render.Parts) partsOut {
	return partsOut{orNull(p.Subject), orNull(p.HTML), orNull(p.Text), orNull(p.Preheader)}
}

// templateVersionOut is a version; in lists without its parts.
type templateVersionOut struct {
	row     int64
	Version int    `json:"version"`
	Object  string `json:"object"`
	State   string `json:"state"`
	*partsOut
	Locales     map[string]partsOut `json:"locales,omitempty"`
	InlineCSS   bool                `json:"inline_css"`
	SHA256      string              `json:"sha256"`
	Note        string              `json:"note"`
	CreatedAt   time.Time           `json:"created_at"`
	CreatedBy   *string             `json:"created_by"`
	PublishedAt time.Time           `json:"published_at"`
	PublishedBy *string             `json:"published_by"`
	Inferred    []string            `json:"inferred_variables"`
	Variables   []render.Variable   `json:"variables"`
	Problems    []problemOut        `json:"problems,omitempty"`
	Warnings    []mail.Warning      `json:"warnings,omitempty"`
}

func versionOf(v *render.Version) templateVersionOut {
	out := listedVersion(v)
	parts := partsOf(v.Parts)
	out.partsOut = &parts
	if len(v.Locales) > 0 {
		out.Locales = make(map[string]partsOut, len(v.Locales))
		for locale, p := range v.Locales {
			out.Locales[locale] = partsOf(p)
		}
	}
	return out
}

func listedVersion(v *render.Version) templateVersionOut {
	out := templateVersionOut{row: int64(v.Number), Version: v.Number, Object: "template_version", State: v.State, InlineCSS: v.InlineCSS, SHA256: hexOf(v.SHA256), Note: v.Note,
		CreatedAt: v.CreatedAt, CreatedBy: orNull(v.CreatedBy), PublishedAt: v.PublishedAt, PublishedBy: orNull(v.PublishedBy), Inferred: []string{}, Variables: v.Variables}
	if out.Variables == nil {
		out.Variables = []render.Variable{}
	}
	for _, known := range v.Variables {
		out.Inferred = append(out.Inferred, known.Name)
	}
	return out
}

// contentFields are what a version's content is written in.
var contentFields = []string{"subject", "html", "text", "preheader", "locales", "variables", "note"}

// contentForm reads the content of a version.
type contentForm struct {
	version *render.Version
	given   map[string]bool
}

// field reads one member; false when it is none of a version's.
func (in *contentForm) field(f *form, name string, v value) bool {
	to := map[string]*string{"subject": &in.version.Subject, "html": &in.version.HTML, "text": &in.version.Text, "preheader": &in.version.Preheader, "note": &in.version.Note}[name]
	switch {
	case to != nil:
		*to, _ = f.text(name, v)
	case name == "locales":
		in.version.Locales = readLocales(f, v)
	case name == "variables":
		in.version.Declared = readVariables(f, v)
	default:
		return false
	}
	if in.given == nil {
		in.given = map[string]bool{}
	}
	in.given[name] = true
	return true
}

// readLocales reads {"pt-BR":{"subject":…,"html":…}}.
func readLocales(f *form, v value) map[string]render.Parts {
	out := map[string]render.Parts{}
	if v.kind() != '{' {
		f.wrongType("locales", v, `an object: {"pt-BR":{"subject":…,"html":…}}`)
		return nil
	}
	for w := v.walk(); ; {
		name, item, ok := w.next()
		if !ok {
			return out
		}
		written := clip(string(name), 64)
		locale, known := render.Locale(string(name))
		field, pointer := "locales."+written, "#/locales"+mail.PointerStep(written)
		_, twice := out[locale]
		switch {
		case !known:
			f.faultAt(field, pointer, "invalid_value", "'"+written+"' is no language tag such as 'pt-BR'.")
		case twice:
			f.faultAt(field, pointer, "invalid_value", "'"+written+"' and another name mean the same language.")
		case !item.isNull():
			out[locale] = readParts(f, field, item)
		}
	}
}

func readParts(f *form, field string, v value) (p render.Parts) {
	if v.kind() != '{' {
		f.wrongType(field, v, "an object with 'subject', 'html', 'text' and 'preheader'")
		return p
	}
	fields := map[string]*string{"subject": &p.Subject, "html": &p.HTML, "text": &p.Text, "preheader": &p.Preheader}
	for w := v.walk(); ; {
		name, item, ok := w.next()
		if !ok {
			return p
		}
		if to := fields[string(name)]; to == nil {
			f.unknownField(field, name, []string{"subject", "html", "text", "preheader"})
		} else if !item.isNull() {
			*to, _ = f.text(field+"."+string(name), item)
		}
	}
}

var variableFields = []string{"name", "type", "required", "default", "example"}

// readVariables reads what an author says of variables.
func readVariables(f *form, v value) []render.Variable {
	if v.kind() != '[' {
		f.wrongType("variables", v, "an array of variables")
		return nil
	}
	out := []render.Variable{}
	w := v.walk()
	for i := 0; i < maxListKept; i++ {
		_, item, ok := w.next()
		if !ok {
			break
		}
		field := indexed("variables", i)
		if item.kind() != '{' {
			f.wrongType(field, item, "an object")
			continue
		}
		out = append(out, readVariable(f, field, item))
	}
	return out
}

func readVariable(f *form, field string, v value) (out render.Variable) {
	required := false
	for w := v.walk(); ; {
		name, item, ok := w.next()
		if !ok {
			break
		}
		switch n := string(name); {
		case n == "default":
			out.Default = []byte(item) // null is a default too
		case n == "example":
			out.Example = []byte(item)
		case item.isNull():
		case n == "name":
			out.Name, _ = f.text(field+".name", item)
		case n == "type":
			out.Type, _ = f.text(field+".type", item)
		case n == "required":
			out.Required, _ = f.flag(field+".required", item)
			required = true
		default:
			f.unknownField(field, name, variableFields)
		}
	}
	if !required {
		out.Required = out.Default == nil
	}
	// The body is gone when the request is: what is kept must not point into it.
	out.Default, out.Example = append([]byte(nil), out.Default...), append([]byte(nil), out.Example...)
	return out
}

func (a *API) listVersions(c *httpapi.Call) {
	l := a.list(c)
	if l.failed() {
		return
	}
	t, ok := a.findTemplate(c)
	if !ok {
		return
	}
	all, err := a.o.Templates.Versions(c.Context(), &t, int(l.After), l.Limit+1, l.Ascending)
	pageOf(a, l, all, err, listedVersion, func(v *templateVersionOut) int64 { return v.row })
}

func (a *API) getVersion(c *httpapi.Call) {
	t, ok := a.findTemplate(c)
	if !ok {
		return
	}
	v, err := a.o.Templates.Version(c.Context(), &t, c.Param(1))
	if err != nil {
		c.Fail(err)
		return
	}
	out := versionOf(&v)
	out.Problems = problemsOf(a.o.Templates.Problems(&t, &v))
	c.ETag(t.Revision)
	give(c, http.StatusOK, out)
}

func (a *API) createVersion(c *httpapi.Call) {
	var content render.Version
	in, d := contentForm{version: &content}, render.Draft{By: c.Who.By()}
	f, ok := a.readForm(c, append([]string{"based_on"}, contentFields...), func(f *form, name string, v value) {
		switch {
		case v.isNull():
		case name == "based_on":
			n := f.small(name, v)
			d.BasedOn = &n
		default:
			in.field(f, name, v)
		}
	})
	if !ok {
		return
	}
	turn, ok := f.start()
	if !ok {
		return
	}
	defer turn.Leave()
	in.draft(&d)
	requestID, warnings := c.RequestID, f.allWarnings()
	tell := func(t render.Template, v *render.Version) mail.Answer {
		out := versionOf(v)
		out.Problems, out.Warnings = problemsOf(a.o.Templates.Problems(&t, v)), warnings
		return kept(turn.Once, http.StatusCreated, "/v1/templates/"+t.ID.Text(mail.PrefixTemplate)+"/versions/"+strconv.Itoa(v.Number), out, requestID)
	}
	t, v, err := a.o.Templates.AddDraft(c.Context(), c.Who.Owner.Project, c.Param(0), d, c.IfMatch(), turn.Once, tell)
	if err != nil {
		a.finishTemplate(c, turn, err)
		return
	}
	c.ETag(t.Revision)
	c.Finish(turn, tell(t, &v), nil)
}

// draft hands on what was given, and only that.
func (in *contentForm) draft(d *render.Draft) {
	v := in.version
	for _, part := range []struct {
		name     string
		to, from **string
	}{{"subject", &d.Subject, ref(&v.Subject)}, {"html", &d.HTML, ref(&v.HTML)}, {"text", &d.Text, ref(&v.Text)}, {"preheader", &d.Preheader, ref(&v.Preheader)}} {
		if in.given[part.name] {
			*part.to = *part.from
		}
	}
	if in.given["locales"] {
		d.Locales = v.Locales
	}
	if in.given["variables"] {
		d.Declared = &v.Declared
	}
	d.Note = v.Note
}

func ref(s *string) **string { return &s }

// finishTemplate answers an error of a change; one of the state tells what that is.
func (a *API) finishTemplate(c *httpapi.Call, turn httpapi.Turn, err error) {
	var e *mail.Error
	if errors.As(err, &e) && e.Code == "state_conflict" {
		state := render.VersionArchived
		if e.Suggestion != "" {
			state = e.Suggestion
		}
		c.Problem(httpapi.Problem{Code: e.Code, Detail: e.Message, Extra: []httpapi.Extra{{Name: "current_state", Value: state}}})
		return
	}
	c.Finish(turn, mail.Answer{}, err)
}

// publishVersion is POST …/versions/{n}/publish.
func (a *API) publishVersion(c *httpapi.Call) {
	p := render.Publication{By: c.Who.By(), IfRevision: c.IfMatch()}
	n, err := strconv.Atoi(c.Param(1))
	f, ok := a.readForm(c, []string{"note", "inline_css"}, func(f *form, name string, v value) {
		switch {
		case v.isNull():
		case name == "note":
			p.Note = f.optText(name, v)
		default:
			p.InlineCSS, _ = f.flag(name, v)
		}
	})
	if !ok {
		return
	}
	if p.Number = n; err != nil || n < 1 {
		c.Refuse(mail.ErrNotFound)
		return
	}
	a.publication(c, f, p, a.o.Templates.Publish)
}

// rollbackTemplate is POST …/rollback {"to":6}.
func (a *API) rollbackTemplate(c *httpapi.Call) {
	p := render.Publication{By: c.Who.By(), IfRevision: c.IfMatch()}
	f, ok := a.readForm(c, []string{"to", "note"}, func(f *form, name string, v value) {
		switch {
		case v.isNull():
		case name == "note":
			p.Note = f.optText(name, v)
		default:
			if p.Number = f.small(name, v); p.Number < 1 {
				f.fault(name, "invalid_value", "'to' is the number of a version that was published.")
			}
		}
	})
	if !ok {
		return
	}
	if p.Number == 0 && len(f.faults) == 0 {
		f.fault("to", "missing_required_field", "Say which version to go back to: {\"to\":6}.")
	}
	a.publication(c, f, p, a.o.Templates.Rollback)
}
