package smtpd

import (
	"errors"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// submission is the role of a session by which people with a key hand in mail.
type submission struct {
	*session

	since   time.Time // without AUTH
	secret  string    // what AUTH was given: asked about again for each transaction
	who     project.Principal
	wrong   int // passwords
	limited int // messages refused by the limits, in a row
}

// forSubmission is the kind of Server that New makes.
var forSubmission = kind{
	role:     func(s *session) role { return &submission{session: s, since: s.began} },
	grace:    graceForUnknown,
	help:     replyHelp,
	tooLarge: replyLarge,
}

func (s *submission) offers() []string {
	if s.mayAuth() && s.secret == "" {
		return []string{"AUTH PLAIN LOGIN"}
	}
	return nil
}

// mayAuth tells whether a password may be said here: under TLS, or where nobody listens.
func (s *submission) mayAuth() bool { return s.secure || s.ip.IsLoopback() }

// last is the end of the patience with who does not say who they are.
func (s *submission) last() time.Time {
	if s.secret != "" {
		return time.Time{}
	}
	return s.since.Add(s.server.o.Unknown)
}

func (s *submission) forget() {
	if s.secret != "" {
		s.since = time.Now() // known until now, and so not slow in saying who it is
	}
	s.secret, s.who = "", project.Principal{}
}

// begin asks about the key anew: one that was revoked meanwhile opens nothing more.
func (s *submission) begin() bool {
	if s.secret == "" {
		s.nonsense(replyNoAuth)
		return false
	}
	if fault := s.identify(s.secret); fault != nil {
		r, _ := replyToFault(fault, s.requestID())
		if fault.Status == unauthorized {
			s.secret, s.since = "", time.Now()
		}
		s.nonsense(r)
		return false
	}
	return true
}

func (s *submission) before(otherwise reply) reply {
	if s.helo != "" && s.secret == "" {
		return replyNoAuth
	}
	return otherwise
}

func (s *submission) recipient(path string) {
	if len(s.tx.to) >= MaxRecipients {
		s.say(replyMany)
		return
	}
	a, err := mail.ParseAddress("<" + path + ">")
	switch bad := (*mail.AddressError)(nil); {
	case errors.As(err, &bad):
		text := "the address " + bad.Reason
		if bad.Suggestion != "" {
			text += "; did you mean " + bad.Suggestion + "?"
		}
		s.nonsense(reply{553, "5.1.3", shown(text)})
	case err != nil:
		s.nonsense(reply{553, "5.1.3", "this is no e-mail address"})
	case !a.ASCII() && !s.tx.utf8:
		s.nonsense(replyUTF8)
	default:
		s.tx.to = append(s.tx.to, a.Email)
		s.say(replyRecipient)
	}
}

// enter counts the message among those that its key hands in at the same time.
func (s *submission) enter() bool {
	if s.server.limits.Enter(s.who) {
		return true
	}
	s.limit(crowdedKey, 1)
	return false
}

func (s *submission) leave() { s.server.limits.Leave(s.who) }
