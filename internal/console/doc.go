// Package console serves one plain page at "/": the inbox of a key's environment, and one
// message's timeline, SMTP transcript and content. It is a client of the public API and
// nothing else; the server side ([Handler]) only hands out embedded files.
//
// Who opens it logs in: the browser then has a cookie that scripts cannot read, and the page
// says which environment it looks at in a header (package httpapi, cookie.go). The set-up's
// link carries its token in the fragment too.
//
// Without a login it works with an API key. The page keeps the key in the tab's session storage. It takes one from the address's
// fragment (#key=…), which browsers do not send to servers, and removes it from there.
//
// Everything shown comes from messages, so it is foreign: the script writes text nodes
// only, the mail's HTML is put into a frame without any right (sandbox=""), and the policy
// in [Policy] allows no inline script, no style of others and no other origin.
package console
