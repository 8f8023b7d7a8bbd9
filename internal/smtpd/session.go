package smtpd

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// session is one connection from greeting to goodbye. Its goroutine alone touches it,
// but for wire.interrupt and the crowd's own fields.
type session struct {
	server   *Server
	wire     *wire
	ip       netip.Addr
	began    time.Time
	implicit bool // begins with TLS
	secure   bool // is under TLS
	role     role

	counted bool          // the crowd's
	place   *list.Element // the crowd's: among the unknown
	useful  time.Time     // the crowd's: when it last was, to begin with when it came

	helo    string
	tx      *transaction
	pending *command // read already, to be obeyed next
	said    reply    // the last one, but for those to single chunks

	junk    int   // commands that made no sense or came to nothing, in a row
	drained int64 // octets of chunks that nobody wanted, since the last message accepted
	ended   bool
	linger  bool // at the end read a little of what is still coming
}

// maxJunk is how many commands that lead nowhere a session may have in a row.
const maxJunk = 100

const handshakeTime = 20 * time.Second

func newSession(s *Server, conn net.Conn, implicit bool) *session {
	x := &session{server: s, wire: newWire(conn, 30*time.Second), ip: clientAddress(conn.RemoteAddr()), began: time.Now(), implicit: implicit}
	x.role = s.role(x)
	return x
}

func (s *session) requestID() string { return mail.NewID(s.server.o.Now()).Text(mail.PrefixRequest) }

// run is the whole conversation; its caller closes the connection.
func (s *session) run() {
	if s.implicit && !s.secureNow() {
		return
	}
	s.say(reply{220, "", s.server.o.Hostname + " ESMTP Postroad"})
	for !s.ended {
		if cmd, ok := s.next(); ok {
			s.obey(cmd)
		}
		if s.junk > maxJunk {
			s.goodbye(replyJunk)
		}
	}
}

// next reads a command. False: there was none, or none any more; it has replied.
func (s *session) next() (command, bool) {
	if cmd := s.pending; cmd != nil {
		s.pending = nil
		return *cmd, true
	}
	line, ok := s.readLine()
	if !ok {
		return command{}, false
	}
	if unreadable(line) {
		s.nonsense(replyUnread)
		return command{}, false
	}
	return parseCommand(line), true
}

// readLine reads a line. False: it has said goodbye.
func (s *session) readLine() ([]byte, bool) {
	until := time.Now().Add(s.server.o.Idle)
	if end := s.role.last(); !end.IsZero() && end.Before(until) {
		until = end
	}
	line, err := s.wire.readLine(until)
	if err != nil {
		s.lost(err)
		return nil, false
	}
	return line, true
}

// lost says goodbye to somebody from whom nothing more is read.
func (s *session) lost(err error) {
	switch {
	case errors.Is(err, errStopping):
		s.goodbye(replyStopping)
	case errors.Is(err, errEvicted):
		s.goodbye(replyCrowded)
	case errors.Is(err, errPressed):
		s.goodbye(replyNoRoom)
	case errors.Is(err, errLineTooLong):
		s.linger = true
		s.goodbye(replyLong)
	case errors.Is(err, errBareEnd):
		s.linger = true
		s.goodbye(replyBare)
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.goodbye(replyIdle)
	}
	s.ended = true
}

func (s *session) say(r reply) {
	s.said = r
	s.wire.say(r)
}

func (s *session) goodbye(r reply) {
	s.say(r)
	s.ended = true
}

// nonsense is a reply to what leads nowhere.
func (s *session) nonsense(r reply) {
	s.junk++
	s.say(r)
}

func (s *session) obey(cmd command) {
	switch cmd.verb {
	case "EHLO", "HELO":
		s.hello(cmd)
	case "STARTTLS":
		s.startTLS(cmd)
	case "AUTH":
		s.role.auth(cmd)
	case "MAIL":
		s.mail(cmd)
	case "RCPT":
		s.rcpt(cmd)
	case "DATA":
		s.data(cmd)
	case "BDAT":
		s.bdat(cmd)
	case "RSET":
		s.tx = nil
		s.nonsense(replyOK)
	case "NOOP":
		s.nonsense(replyOK)
	case "VRFY":
		s.nonsense(replyVerify)
	case "EXPN":
		s.nonsense(replyNoExpand)
	case "HELP":
		s.nonsense(s.server.help)
	case "QUIT":
		s.goodbye(replyBye)
	case "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT":
		// Somebody's browser or server was made to speak to us: commands may stand in the body.
		s.linger = true
		s.goodbye(replyHTTP)
	default:
		s.nonsense(replyUnknown)
	}
}

// hello answers EHLO with what is offered.
func (s *session) hello(cmd command) {
	if cmd.rest == "" {
		s.nonsense(replyHeloName)
		return
	}
	s.junk++ // forgiven by the next message
	s.helo, s.tx = heloName(cmd.rest), nil
	if cmd.verb == "HELO" {
		s.say(reply{250, "", s.server.o.Hostname})
		return
	}
	offers := []string{s.server.o.Hostname, "PIPELINING", "SIZE " + strconv.FormatInt(s.server.o.MaxSize, 10), "8BITMIME", "SMTPUTF8", "CHUNKING", "ENHANCEDSTATUSCODES"}
	if s.server.o.TLS != nil && !s.secure {
		offers = append(offers, "STARTTLS")
	}
	s.say(reply{250, "", strings.Join(append(offers, s.role.offers()...), "\n")})
}

func (s *session) startTLS(cmd command) {
	switch {
	case s.server.o.TLS == nil:
		s.nonsense(replyNoTLS)
	case s.secure:
		s.nonsense(replyTLSNow)
	case cmd.rest != "":
		s.nonsense(replyArguments)
	case s.tx != nil:
		s.nonsense(replyNested)
	case len(s.wire.buffered()) > 0:
		// Somebody in between may have put commands there, to be obeyed as if they came
		// under TLS (CVE-2011-0411).
		s.linger = true
		s.goodbye(replyPipelined)
	default:
		s.say(replyReady)
		if s.wire.flush() != nil || !s.secureNow() {
			s.ended = true
			return
		}
		s.helo = ""
		s.role.forget()
	}
}

// secureNow shakes hands. What was known of the client is forgotten by the caller
// (RFC 3207 §4.2).
func (s *session) secureNow() bool {
	conn := tls.Server(s.wire.raw, s.server.o.TLS)
	ctx, cancel := context.WithTimeout(s.server.kill, handshakeTime)
	defer cancel()
	if s.wire.shake() != nil {
		return false
	}
	err := conn.HandshakeContext(ctx)
	s.wire.awake()
	if err != nil {
		if !errors.Is(err, io.EOF) {
			s.server.o.Log.Debug("SMTP handshake", "client", s.ip.String(), "error", err)
		}
		return false
	}
	s.wire.over(conn)
	s.secure = true
	return true
}
