// Package render turns content as callers give it into the message that is kept and
// sent. [Renderer.Body] makes subject, HTML and text: from a template ([Templates]) or
// as written, with the text made from the HTML ([PlainText]) when there is none.
// [Renderer.Message] puts the body into a [mime.Message] with all header fields.
// Rendering comes before anything is stored: a template's fault is the caller's answer.
//
// # Templates
//
// [Library] keeps them. Its language is package template's; here are their names, versions
// and languages, and what a send, a preview and a publication do with them. They stand here
// and not in a package of their own as they are half of what rendering is: both halves
// change together, and know the same few types.
//
//	Library.Render   alias → head → version, compiled → each part      apply.go
//	head, version    what is known of templates; read again, or once   library.go
//	compile, pick    a version's trees, and those of one language      compile.go, locale.go
//	Create, Update   descriptions; judged in judge.go                  manage.go
//	Publish          drafts, publications, rollbacks                   publish.go
//	Preview          and Validate: the same work, nothing sent         preview.go, lint.go
//	infer            what data a version asks for                      infer.go
//	Diff             what changed between two versions                 diff.go
//
// All changes are one call of [Store.ChangeTemplate], which holds only if the template still
// is as it was read; [Library.change] reads again and repeats. Versions never change, so a
// compiled one is good for ever; only a template's description, which says which version is
// published, is read again, once a second.
package render
