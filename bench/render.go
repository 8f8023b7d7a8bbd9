package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/render"
	"github.com/postroad/postroad/internal/store/sqlite"
)

// An ordinary receipt: a layout, a partial, conditions, a loop of five items.
const (
	receiptLayout = `<!DOCTYPE html><html><head><meta charset="utf-8"><title>{{company.name}}</title>
<style>body{font-family:Arial,sans-serif;margin:0} .head{background:#f4f4f4;padding:16px} @media (max-width:600px){.head{padding:8px}}</style></head>
<body><!--[if mso]><table width="600" align="center"><tr><td><![endif]-->
<div class="head"><img src="{{company.logo}}" alt="{{company.name}}" width="120"></div>
{{> @partial-block}}
{{> footer company=company}}
<!--[if mso]></td></tr></table><![endif]--></body></html>`
	receiptFooter = `<p style="color:#888;font-size:12px">{{company.name}}, {{company.street}}, {{company.city}}{{#if company.vat}} · VAT {{company.vat}}{{/if}}<br>
<a href="{{unsubscribe}}">Unsubscribe</a></p>`
	receiptBody = `<h1>Thank you, {{insert customer.first_name "default=friend"}}!</h1>
{{#if order.paid}}<p>Your order <b>#{{order.number}}</b> was paid by {{order.method}}.</p>{{else}}<p>We have your order.</p>{{/if}}
<table width="100%" cellpadding="0" cellspacing="0">
{{#each order.items}}
  <tr class="{{#if @first}}first{{/if}}"><td><a href="{{url}}">{{name}}</a>{{#if variant}} ({{variant}}){{/if}}</td>
    <td align="right">{{quantity}} × {{price}} {{../order.currency}}</td></tr>
{{/each}}
  <tr><td>Total</td><td align="right"><b>{{order.total}} {{order.currency}}</b></td></tr>
</table>
<p><a href="https://shop.example/orders/{{order.number}}">See your order</a></p>`
	receiptText = `Thank you, {{insert customer.first_name "default=friend"}}!

{{#if order.paid}}Your order #{{order.number}} was paid by {{order.method}}.{{else}}We have your order.{{/if}}
{{#each order.items}}
{{quantity}} × {{name}}: {{price}} {{../order.currency}}
{{/each}}
Total: {{order.total}} {{order.currency}}
`
	receiptData = `{"company":{"name":"Acme & Sons","logo":"https://acme.example/logo.png","street":"1 Main St","city":"Springfield","vat":"DE123"},
"unsubscribe":"https://acme.example/u?t=abc&x=1","customer":{"first_name":"Ada","last_name":"Lovelace"},
"order":{"number":"10042","paid":true,"method":"card","currency":"EUR","total":129.90,"items":[
{"name":"Tea pot <small>","url":"https://acme.example/p/1","quantity":1,"price":"39.90"},
{"name":"Cup","url":"https://acme.example/p/2","variant":"blue","quantity":4,"price":"9.50"},
{"name":"Tea","url":"https://acme.example/p/3?a=1&b=2","quantity":2,"price":"12.00"},
{"name":"Sugar","url":"https://acme.example/p/4","quantity":1,"price":"3.00"},
{"name":"Spoon","url":"https://acme.example/p/5","variant":"silver","quantity":4,"price":"6.25"}]}}`
)

// rendering is how many receipts were made, whole: subject, HTML and text from the JSON of
// a request.
type rendering struct {
	written, made float64 // a second and core: with a text part of its own, with one made from the HTML
	cores         int
	size          int // bytes of the HTML
}

// measureRendering renders as a send does, from templates that a store keeps.
func measureRendering(ctx context.Context, d time.Duration) (*rendering, error) {
	dir, err := os.MkdirTemp("", "postroad-bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	store, err := sqlite.Open(sqlite.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	defer store.Close()
	if err := store.Migrate(ctx); err != nil {
		return nil, err
	}
	library := render.NewLibrary(render.LibraryOptions{Store: store})
	for _, t := range []struct {
		alias, layout string
		parts         render.Parts
	}{
		{"footer", "", render.Parts{HTML: receiptFooter}}, {"base", "", render.Parts{HTML: receiptLayout, Text: "{{> @partial-block}}"}},
		{"receipt", "base", render.Parts{Subject: "Your order {{order.number}}", HTML: receiptBody, Text: receiptText}},
		{"untexted", "base", render.Parts{Subject: "Your order {{order.number}}", HTML: receiptBody}},
	} {
		n := render.NewTemplate{Template: render.Template{Alias: t.alias, Layout: t.layout}, Version: render.Version{Parts: t.parts}}
		if _, _, err := library.Create(ctx, 1, n, nil, nil); err != nil {
			return nil, fmt.Errorf("template %s: %w", t.alias, err)
		}
		if _, _, _, err := library.Publish(ctx, 1, t.alias, render.Publication{Number: 1}, nil, nil); err != nil {
			return nil, fmt.Errorf("publish %s: %w", t.alias, err)
		}
	}
	r := &rendering{cores: runtime.GOMAXPROCS(0)}
	renderer := render.New(library)
	if r.written, r.size, err = renderFor(ctx, renderer, "receipt", d); err != nil {
		return nil, err
	}
	r.made, _, err = renderFor(ctx, renderer, "untexted", d)
	return r, err
}

// renderFor renders on all cores and tells renders in a second of CPU time: what else
// the machine does meanwhile changes little.
func renderFor(ctx context.Context, renderer *render.Renderer, alias string, d time.Duration) (rate float64, size int, err error) {
	cores := runtime.GOMAXPROCS(0)
	counts, sizes, errs := make([]int, cores), make([]int, cores), make([]error, cores)
	var workers sync.WaitGroup
	cpu, end := cpuOfUs(), time.Now().Add(d)
	for core := range cores {
		workers.Go(func() {
			for n := 0; n%64 != 0 || time.Now().Before(end); n++ {
				b, err := renderer.Body(ctx, render.Source{Owner: mail.Owner{Project: 1}, Template: alias, Data: []byte(receiptData)})
				if err != nil || b.HTML == "" || b.Text == "" {
					errs[core] = fmt.Errorf("rendered nothing: %w", err)
					return
				}
				sizes[core] = len(b.HTML)
				counts[core]++
			}
		})
	}
	workers.Wait()
	spent := (cpuOfUs() - cpu).Seconds()
	total := 0
	for core := range cores {
		if errs[core] != nil {
			return 0, 0, errs[core]
		}
		total += counts[core]
	}
	return float64(total) / max(spent, 0.01), sizes[0], nil
}

func (r *rendering) print(w io.Writer) {
	fmt.Fprintf(w, "%-26s %.0f receipts of %d bytes in a second of CPU with a text of their own, %.0f with one made from the HTML\n", "render", r.written, r.size, r.made)
}
