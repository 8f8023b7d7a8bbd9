package template_test

import (
	"errors"
	"fmt"
	"os"

	"github.com/postroad/postroad/internal/template"
)

func Example() {
	const source = `<p>Hi {{insert name "default=there"}},</p>
{{#each items}}
<a href="{{url}}">{{title}}</a>
{{else}}
<p>Nothing new.</p>
{{/each}}
`
	t, problems := template.Parse(template.Handlebars, template.HTML, "news", source, template.Limits{})
	if t == nil {
		fmt.Println(problems)
		return
	}
	data, _ := template.Decode([]byte(`{"items":[{"title":"Tom & Ada","url":"https://news.example/1"},{"title":"?","url":"javascript:alert(1)"}]}`))
	_ = t.Render(os.Stdout, data, template.Options{Strict: true})

	data, _ = template.Decode([]byte(`{"items":[{"title":"One"}]}`))
	_, err := t.String(data, template.Options{Strict: true})
	if missing := new(template.MissingError); errors.As(err, &missing) {
		fmt.Println("missing", missing.Missing[0].Pointer)
	}
	// Output:
	// <p>Hi there,</p>
	// <a href="https://news.example/1">Tom &amp; Ada</a>
	// <a href="about:invalid">?</a>
	// missing #/template_data/items/0/url
}
