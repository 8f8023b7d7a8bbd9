package reference

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"sync"

	"github.com/postroad/postroad/internal/httpapi"
)

//go:embed page
var files embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{"lower": slug}).ParseFS(files, "page/*.html"))

// head is what all pages have: their one style and script stand in the page itself, and the
// policy names their hashes.
type head struct {
	Title  string
	Style  template.CSS
	Script template.JS
}

func headOf(title string) head {
	style, _ := files.ReadFile("page/page.css") // embedded
	script, _ := files.ReadFile("page/page.js")
	return head{title, template.CSS(style), template.JS(script)}
}

// policy lets nothing in from elsewhere, and no other script or style than the page's own.
func policy() string {
	h := headOf("")
	return "default-src 'none'; style-src '" + hashOf(string(h.Style)) + "'; script-src '" + hashOf(string(h.Script)) +
		"'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func render(name string, data any) *httpapi.Static {
	var out bytes.Buffer
	if err := pages.ExecuteTemplate(&out, name, data); err != nil {
		panic("reference: " + err.Error()) // ours alone: a test renders each page
	}
	return httpapi.NewStatic("text/html; charset=utf-8", policy(), out.Bytes())
}

// reading is the reference.
var reading = sync.OnceValue(func() *httpapi.Static {
	return render("reference.html", struct {
		head
		Text    template.HTML
		Groups  []*group
		Hooks   []hook
		Schemas []schema
	}{headOf("Postroad API"), prose(root().string("info", "description")), groups(), hooks(), schemas()})
})

type code struct {
	Code, Status, Title string
	Retry               bool
	Text                template.HTML
}

// errorsPage tells what each code means: where the type of a problem leads.
var errorsPage = sync.OnceValue(func() *httpapi.Static {
	var codes, fields []code
	root().at("x-errors").each(func(name string, v *tree) {
		codes = append(codes, code{name, v.string("status"), v.string("title"), v.string("retry") == "true", prose(v.string("text"))})
	})
	root().at("x-field-errors").each(func(name string, v *tree) {
		fields = append(fields, code{Code: name, Text: prose(v.text)})
	})
	return render("errors.html", struct {
		head
		Codes, Fields []code
	}{headOf("Errors of the Postroad API"), codes, fields})
})
