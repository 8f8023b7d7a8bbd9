package smtpd

import (
	"errors"
	"os"
	"strings"
)

// transaction is one MAIL and its RCPTs. Submission makes nothing of the sender: the
// return path is ours, and who may send is judged by the From field.
type transaction struct {
	from string // "" is the null sender (RFC 5321 §4.5.5)
	to   []string
	size int64 // as announced; 0 = not
	utf8 bool
	// spoiled: a BDAT failed, so that what was sent is not whole (RFC 3030 §2).
	spoiled bool
	retry   bool // spoiled by what passes
}

// mail is MAIL FROM.
func (s *session) mail(cmd command) {
	switch {
	case s.helo == "":
		s.nonsense(replyHelo)
		return
	case s.tx != nil:
		s.nonsense(replyNested)
		return
	case !s.role.begin():
		return
	}
	if fault := s.server.pressure(); fault != nil {
		s.server.counts.deferred.Add(1)
		r, _ := replyToFault(fault, s.requestID())
		s.nonsense(r)
		return
	}
	path, parameters, ok := parsePath(cmd.rest, "FROM")
	if !ok {
		s.nonsense(replyPath)
		return
	}
	tx := &transaction{from: path}
	for _, p := range parameters {
		if r, ok := tx.take(p); !ok {
			s.nonsense(r)
			return
		}
	}
	if tx.size > s.server.o.MaxSize {
		s.nonsense(s.server.tooLarge)
		return
	}
	if len(path) > 256 {
		s.nonsense(reply{553, "5.1.7", "the sender is longer than 256 octets"})
		return
	}
	s.tx = tx
	s.say(replySender)
}

// take reads one parameter of MAIL. Those of DSN (RFC 3461) say what reports somebody
// wants; events tell the same, so they are taken and mean nothing.
func (tx *transaction) take(p parameter) (reply, bool) {
	switch p.name {
	case "SIZE":
		size, ok := parseSize(p.value)
		if !ok {
			return reply{501, "5.5.4", "SIZE is a number of octets"}, false
		}
		tx.size = size
	case "BODY":
		if v := strings.ToUpper(p.value); v != "7BIT" && v != "8BITMIME" {
			return reply{501, "5.5.4", "BODY is 7BIT or 8BITMIME"}, false
		}
	case "SMTPUTF8":
		tx.utf8 = true
	case "AUTH", "RET", "ENVID":
	default:
		return reply{555, "5.5.4", "there is no parameter " + shown(clip(p.name)) + " here"}, false
	}
	return reply{}, true
}

func clip(s string) string { return s[:min(len(s), 40)] }

// rcpt is RCPT TO.
func (s *session) rcpt(cmd command) {
	if s.tx == nil {
		s.nonsense(s.role.before(replyNoMail))
		return
	}
	path, parameters, ok := parsePath(cmd.rest, "TO")
	if !ok {
		s.nonsense(replyPath)
		return
	}
	for _, p := range parameters {
		if p.name != "NOTIFY" && p.name != "ORCPT" {
			s.nonsense(reply{555, "5.5.4", "there is no parameter " + shown(clip(p.name)) + " here"})
			return
		}
	}
	s.role.recipient(path)
}

// data is DATA.
func (s *session) data(cmd command) {
	switch {
	case s.tx == nil:
		s.noData(s.role.before(replyNoMail))
		return
	case cmd.rest != "":
		s.noData(replyArguments)
		return
	case s.tx.spoiled:
		s.noData(reply{503, "5.5.1", "DATA cannot follow BDAT; RSET first"})
		return
	case len(s.tx.to) == 0:
		s.noData(replyNoRcpt)
		return
	}
	defer func() { s.tx = nil }()
	if !s.role.enter() {
		s.contentFollows()
		return
	}
	defer s.role.leave()
	s.say(replyGo)
	if s.wire.flush() != nil {
		s.ended = true
		return
	}
	o := &s.server.o
	s.role.handIn(&dots{w: s.wire, pace: newPace(o), left: o.MaxSize})
}

// noData refuses DATA.
func (s *session) noData(r reply) {
	s.nonsense(r)
	s.contentFollows()
}

// contentFollows ends the conversation with a client that has not waited for the answer to
// its DATA (RFC 2920 §3.1 makes it wait): what it has sent is content, and a message that
// somebody quoted in there would be read as commands.
func (s *session) contentFollows() {
	if len(s.wire.buffered()) > 0 {
		s.ended, s.linger = true, true
	}
}

// bdat is BDAT. A chunk outside a transaction is passed over: it is on its way already.
func (s *session) bdat(cmd command) {
	size, last, ok := parseChunk(cmd.rest)
	if !ok { // where the next command begins nobody knows
		s.linger = true
		s.goodbye(replyChunk)
		return
	}
	o := &s.server.o
	c := &chunks{s: s, pace: newPace(o), left: o.MaxSize, chunk: size, last: last}
	if r, ok := s.mayChunk(); !ok {
		whole := c.drain()
		if s.nonsense(r); !whole {
			s.ended, s.linger = true, true
		}
		return
	}
	s.takeChunks(c)
	if s.tx = nil; !c.last && s.pending == nil { // more chunks may be on their way, to be passed over
		s.tx = &transaction{spoiled: true, retry: s.said.temporary()}
	}
}

// takeChunks takes in a content of which the first chunk comes now.
func (s *session) takeChunks(c *chunks) {
	if !s.role.enter() {
		if !c.drain() {
			s.ended, s.linger = true, true
		}
		return
	}
	defer s.role.leave()
	s.role.handIn(c)
}

// mayChunk tells whether a chunk can be the first of a content.
func (s *session) mayChunk() (reply, bool) {
	switch {
	case s.tx == nil:
		return s.role.before(replyNoMail), false
	case s.tx.spoiled && s.tx.retry:
		return reply{451, "4.3.0", "the transaction failed; RSET, and try again"}, false
	case s.tx.spoiled:
		return reply{503, "5.5.1", "the transaction failed; RSET first"}, false
	case len(s.tx.to) == 0:
		return replyNoRcpt, false
	}
	return reply{}, true
}

// broken tells of a content that did not come to its end.
func (s *session) broken(err error) {
	switch {
	case errors.Is(err, errAbandoned): // the next command is here
	case errors.Is(err, errAmbiguous):
		s.linger = true
		s.goodbye(replyAmbiguous)
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.linger = true
		s.goodbye(replySlow)
	default:
		s.lost(err)
	}
}
