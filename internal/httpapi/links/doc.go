// Package links is the door of recipients: what the links in mail lead to.
//
//	GET  /u/{token}   a page with a button; it changes nothing, since scanners follow links
//	POST /u/{token}   unsubscribes: one-click (RFC 8058), or the page's buttons
//	GET  /c/{token}   leads on to the URL that is signed in the link, and counts a click
//	GET  /o/{token}   an image of one pixel, and counts an open
//
// Who comes here has no key and no account, so nothing is told that the mail itself did
// not: the sender, the topic, that it was done. A token we did not sign is a 404, like one
// of a message that is not kept any more. Pages use no script, no cookie and nothing from
// elsewhere, and work in any language's browser: plain HTML with one style.
package links
