// Package readers has others read our mail. Each file of testdata is a message as a
// caller asks for it; the built binary accepts it with a test key, its bytes are fetched
// (/raw) and given to three readers nobody here wrote: nodemailer's mailparser, Python's
// email and go-message, and to our own (/content). Each must find what was asked for: who
// it is from and to, the subject, both texts, the caller's header fields, and every file's
// name, type, content id and bytes.
//
// A file of testdata holds "about"; the "request" as it is sent; "expect" where what
// should arrive is not the request's own words (a domain in A-labels, say); and "faults":
// what a reader is known to read wrongly, why, and what it reads instead. Such a fault is
// checked too: another wrong reading fails the test.
//
// mailparser is installed as package-lock.json says, once, into the user's cache.
package readers
