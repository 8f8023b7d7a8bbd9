// Package persona is a scripted mail exchanger: a server that plays a recipient's site, well
// behaved or not, from a text anyone can read. Tests use it as the other side of
// deliveries, `postroad sink` hands it to users, and the benchmark uses its plain persona as
// a fast sink.
//
// [Load] reads a [Script] by the name of a built-in persona ([Names]) or from a file, [Listen]
// plays it. [Server.Messages] and [Server.Wait] tell what was received.
//
// # The language
//
// One statement a line; '#' at the beginning of a line makes a comment.
//
//	about TEXT            what this persona is, in a line
//	host NAME             what it calls itself; mx.persona.test
//	offer WORD …          what EHLO offers, replacing the default: PIPELINING SIZE=52428800
//	                      8BITMIME SMTPUTF8 ENHANCEDSTATUSCODES STARTTLS CHUNKING; "offer nothing"
//	cert KIND             good (self-signed, for its host; the default), expired, wrong-name
//	on EVENT [<GLOB>] [COUNT] [SCOPE]: ACTION; ACTION …
//
// EVENT is what just happened: connect, EHLO (HELO too), STARTTLS, MAIL, RCPT, DATA, content
// (the first line after 354 came in), dot (the final dot came in; BDAT LAST too), RSET, QUIT.
//
// GLOB stands in angle brackets and is matched against the address of MAIL and RCPT, and
// against the name of EHLO; '*' matches anything. Case does not matter.
//
// COUNT says which of the matching events the rule takes: once, times N (the first N),
// after N (all but the first N), every N (the Nth, 2Nth …); all without it. SCOPE
// says what is counted apart: per session, per client (its IP address), per recipient (the
// last address of RCPT or MAIL); the whole server without it. A rule that does not take
// an event has counted it all the same.
//
// Rules are asked in the order they are written; the first that takes the event acts, and what
// its actions leave open happens as without it. An action is one of:
//
//	CODE TEXT             reply; \n makes it a multi-line reply, \xHH is any byte, \; a semicolon;
//	                      {host} {client} {to} {from} and {fill N} (N letters) are filled in
//	raw TEXT              bytes as they are, with \r and \n
//	sleep DURATION        nothing happens for so long
//	drip DURATION         from here on each byte of a reply takes so long
//	take                  the message counts as received (said at dot, before a close)
//	close                 the connection ends; reset: it ends with RST
//	tls broken            (STARTTLS) 220, then something that is not TLS
//	tls inject            (STARTTLS) 220, and a reply nobody asked for in the same packet
//	starttls hide         (EHLO) STARTTLS is not offered
package persona
