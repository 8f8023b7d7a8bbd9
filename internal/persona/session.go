package persona

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// idle is how long a session waits for a command or the next piece of content.
const idle = 10 * time.Minute

// errEnd ends a session on purpose.
var errEnd = errors.New("the script ends the session")

// session is one connection. One goroutine runs it.
type session struct {
	server *Server
	raw    net.Conn
	conn   net.Conn // raw, or TLS over it
	in     *bufio.Reader
	out    []byte // replies not yet written: flushed when there is nothing more to read
	number int64
	remote netip.AddrPort
	secure string
	drip   time.Duration
	wanted bool // somebody wants to see messages, so addresses and content are kept
	hidden bool // STARTTLS is not offered

	hello string
	mail  bool   // MAIL was accepted
	from  string // the last address of MAIL
	last  string // the last address of RCPT
	to    []string
	rcpts int // recipients accepted
	utf8  bool

	granted bool // DATA was answered 354
	chunks  bool // a chunk of BDAT came, its last did not
	parser  contentParser
	data    []byte
	id      []byte
	size    int64
	bare    int
	taken   bool
}

func newSession(server *Server, conn net.Conn) *session {
	s := &session{
		server: server, raw: conn, conn: conn, in: bufio.NewReaderSize(conn, 16<<10),
		number: server.sessions.Add(1), wanted: server.o.Keep || server.o.OnMessage != nil,
	}
	if addr, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		s.remote = addr.AddrPort()
	}
	return s
}

func (s *session) run() {
	if s.react(onConnect, "", func() { s.reply("220 " + s.server.script.host + " ESMTP persona " + s.server.script.Name) }) != nil {
		return
	}
	for {
		line, err := s.readCommand()
		if err == nil {
			err = s.command(line)
		}
		if err != nil {
			_ = s.flush()
			return
		}
	}
}

// readCommand reads a line, after sending what the other side may be waiting for.
func (s *session) readCommand() ([]byte, error) {
	if s.in.Buffered() == 0 {
		if err := s.flush(); err != nil {
			return nil, err
		}
		_ = s.raw.SetReadDeadline(time.Now().Add(idle))
	}
	line, err := s.in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	line = bytes.TrimRight(line, "\r\n")
	if s.server.o.Trace != nil {
		s.traced("C", string(line))
	}
	return line, nil
}

// command does what one line asks for.
func (s *session) command(line []byte) error {
	verb, rest, _ := bytes.Cut(line, []byte{' '})
	var known [10]byte
	switch string(upper(known[:0], verb)) {
	case "EHLO", "HELO":
		s.hello = string(rest)
		return s.react(onHello, s.hello, func() { s.greet(verb[0]|0x20 == 'e') })
	case "MAIL":
		return s.mailCommand(rest)
	case "RCPT":
		return s.rcptCommand(rest)
	case "DATA":
		return s.dataCommand()
	case "BDAT":
		return s.bdatCommand(rest)
	case "STARTTLS":
		return s.startTLS()
	case "RSET":
		s.reset()
		return s.react(onReset, "", func() { s.reply("250 2.0.0 Ok") })
	case "NOOP":
		s.reply("250 2.0.0 Ok")
	case "QUIT":
		if err := s.react(onQuit, "", func() { s.reply("221 2.0.0 Bye") }); err != nil {
			return err
		}
		return errEnd
	default:
		s.reply("500 5.5.2 Unknown command")
	}
	return nil
}

// upper appends b in upper case as far as a verb can be long.
func upper(dst, b []byte) []byte {
	for _, c := range b[:min(len(b), 10)] {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// greet answers EHLO or HELO.
func (s *session) greet(extended bool) {
	s.reset()
	if !extended {
		s.reply("250 " + s.server.script.host)
		return
	}
	lines := []string{s.server.script.host + " greets " + s.hello}
	for _, word := range s.server.script.offer {
		if word == "STARTTLS" && (s.secure != "" || s.hidden) {
			continue
		}
		lines = append(lines, strings.Replace(word, "=", " ", 1))
	}
	for i, line := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		s.reply("250" + sep + line)
	}
}

func (s *session) mailCommand(rest []byte) error {
	address, parameters, ok := addressOf(rest, "FROM:")
	if !ok {
		s.reply("501 5.5.4 MAIL FROM:<address>")
		return nil
	}
	if s.mail {
		s.reply("503 5.5.1 Nested MAIL command")
		return nil
	}
	s.utf8 = bytes.Contains(parameters, []byte("SMTPUTF8"))
	if s.wanted || len(s.server.rules[onMail]) > 0 {
		s.from = string(address)
	}
	return s.react(onMail, s.from, func() {
		s.mail = true
		s.reply("250 2.1.0 Ok")
	})
}

func (s *session) rcptCommand(rest []byte) error {
	address, _, ok := addressOf(rest, "TO:")
	if !ok {
		s.reply("501 5.5.4 RCPT TO:<address>")
		return nil
	}
	if !s.mail {
		s.reply("503 5.5.1 Need MAIL first")
		return nil
	}
	if s.wanted || len(s.server.rules[onRcpt]) > 0 || len(s.server.rules[onDot]) > 0 {
		s.last = string(address)
	}
	return s.react(onRcpt, s.last, func() { s.reply("250 2.1.5 Ok") })
}

// addressOf reads FROM:<address> or TO:<address> and what follows.
func addressOf(rest []byte, word string) (address, parameters []byte, ok bool) {
	if len(rest) < len(word) || !bytes.EqualFold(rest[:len(word)], []byte(word)) {
		return nil, nil, false
	}
	rest = bytes.TrimLeft(rest[len(word):], " ")
	end := bytes.LastIndexByte(rest, '>')
	if len(rest) < 2 || rest[0] != '<' || end < 1 {
		return nil, nil, false
	}
	return rest[1:end], rest[end+1:], true
}

func (s *session) startTLS() error {
	if s.secure != "" {
		s.reply("503 5.5.1 TLS is active already")
		return nil
	}
	accepted := false
	err := s.react(onStartTLS, "", func() {
		accepted = true
		s.reply("220 2.0.0 Ready to start TLS")
	})
	if err != nil || !accepted {
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	conn := tls.Server(s.raw, s.server.tls)
	if err := conn.Handshake(); err != nil {
		s.traced("!", "TLS: "+err.Error())
		return err
	}
	s.secure = tls.VersionName(conn.ConnectionState().Version)
	s.conn, s.in = conn, bufio.NewReaderSize(conn, 16<<10)
	s.hello = ""
	s.reset()
	return nil
}

func (s *session) reset() {
	s.mail, s.rcpts, s.utf8, s.chunks, s.to = false, 0, false, false, nil
}

// react lets the first rule that takes an event act, then does what the rule left open.
func (s *session) react(e event, subject string, otherwise func()) error {
	for _, r := range s.server.rules[e] {
		if !r.takes(subject, s.scopeKey) {
			continue
		}
		answered, err := s.act(e, r.actions)
		if err != nil || answered {
			return err
		}
		break
	}
	otherwise()
	if e == onRcpt {
		s.acceptRcpt()
	}
	return nil
}

// scopeKey is what a rule of a scope counts apart.
func (s *session) scopeKey(scope string) string {
	switch scope {
	case "session":
		return strconv.FormatInt(s.number, 10)
	case "client":
		return s.remote.Addr().String()
	case "recipient":
		if s.last != "" {
			return strings.ToLower(s.last)
		}
		return strings.ToLower(s.from)
	}
	return ""
}

// act does what a rule says. It tells whether the event was answered.
func (s *session) act(e event, actions []action) (answered bool, err error) {
	for _, a := range actions {
		switch a.kind {
		case doReply:
			s.replyText(a.code, s.fill(a.text))
			s.took(e, a.code)
			answered = true
		case doRaw:
			s.out = append(s.out, s.fill(a.text)...)
			answered = true
		case doSleep:
			_ = s.flush()
			s.sleep(s.pace(a.wait))
		case doDrip:
			s.drip = s.pace(a.wait)
		case doTake:
			s.take()
		case doClose:
			_ = s.flush()
			return true, errEnd
		case doReset:
			_ = s.flush()
			if tcp, ok := s.raw.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			return true, errEnd
		case doBreakTLS:
			s.reply("220 2.0.0 Ready to start TLS\r\nthis is not TLS")
			_ = s.flush()
			return true, errEnd
		case doInject:
			s.reply("220 2.0.0 Ready to start TLS\r\n250 2.0.0 Injected")
			answered = true
		case doHideTLS:
			s.hidden = true
		}
	}
	return answered, nil
}

// took keeps the session's state in step with a reply from the script.
func (s *session) took(e event, code int) {
	switch {
	case e == onData:
		s.granted = code == 354
	case code/100 != 2:
	case e == onMail:
		s.mail = true
	case e == onRcpt:
		s.acceptRcpt()
	case e == onDot:
		s.take()
	}
}

func (s *session) acceptRcpt() {
	s.rcpts++
	if s.wanted {
		s.to = append(s.to, s.last)
	}
}

// sleep waits, but not longer than the server lives.
func (s *session) sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.server.done:
	}
}

func (s *session) pace(d time.Duration) time.Duration {
	return time.Duration(float64(d) * s.server.o.Pace)
}

// fill replaces the placeholders of a script's text.
func (s *session) fill(text string) string {
	if !strings.Contains(text, "{") {
		return text
	}
	text = strings.NewReplacer("{host}", s.server.script.host, "{client}", s.remote.Addr().String(),
		"{to}", s.last, "{from}", s.from).Replace(text)
	before, after, ok := strings.Cut(text, "{fill ")
	number, after, closed := strings.Cut(after, "}")
	n, err := strconv.Atoi(number)
	if !ok || !closed || err != nil {
		return text
	}
	return before + strings.Repeat("x", n) + after
}

// reply sends one finished line.
func (s *session) reply(line string) {
	s.traced("S", line)
	s.out = append(append(s.out, line...), '\r', '\n')
}

// replyText sends a reply of the script, of several lines when the text has them. An enhanced
// code at its beginning is repeated on each line, as sites do.
func (s *session) replyText(code int, text string) {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		s.reply(strconv.Itoa(code) + sep + line)
	}
}

// flush writes what is owed, byte by byte when the script drips.
func (s *session) flush() error {
	out := s.out
	s.out = s.out[:0]
	if len(out) == 0 {
		return nil
	}
	if s.drip == 0 {
		_, err := s.conn.Write(out)
		return err
	}
	for i := range out {
		if _, err := s.conn.Write(out[i : i+1]); err != nil {
			return err
		}
		s.sleep(s.drip)
	}
	return nil
}

// traced prints one line of the dialogue.
func (s *session) traced(who, line string) {
	if s.server.o.Trace == nil {
		return
	}
	s.server.trace.Lock()
	defer s.server.trace.Unlock()
	_, _ = fmt.Fprintf(s.server.o.Trace, "%d %s: %.200q\n", s.number, who, line)
}
