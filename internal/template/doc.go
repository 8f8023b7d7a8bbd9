// Package template is the language mails are written in: one tree for Handlebars as
// SendGrid's users write it and Mustache as Postmark's do, made for templates and data of
// strangers.
//
// [Parse] reads a source and reports every [Problem] it has, with line and column; a
// [Template] that came out is immutable and may be rendered by any number of goroutines.
// [Decode] turns raw JSON into data: objects keep their order, numbers stay as written,
// a name twice is refused. [Template.Render] writes the result. It knows no functions of
// the data's, reads no files and no clock but that of its [Budget]; every loop, partial and
// byte is paid for, so whatever the template and the data are, it ends.
//
// In the format [HTML] a value is escaped for where it stands, which a small state machine
// over the text (html.go) knows: text, quoted and bare attributes, addresses in href or src
// (an unknown scheme becomes about:invalid), style, script. Its work over literal text is
// done once, when parsing; rendering repeats it only where a partial or a {{{raw}}} value
// ended somewhere else than was supposed. [Text] escapes nothing, [Subject] keeps a value
// on its line. Literal text is never touched: what Outlook's conditional comments say
// arrives byte for byte.
//
// With [Options.Strict] a printed variable that is not there (or null) is a
// [*MissingError] naming all of them with JSON pointers. A variable is optional where it
// is tested (if, unless, and, or, not, sections) or given a default: {{insert name
// "default=friend"}}. [Template.Variables] infers the same without data.
//
// # Handlebars
//
// Paths (a.b, a.[b c], ../a, this, @root @index @key @first @last), {{{raw}}} {{&raw}},
// if unless each with, else and else-chains, block parameters, subexpressions, comments,
// whitespace control, partials with context and arguments, inline partials, partial
// blocks (layouts), raw blocks, \{{. And SendGrid's helpers: equals notEquals greaterThan
// lessThan and or not length insert formatDate (helper.go says what each does). Where the
// result differs from npm handlebars, testdata/handlebars/differences.json says why; beyond
// that, objects keep the order of their JSON, where JavaScript has names that are numbers
// first, and numbers print as they are written: 9.90 is not 9.9.
//
// # Mustache
//
// The specification's comments, delimiters, interpolation, inverted, partials and
// sections; from Postmark's dialect {{#each list}}, ../ and {{{@content}}} of a layout.
// No lambdas.
package template
