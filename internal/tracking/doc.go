// Package tracking writes what differs in each recipient's copy of a message, and knows it
// again when it comes back: unsubscribe links, links that count clicks, opens.
//
// One message has one stored body. Where a recipient's own token belongs, the body holds
// a placeholder of the same width, and delivery puts the token there while it sends:
//
//	at accept     [NewMarks] draws a marker for the message, 65 random bits no content can
//	              know; [Marks.Unsubscribe], [Marks.Rewrite] write placeholders with it
//	at delivery   [Tokens.Stamp] gives the copy of one delivery, the same size to the byte;
//	              it is signed after that, so each copy's DKIM signature covers its tokens
//	coming back   [Tokens.Parse], [Tokens.ParseClick], [Tokens.ParseMailto] tell which
//	              delivery a token is about; what we did not sign is no token
//	              [Machine] tells what opens and follows links without a person
//
// A placeholder and a token are 32 characters of lower-case base32, so nothing of a
// message has to move, no transfer encoding touches them, and a mail system that changes
// the case of a local part does no harm:
//
//	placeholder   marker (13) kind and index (3) digest (16)
//	token         delivery's row (8 bytes), kind and index (2), signature (10)
//
// The signature covers the digest too: for a click, that of the host and the URL which
// follow the token in the link. So a token leads to its own URL at its own host, nowhere
// else, and following a link needs no look-up.
package tracking
