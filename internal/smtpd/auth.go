package smtpd

import (
	"bytes"
	"encoding/base64"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

const scope = "messages.send"

// auth is AUTH (RFC 4954): PLAIN (RFC 4616) or LOGIN, the password an API key, the user
// name whatever they like.
func (s *submission) auth(cmd command) {
	mechanism, initial, given := strings.Cut(cmd.rest, " ")
	switch {
	case s.helo == "":
		s.nonsense(replyHelo)
		return
	case !s.mayAuth():
		s.nonsense(replyAuthClear)
		return
	case s.secret != "":
		s.nonsense(replyKnownNow)
		return
	case s.tx != nil:
		s.nonsense(replyNested)
		return
	}
	var secret string
	var ok bool
	switch strings.ToUpper(mechanism) {
	case "PLAIN":
		secret, ok = s.plain(initial, given)
	case "LOGIN":
		secret, ok = s.login(initial, given)
	default:
		s.nonsense(replyMechanism)
		return
	}
	if ok {
		s.judge(secret)
	}
}

// plain is one message: authorisation identity, user name and password with NULs between.
func (s *submission) plain(initial string, given bool) (secret string, ok bool) {
	var answer []byte
	if !given {
		if answer, ok = s.ask(""); !ok {
			return "", false
		}
	} else if answer, ok = decode([]byte(initial)); !ok {
		s.nonsense(replyBase64)
		return "", false
	}
	parts := bytes.Split(answer, []byte{0})
	if len(parts) != 3 {
		s.nonsense(replyBase64)
		return "", false
	}
	return string(parts[2]), true
}

// login asks twice, in the words all clients expect.
func (s *submission) login(_ string, given bool) (secret string, ok bool) {
	if !given {
		if _, ok := s.ask("Username:"); !ok {
			return "", false
		}
	}
	answer, ok := s.ask("Password:")
	return string(answer), ok
}

// ask sends a challenge and reads its answer. False: it has replied.
func (s *submission) ask(challenge string) ([]byte, bool) {
	s.say(reply{334, "", base64.StdEncoding.EncodeToString([]byte(challenge))})
	line, ok := s.readLine()
	if !ok {
		return nil, false
	}
	if len(line) == 1 && line[0] == '*' {
		s.nonsense(replyCancelled)
		return nil, false
	}
	answer, ok := decode(line)
	if !ok {
		s.nonsense(replyBase64)
	}
	return answer, ok
}

func decode(text []byte) ([]byte, bool) {
	out := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(out, text)
	return out[:n], err == nil
}

// judge lets somebody in who has a key that may send.
func (s *submission) judge(secret string) {
	if s.server.guesses.crowded(s.ip) {
		s.goodbye(replyGuessing)
		return
	}
	fault := s.identify(secret)
	switch {
	case fault == nil:
		s.secret, s.junk = secret, 0
		s.server.crowd.know(s.session)
		s.wire.widen()
		s.say(replyKnown)
	case fault.Status == unauthorized:
		s.refuseKey(fault)
	default:
		r, _ := replyToFault(fault, s.requestID())
		s.nonsense(r)
	}
}

// identify asks who has this key and whether they may send from here.
func (s *submission) identify(secret string) *mail.Error {
	now := s.server.o.Now()
	who, fault := s.server.o.Access.Authenticate(s.server.kill, secret, s.ip, now)
	if fault != nil {
		return fault
	}
	if fault := s.server.o.Access.Authorize(who, scope, s.ip); fault != nil {
		return fault
	}
	s.server.o.Access.Note(who, "SMTP "+s.helo, now)
	s.who = who
	return nil
}

// refuseKey holds its answer back for longer with each wrong key of an address.
func (s *submission) refuseKey(fault *mail.Error) {
	now := s.server.o.Now()
	standing := s.server.limits.TakeAddress(s.ip, now)
	delay, done, ok := s.server.guesses.wrong(s.ip, now)
	if !ok {
		s.goodbye(replyGuessing)
		return
	}
	defer done()
	s.wrong++
	s.server.counts.wrongKeys.Add(1)
	s.server.o.Log.Info("SMTP AUTH refused", "client", s.ip.String(), "code", fault.Code, "delay", delay.String())
	select {
	case <-time.After(delay):
	case <-s.server.kill.Done():
	}
	if s.wrong >= wrongInSession || !standing.OK {
		s.goodbye(replyGuessing)
		return
	}
	s.nonsense(reply{535, "5.7.8", shown(fault.Message)})
}
