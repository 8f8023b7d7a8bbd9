package template_test

import (
	"io"
	"strings"
	"testing"

	"github.com/postroad/postroad/internal/template"
)

// An ordinary receipt: a layout, a loop of five items, conditions, an address and a partial.
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
{{#if order.paid}}
<p>Your order <b>#{{order.number}}</b> was paid by {{order.method}}.</p>
{{else if order.due}}
<p>Please pay until {{order.due}}.</p>
{{else}}
<p>We have your order.</p>
{{/if}}
<table width="100%" cellpadding="0" cellspacing="0">
{{#each order.items}}
  <tr class="{{#if @first}}first{{/if}}">
    <td><a href="{{url}}">{{name}}</a>{{#if variant}} ({{variant}}){{/if}}</td>
    <td align="right">{{quantity}} × {{price}} {{../order.currency}}</td>
  </tr>
{{/each}}
  <tr><td>Total</td><td align="right"><b>{{order.total}} {{order.currency}}</b></td></tr>
</table>
{{#greaterThan order.total 100}}<p>Shipping is on us.</p>{{else}}<p>Shipping: {{order.shipping}}</p>{{/greaterThan}}
<p><a href="https://shop.example/orders/{{order.number}}">See your order</a></p>`
	receiptData = `{"company":{"name":"Acme & Sons","logo":"https://acme.example/logo.png","street":"1 Main St","city":"Springfield","vat":"DE123"},
"unsubscribe":"https://acme.example/u?t=abc&x=1","customer":{"first_name":"Ada","last_name":"Lovelace"},
"order":{"number":"10042","paid":true,"method":"card","currency":"EUR","total":129.90,"shipping":"4.90","items":[
{"name":"Tea pot <small>","url":"https://acme.example/p/1","quantity":1,"price":"39.90"},
{"name":"Cup","url":"https://acme.example/p/2","variant":"blue","quantity":4,"price":"9.50"},
{"name":"Tea","url":"https://acme.example/p/3?a=1&b=2","quantity":2,"price":"12.00"},
{"name":"Sugar","url":"https://acme.example/p/4","quantity":1,"price":"3.00"},
{"name":"Spoon","url":"https://acme.example/p/5","variant":"silver","quantity":4,"price":"6.25"}]}}`
)

func receipt(tb testing.TB) (*template.Template, template.Options) {
	tb.Helper()
	parse := func(name, source string) *template.Template {
		parsed, problems := template.Parse(template.Handlebars, template.HTML, name, source, template.Limits{})
		if parsed == nil {
			tb.Fatal(problems)
		}
		return parsed
	}
	footer := parse("footer", receiptFooter)
	return parse("receipt", receiptBody), template.Options{
		Layout: parse("layout", receiptLayout), Strict: true,
		Partials: func(name string) (*template.Template, bool) { return footer, name == "footer" },
	}
}

func TestTheReceiptOfTheBenchmarkRenders(t *testing.T) {
	t.Parallel()
	body, o := receipt(t)
	got, err := body.String(decode(t, receiptData), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Thank you, Ada!", "Tea pot &lt;small&gt;", `<tr class="first">`, "4 × 9.50 EUR", "(silver)", "<b>129.90 EUR</b>", "Shipping is on us.", "VAT DE123", "<![endif]--></body></html>",
	} {
		if strings.Count(got, want) != 1 {
			t.Errorf("%q is there %d times", want, strings.Count(got, want))
		}
	}
}

// One core's renders of a receipt; the data is read once.
func BenchmarkReceipt(b *testing.B) {
	body, o := receipt(b)
	data := decode(b, receiptData)
	b.ReportAllocs()
	for b.Loop() {
		if err := body.Render(io.Discard, data, o); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "renders/s")
}

// As a request would: JSON in, mail out.
func BenchmarkReceiptFromJSON(b *testing.B) {
	body, o := receipt(b)
	raw := []byte(receiptData)
	b.ReportAllocs()
	for b.Loop() {
		data, err := template.Decode(raw)
		if err != nil {
			b.Fatal(err)
		}
		if err := body.Render(io.Discard, data, o); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "renders/s")
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if parsed, problems := template.Parse(template.Handlebars, template.HTML, "receipt", receiptBody, template.Limits{}); parsed == nil {
			b.Fatal(problems)
		}
	}
}
