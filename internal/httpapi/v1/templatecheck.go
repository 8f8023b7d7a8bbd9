package v1

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/render"
	"github.com/postroad/postroad/internal/submit"
)

// publish is Library.Publish or Library.Rollback.
type publish func(ctx context.Context, project int64, ref string, p render.Publication, once *mail.Once, answer render.Published) (render.Template, render.Version, []mail.Warning, error)

func (a *API) publication(c *httpapi.Call, f *form, p render.Publication, do publish) {
	turn, ok := f.start()
	if !ok {
		return
	}
	defer turn.Leave()
	requestID, noted := c.RequestID, f.allWarnings()
	tell := func(t render.Template, v *render.Version, warnings []mail.Warning) mail.Answer {
		out := fullTemplateOf(&t)
		content := versionOf(v)
		out.PublishedContent, out.Warnings = &content, append(noted[:len(noted):len(noted)], warnings...)
		return kept(turn.Once, http.StatusOK, "", out, requestID)
	}
	t, v, warnings, err := do(c.Context(), c.Who.Owner.Project, c.Param(0), p, turn.Once, tell)
	if err != nil {
		a.finishTemplate(c, turn, err)
		return
	}
	c.ETag(t.Revision)
	c.Finish(turn, tell(t, &v, warnings), nil)
}

type diffOut struct {
	Object string        `json:"object"`
	From   int           `json:"from"`
	To     int           `json:"to"`
	Parts  []partDiffOut `json:"parts"`
}

type partDiffOut struct {
	Part   string  `json:"part"`
	Locale *string `json:"locale"`
	Diff   string  `json:"diff"`
}

// diffVersions is GET …/versions/{n}/diff?against=m; without m against the one before.
func (a *API) diffVersions(c *httpapi.Call) {
	t, ok := a.findTemplate(c)
	if !ok {
		return
	}
	to, err := a.o.Templates.Version(c.Context(), &t, c.Param(1))
	if err != nil {
		c.Fail(err)
		return
	}
	from := render.Version{Number: to.Number - 1}
	if against := c.R.URL.Query().Get("against"); against != "" {
		if from, err = a.o.Templates.Version(c.Context(), &t, against); err != nil {
			c.Fail(&mail.Error{Code: "invalid_parameter", Status: 400, Field: "against", Message: "'against' is the number of another version, 'published' or 'draft'."})
			return
		}
	}
	if from.Number == 0 {
		c.Fail(&mail.Error{Code: "invalid_parameter", Status: 400, Field: "against", Message: "There is no version before the first: say 'against' which."})
		return
	}
	parts, err := a.o.Templates.Diff(c.Context(), &t, from.Number, to.Number)
	if err != nil {
		c.Fail(err)
		return
	}
	out := diffOut{Object: "template_diff", From: from.Number, To: to.Number, Parts: make([]partDiffOut, len(parts))}
	for i, p := range parts {
		out.Parts[i] = partDiffOut{p.Part, orNull(p.Locale), p.Diff}
	}
	give(c, http.StatusOK, out)
}

type problemOut struct {
	Severity string  `json:"severity"`
	Code     string  `json:"code"`
	Part     *string `json:"part"`
	Line     *int    `json:"line"`
	Column   *int    `json:"column"`
	Message  string  `json:"message"`
}

func problemsOf(in []render.Problem) []problemOut {
	out := make([]problemOut, len(in))
	for i, p := range in {
		out[i] = problemOut{p.Severity, p.Code, orNull(p.Part), numberOrNull(p.Line), numberOrNull(p.Column), p.Message}
	}
	return out
}

type previewOut struct {
	Object   string         `json:"object"`
	Template *templateOut   `json:"template"`
	Subject  string         `json:"subject"`
	HTML     string         `json:"html"`
	Text     string         `json:"text"`
	Size     int            `json:"size_bytes"` // of the HTML
	Missing  []string       `json:"missing"`
	Unused   []string       `json:"unused"`
	Problems []problemOut   `json:"problems"`
	Warnings []mail.Warning `json:"warnings,omitempty"`
}

// previewTemplate is POST …/preview, and POST /v1/templates/preview of content that is
// saved nowhere. It changes nothing, so an idempotency key has nothing to guard.
func (a *API) previewTemplate(c *httpapi.Call) {
	o, f, ok := a.readPreview(c)
	if !ok {
		return
	}
	p, err := a.o.Templates.Preview(c.Context(), o)
	if err != nil {
		c.Fail(err)
		return
	}
	out := previewOut{Object: "template_preview", Subject: p.Subject, HTML: p.HTML, Text: p.Text, Size: len(p.HTML),
		Missing: p.Missing, Unused: p.Unused, Problems: problemsOf(p.Problems), Warnings: f.allWarnings()}
	if o.Ref != "" {
		out.Template = templateOf(p.Body.Template)
	}
	give(c, http.StatusOK, out)
}

type validationOut struct {
	Object   string         `json:"object"`
	Valid    bool           `json:"valid"`
	Problems []problemOut   `json:"problems"`
	Warnings []mail.Warning `json:"warnings,omitempty"`
}

func (a *API) validateTemplate(c *httpapi.Call) {
	o, f, ok := a.readPreview(c)
	if !ok {
		return
	}
	valid, problems, err := a.o.Templates.Validate(c.Context(), o)
	if err != nil {
		c.Fail(err)
		return
	}
	give(c, http.StatusOK, validationOut{"template_validation", valid, problemsOf(problems), f.allWarnings()})
}

// readPreview reads the order of a preview or a validation. False: it has answered.
func (a *API) readPreview(c *httpapi.Call) (o render.PreviewOrder, f *form, ok bool) {
	o = render.PreviewOrder{Project: c.Who.Owner.Project, Ref: c.Param(0)}
	in := contentForm{version: &o.Version}
	fields := []string{"version", "template_data", "locale", "partials"}
	if o.Ref == "" {
		fields = append(append(fields[1:], "engine", "layout"), contentFields...)
	}
	f, ok = a.readForm(c, fields, func(f *form, name string, v value) {
		if v.isNull() {
			return
		}
		switch name {
		case "version":
			o.Which = f.version(name, v)
		case "template_data":
			if v.kind() != '{' {
				f.wrongType(name, v, "an object")
			}
			o.Data = v
		case "locale":
			o.Locale, _ = f.text(name, v)
		case "partials":
			o.Partials = readPartials(f, v)
		case "engine":
			o.Template.Engine = readEngine(f, v)
		case "layout":
			o.Template.Layout, _ = f.text(name, v)
		default:
			in.field(f, name, v)
		}
	})
	return o, f, ok && c.Admit() && !f.failed()
}

// readPartials reads {"footer":"<p>…"} or {"footer":{"html":…,"text":…}}.
func readPartials(f *form, v value) map[string]render.Parts {
	if v.kind() != '{' {
		f.wrongType("partials", v, `an object: {"footer":"<p>…"}`)
		return nil
	}
	out := map[string]render.Parts{}
	for w := v.walk(); len(out) < maxListKept; {
		name, item, ok := w.next()
		if !ok {
			break
		}
		field := "partials." + clip(string(name), 64)
		if item.kind() == '"' {
			s, _ := f.text(field, item)
			out[string(name)] = render.Parts{HTML: s, Text: s}
		} else {
			out[string(name)] = readParts(f, field, item)
		}
	}
	return out
}

// version reads 7, "7", "draft" or "published" as text; "" where it is none.
func (f *findings) version(field string, v value) string {
	if v.kind() == '"' {
		s, ok := f.text(field, v)
		if n, err := strconv.Atoi(s); ok && s != render.VersionDraft && s != render.VersionPublished && (err != nil || n < 1) {
			f.fault(field, "invalid_value", "'"+field+"' is a number, 'published' or 'draft'.")
			return ""
		}
		return s
	}
	n, ok := f.integer(field, v)
	if ok && (n < 1 || n > 1<<31-1) {
		f.fault(field, "invalid_value", "'"+field+"' is a number from 1, 'published' or 'draft'.")
		ok = false
	}
	if !ok {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

var testSendFields = []string{"recipient", "to", "template_data", "version", "locale", "from", "subject", "strict_variables"}

// testSend is POST …/test-send: a message like any other, with the tag "test". Without
// version it is the draft with test keys, where there is one, else what is published.
func (a *API) testSend(c *httpapi.Call) {
	r := &submit.Request{Route: c.R.Method + " " + c.R.URL.Path, RequestID: c.RequestID, Via: via(c), Arrived: c.Arrived, Tags: []string{"test"}}
	s, version := &sendBody{r: r}, ""
	f, ok := a.readForm(c, testSendFields, func(f *form, name string, v value) {
		switch {
		case v.isNull():
		case name == "version":
			version = f.version(name, v)
		default:
			s.field([]byte(name), v)
		}
	})
	if !ok {
		return
	}
	f.faults, f.unknown, f.warnings = append(f.faults, s.faults...), append(f.unknown, s.unknown...), append(f.warnings, s.warnings...)
	turn, ok := f.start()
	if !ok {
		return
	}
	defer turn.Leave()
	template, ok := a.findTemplate(c)
	if !ok {
		return
	}
	r.Template = reference(&template, version, c.Who.Owner.Env)
	t := &teller{requestID: c.RequestID, console: a.consoleLink(c), warnings: f.allWarnings()}
	if turn.Once != nil {
		r.Key, r.Fingerprint, t.fingerprint = f.key, turn.Once.Fingerprint, turn.Once.Fingerprint
	}
	r.Answer = t.answer
	out, err := a.o.Submitter.Submit(c.Context(), c.Who, r)
	if err != nil {
		c.Fail(err)
		return
	}
	if out.Replayed {
		c.Excuse()
	}
	c.Answer(out.Answer, f.key, out.Replayed)
}

// reference names a version as a request does.
func reference(t *render.Template, version string, env mail.Env) string {
	id := t.ID.Text(mail.PrefixTemplate)
	switch {
	case version == "" && env == mail.Test && t.Draft != 0:
		version = render.VersionDraft
	case version == render.VersionPublished:
		version = ""
	}
	return strings.TrimSuffix(id+"@"+version, "@")
}
