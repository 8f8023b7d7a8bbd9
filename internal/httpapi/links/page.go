package links

import (
	"bytes"
	"html/template"
	"net/http"

	"github.com/postroad/postroad/internal/feedback"
)

// pageData is what a page shows.
type pageData struct {
	Title   string
	Text    string
	Buttons []button
}

type button struct{ Do, Label string }

func asking(to *feedback.Recipient) pageData {
	p := pageData{Title: "Unsubscribe", Text: to.Address + " gets mail from " + sender(to) + ".",
		Buttons: []button{{"topic", "Unsubscribe"}}}
	if to.Topic != "" {
		p.Text = to.Address + " gets mail from " + sender(to) + " about “" + to.Topic + "”."
		p.Buttons = []button{{"topic", "Unsubscribe from “" + to.Topic + "”"}, {"everything", "Unsubscribe from all mail of " + to.From.Domain()}}
	}
	return p
}

func done(to *feedback.Recipient, everything bool) pageData {
	p := pageData{Title: "You are unsubscribed", Text: to.Address + " gets no more mail from " + sender(to) + ".",
		Buttons: []button{{"undo", "That was a mistake: subscribe again"}}}
	if to.Topic != "" && !everything {
		p.Text = to.Address + " gets no more mail from " + sender(to) + " about “" + to.Topic + "”."
	}
	return p
}

func undone(to *feedback.Recipient) pageData {
	return pageData{Title: "You are subscribed again", Text: to.Address + " gets mail from " + sender(to) + " as before.",
		Buttons: []button{{"topic", "Unsubscribe"}}}
}

func sender(to *feedback.Recipient) string {
	if to.From.Name != "" {
		return to.From.Name + " (" + to.From.Domain() + ")"
	}
	return to.From.Domain()
}

// One style, no script: the policy lets nothing else in.
const style = `body{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:12vh auto;padding:0 1.25rem;color:#1b1b1f;background:#fff}` +
	`h1{font-size:1.5rem}button{font:inherit;margin:.5rem 0;padding:.6rem 1.1rem;border:2px solid #23407a;border-radius:.4rem;background:#23407a;color:#fff;cursor:pointer;max-width:100%}` +
	`button+button,form+form button{background:#fff;color:#23407a}button:focus-visible{outline:3px solid #d98c00;outline-offset:2px}` +
	`@media(prefers-color-scheme:dark){body{color:#ececf1;background:#17171b}button{background:#9db8f0;color:#10182b;border-color:#9db8f0}form+form button{background:#17171b;color:#9db8f0}}`

var pages = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex">
<title>{{.Title}}</title><style>` + style + `</style></head>
<body><main><h1>{{.Title}}</h1><p>{{.Text}}</p>
{{range .Buttons}}<form method="post"><input type="hidden" name="do" value="{{.Do}}"><button type="submit">{{.Label}}</button></form>
{{end}}</main></body></html>
`))

func (h *handler) page(w http.ResponseWriter, status int, p pageData) {
	var b bytes.Buffer
	if err := pages.Execute(&b, p); err != nil {
		h.o.Log.Error("a page could not be written", "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	head := w.Header()
	head.Set("Content-Type", "text/html; charset=utf-8")
	head.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // who asked is gone, then
}
