// Package smtp is our end of an SMTP conversation with a mail exchanger: it says what
// RFC 5321 says a client says, and tells exactly what was answered and where it broke.
// It knows nothing of queues, routes and retries, and never dials: it is handed a
// connection.
//
// A conversation, in the order of its calls:
//
//	c := New(conn, "mx1.example.org", Timeouts{}, log)
//	c.Greet(ctx)           the banner: 220, or a refusal
//	c.Hello(ctx)           EHLO, and HELO where EHLO is not known; then c.Offers()
//	c.StartTLS(ctx, cfg)   RFC 3207; then c.Hello again
//	c.Auth(ctx, user, password)  where somebody asks for it: smart hosts (RFC 4954)
//	c.Send(ctx, tx)        one message to several recipients; as often as c.Usable()
//	c.Quit()               or c.Close() when there is nobody left to be polite to
//
// Send says MAIL, every RCPT and DATA in one write when the site offers PIPELINING
// (RFC 2920), reads their replies, then writes header, body and final dot in one write
// when the message is small: two writes and two reads a message. RSET is said lazily,
// together with the next MAIL, and only after a transaction that was left open.
//
// CHUNKING (RFC 3030) is deliberately not used. A pipelined BDAT would save one round
// trip, but it puts the whole message on the wire before MAIL was answered. Every
// connection lost in a transaction would be uncertain (today: only those lost
// after the dot), no second host could be tried, and a site that does not swallow the
// chunk of a refused MAIL would read our text as commands. Lanes hide the round trip with a
// second connection. What it would save is processor time: for a message of 2 KB over
// loopback 17 µs instead of 31 µs, both ends together (BenchmarkDATAAgainstBDAT in deliver).
//
// Two things end a conversation early. The caller's wish to begin nothing more needs
// no support here: it does not call Send. A ctx that ends closes the connection at
// once; [Result.AfterDot] then tells whether the site may have the message.
package smtp
