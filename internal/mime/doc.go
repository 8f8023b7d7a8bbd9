// Package mime writes and reads Internet messages (RFC 5322, 2045–2047, 2231, 6532).
//
// Writing: fill a [Message], then [Message.Check] it (attachments are validated, their
// size and digest taken), ask [Message.EstimateSize] whether it should stand in memory,
// and [Message.Append] it to a buffer or [Message.WriteTo] a file. The same Message
// gives the same bytes each time. Nothing of a caller's can add a header field or break
// a line: a field with CR, LF or NUL in it is an [*InjectionError], every other
// character that ASCII fields cannot hold travels in encoded words. However large the
// attachments are, writing holds a few dozen kilobytes.
//
// Keeping: [ReadOriginal] looks at a message somebody else wrote, refuses what is not
// made of lines, and lets fields be taken out and put in front; the rest goes out byte for
// byte. [ReadAddresses] and [DecodeWords] read what stands in its fields.
//
// Reading: [Parse] gives the [Parts] of a message (texts, header fields, the list of
// attachments) within [Limits], and does its best with broken ones; [CopyAttachment]
// writes one attachment's bytes. [Extract] finds one-time codes and links, for tests
// of flows that send them.
package mime
