// Package smtpd has the doors for what speaks SMTP: message submission (RFC 6409), made by
// [New], and the inbound door for reports about our mail, made by [NewInbound]. It
// translates an SMTP conversation into a [submit.RawRequest] or a [report.Letter], and what
// came of it into a reply; it decides nothing about mail.
//
// A [Server] serves listeners. Each connection is a session, which goes
//
//	greeted ──EHLO──▶ hello ──STARTTLS──▶ greeted anew, under TLS
//	                  hello ──AUTH──────▶ known ──MAIL──▶ RCPT … ──DATA or BDAT──▶ known
//
// and is made of
//
//	wire.go         lines in, replies out, each step with its deadline
//	command.go      the grammar of commands: paths and parameters
//	session.go      what may be said when
//	role.go         what a session is for: where the two doors differ
//	submission.go   to hand in mail with a key; reception.go: to bring reports
//	auth.go         PLAIN and LOGIN with an API key; guess.go slows who guesses
//	transaction.go  MAIL, RCPT, DATA, BDAT
//	dots.go         content as DATA sends it; chunks.go as BDAT does
//	handin.go       content → submit → reply; reply.go has the table of replies
//	crowd.go        how many may be connected, in all and from one address
//	inbound.go      the door for reports; room.go: the memory for large ones
//
// Replies are gathered and written when nothing more was pipelined, so that a client that
// sends MAIL, RCPT and DATA in one write reads three replies in one read.
//
// At the inbound door there is no AUTH, so nobody is ever known: mail is taken in for the
// addresses that [Reports] welcomes, from anybody, and never passed on. Whatever a client
// holds, a place or memory, goes to the next one in need once nothing useful was done with
// it for the grace, in the middle of a content too.
//
// Two promises shape both. A 250 after the content is written after the commit. And nothing
// that will pass by itself is answered with a 5xx.
//
// Smuggling: a message ends at CRLF.CRLF and nowhere else, a command at CRLF. Content with
// a CR or LF alone is refused by [submit.ReadRaw], as over HTTP; a report may have it, and
// goes nowhere else. A line that some servers would take for the end (LF.LF, LF.CRLF,
// CR.CR, …) ends the conversation: whatever comes behind it is never read as commands. Nor is
// what was sent behind a DATA that is refused, or behind an HTTP request. smuggling_test.go
// has the list.
package smtpd
