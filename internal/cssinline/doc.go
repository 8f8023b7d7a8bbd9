// Package cssinline turns <style> blocks into style attributes, for mail programs that
// ignore the former. It works on the source of a template, when that is published.
//
// [Inline] is the whole of it: mask the template's tags (mask.go), find the elements
// (document.go) and the rules (stylesheet.go), match them (selector.go), and cut and
// insert in the source (inline.go). The document is never written anew: what is not
// inserted or taken out stays byte for byte, template tags and Outlook's conditional
// comments included.
//
// Selectors of types, classes, ids and attributes, joined by descendant and child, in
// lists, become inline by specificity, order and !important; an element's own style
// attribute comes after. A rule leaves its <style> only when that cannot change anything:
// media queries, other at-rules, pseudo classes, siblings and * stay, and so does every
// rule that may match what is not known yet: elements of partials and of {{{raw}}} values,
// classes that are template tags, elements inside conditional comments. Rules with template
// tags in them stay too and are not inlined, since the tag would mean something else there.
//
// An inline style wins over every rule that stays, unless that says !important: see
// [Result.Overridden].
package cssinline
