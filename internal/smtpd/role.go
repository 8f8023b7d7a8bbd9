package smtpd

import "time"

// role is what a session is for: what decides where the protocol leaves a choice. Each
// session has its own. A method that gives false has replied.
type role interface {
	// offers is what EHLO names besides what every session offers.
	offers() []string
	// last is when the session ends whatever is said until then; zero: it goes on.
	last() time.Time
	// forget drops what the client said of itself: TLS begins (RFC 3207 §4.2).
	forget()
	auth(cmd command)
	// begin is asked at MAIL.
	begin() bool
	// before is the reply to what needs a transaction when none is open: otherwise, unless
	// something else is missing before that.
	before(otherwise reply) reply
	// recipient judges a RCPT and replies to it.
	recipient(path string)
	// enter is asked before a content is read; true: leave is called after it.
	enter() bool
	leave()
	// handIn reads a content, does with it what the session is for, and replies.
	handIn(in incoming)
}

// kind makes a Server the one door or the other.
type kind struct {
	role     func(*session) role
	grace    time.Duration // how long a place is kept for who did nothing with it, when all are taken
	help     reply
	tooLarge reply
}
