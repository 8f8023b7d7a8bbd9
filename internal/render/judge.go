package render

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/template"
)

// Bounds of what callers write. A part has at most what [template.DefaultLimits] allows.
const (
	maxAlias       = 64   // characters
	maxName        = 100  // characters
	maxDescription = 1000 // characters
	maxNote        = 500  // characters
	maxSubject     = 4000 // bytes of a subject's or preheader's source
	maxLocales     = 50
	maxDeclared    = 200
	maxDefault     = 16 << 10 // bytes of a default or an example
)

// reserved are words that stand where an alias may stand.
var reserved = []string{"preview", "draft", "published"}

// validAlias: 1–64 of a–z 0–9 - _ ., beginning with a letter or a digit; never like an id.
func validAlias(s string) bool {
	if s == "" || len(s) > maxAlias || strings.HasPrefix(s, mail.PrefixTemplate+"_") || slices.Contains(reserved, s) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || i > 0 && (c == '-' || c == '_' || c == '.')) {
			return false
		}
	}
	return true
}

// judging gathers faults.
type judging struct{ faults mail.Faults }

func (j *judging) fault(code, field, message string) {
	j.faults = append(j.faults, &mail.Error{Code: code, Field: field, Pointer: mail.PointerTo(field), Message: message})
}

func (j *judging) verdict() error {
	if len(j.faults) > 0 {
		return j.faults
	}
	return nil
}

func (j *judging) length(field, s string, most int) {
	if len(s) > most && utf8.RuneCountInString(s) > most {
		j.fault("too_long", field, fmt.Sprintf("At most %d characters.", most))
	}
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' }) {
		j.fault("invalid_value", field, "It must not hold control characters.")
	}
}

// template judges a description.
func (j *judging) template(t *Template) {
	if t.Alias == "" {
		j.fault("missing_required_field", "alias", "Give the template an 'alias': what requests name, such as 'welcome'.")
	} else if !validAlias(t.Alias) {
		j.fault("invalid_value", "alias", "An alias has 1 to 64 of a–z, 0–9, '-', '_' and '.', and begins with a letter or a digit. 'preview', 'draft' and 'published' are taken.")
	}
	j.length("name", t.Name, maxName)
	j.length("description", t.Description, maxDescription)
	if t.DefaultFrom != "" {
		if _, err := mail.ParseAddress(t.DefaultFrom); err != nil {
			j.fault("invalid_email", "default_from", "'default_from' is not an address.")
		}
	}
	if t.Layout != "" && t.Layout == t.Alias {
		j.fault("invalid_value", "layout", "A template cannot be its own layout.")
	}
}

// version judges content. Whether it parses is asked when it is published.
func (j *judging) version(v *Version) {
	has := false
	for _, locale := range v.locales() {
		p, prefix := v.parts(locale), ""
		if locale != "" {
			prefix = "locales." + locale + "."
			if p == (Parts{}) {
				j.fault("missing_required_field", "locales."+locale, "The variant is empty: give at least one of subject, html, text and preheader.")
			}
		}
		has = has || p.HTML != "" || p.Text != ""
		j.part(prefix+"subject", p.Subject, maxSubject)
		j.part(prefix+"preheader", p.Preheader, maxSubject)
		j.part(prefix+"html", p.HTML, template.DefaultLimits.Bytes)
		j.part(prefix+"text", p.Text, template.DefaultLimits.Bytes)
	}
	if !has {
		j.fault("missing_required_field", "html", "The template has no content: give 'html' or 'text'.")
	}
	if len(v.Locales) > maxLocales {
		j.fault("too_many", "locales", fmt.Sprintf("At most %d locales.", maxLocales))
	}
	j.length("note", v.Note, maxNote)
	j.declared(v.Declared)
}

func (j *judging) part(field, source string, most int) {
	if len(source) > most {
		j.fault("too_long", field, fmt.Sprintf("At most %d bytes.", most))
	}
}

// kinds are the types a variable can be declared as.
var kinds = []string{"string", "number", "boolean", "object", "array"}

func (j *judging) declared(all []Variable) {
	if len(all) > maxDeclared {
		j.fault("too_many", "variables", fmt.Sprintf("At most %d variables.", maxDeclared))
		return
	}
	for i := range all {
		v, field := &all[i], fmt.Sprintf("variables[%d]", i)
		switch {
		case v.Name == "":
			j.fault("missing_required_field", field+".name", "Name the variable.")
		case slices.ContainsFunc(all[:i], func(o Variable) bool { return o.Name == v.Name }):
			j.fault("invalid_value", field+".name", "'"+clip(v.Name)+"' is declared twice.")
		}
		j.length(field+".name", v.Name, 200)
		if v.Type != "" && !slices.Contains(kinds, v.Type) {
			j.fault("invalid_value", field+".type", "'type' is 'string', 'number', 'boolean', 'object' or 'array'.")
		}
		if len(v.Default) > maxDefault || len(v.Example) > maxDefault {
			j.fault("too_long", field, fmt.Sprintf("A default or an example has at most %d bytes.", maxDefault))
		}
		if len(v.Default) > 0 && !isTop(v.Name) {
			j.fault("invalid_value", field+".default", "Only names at the top of the data can have a default.")
		}
	}
}

// clip keeps a caller's own words in a fault short.
func clip(s string) string {
	if len(s) <= 100 {
		return s
	}
	return strings.ToValidUTF8(s[:100], "") + "…"
}

// isTop tells whether a variable stands at the top of the data.
func isTop(name string) bool { return !strings.ContainsAny(name, ".[") }
