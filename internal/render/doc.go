// Package render turns content as callers give it into the message that is kept and
// sent. [Renderer.Body] makes subject, HTML and text: from a template ([Templates]) or
// as written, with the text made from the HTML ([PlainText]) when there is none.
// [Renderer.Message] puts the body into a [mime.Message] with all header fields.
// Rendering comes before anything is stored: a template's fault is the caller's answer.
package render
