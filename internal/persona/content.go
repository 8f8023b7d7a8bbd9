package persona

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// maxKeptContent bounds what is held of one message, in bytes.
const maxKeptContent = 128 << 20

// dataCommand answers DATA and receives the content up to the final dot.
func (s *session) dataCommand() error {
	s.granted = false
	err := s.react(onData, s.last, func() {
		if s.rcpts == 0 {
			s.reply("554 5.5.1 No valid recipients")
			return
		}
		s.granted = true
		s.reply("354 End data with <CR><LF>.<CR><LF>")
	})
	if err != nil || !s.granted {
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	if err := s.receive(); err != nil {
		return err
	}
	return s.dot()
}

// dot answers a message that was received whole.
func (s *session) dot() error {
	if s.rcpts == 0 { // DATA was granted to nobody: RFC 2920 §3.1
		s.reset()
		s.reply("554 5.5.1 No valid recipients")
		return nil
	}
	s.taken = false
	err := s.react(onDot, s.last, func() {
		s.take()
		s.reply("250 2.0.0 Ok: queued as " + strconv.FormatInt(s.server.commands.Add(1), 10))
	})
	s.reset()
	return err
}

// take counts the message as received, once.
func (s *session) take() {
	if s.taken {
		return
	}
	s.taken = true
	var m *Received
	if s.wanted {
		m = &Received{
			At: time.Now(), Remote: s.remote, Session: s.number, Hello: s.hello, From: s.from, To: s.to, UTF8: s.utf8,
			TLS: s.secure, MessageID: string(s.id), Size: s.size, Data: bytes.Clone(s.data), Bare: s.bare,
		}
	}
	s.server.received(s.id, m)
}

// receive reads content up to its final dot (RFC 5321 §4.5.2), which is CRLF dot CRLF and
// nothing that looks like it.
func (s *session) receive() error {
	s.clearContent()
	for first := true; ; first = false {
		if s.in.Buffered() == 0 {
			_ = s.raw.SetReadDeadline(time.Now().Add(idle))
		}
		line, err := s.in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		if s.parser.fresh(line) && string(line) == ".\r\n" {
			return nil
		}
		if s.parser.fresh(line) && line[0] == '.' {
			line = line[1:]
		}
		s.keepContent(&s.parser, line)
		if first && len(s.server.rules[onContent]) > 0 {
			if err := s.react(onContent, s.last, func() {}); err != nil {
				return err
			}
		}
	}
}

// bdatCommand receives one chunk (RFC 3030). A chunk that cannot be used is read all the same.
func (s *session) bdatCommand(rest []byte) error {
	number, last, _ := bytes.Cut(rest, []byte{' '})
	n, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil || n < 0 {
		return fmt.Errorf("BDAT: %w", err)
	}
	final := bytes.EqualFold(bytes.TrimSpace(last), []byte("LAST"))
	if s.rcpts == 0 {
		if _, err := io.CopyN(io.Discard, s.in, n); err != nil {
			return err
		}
		s.reply("503 5.5.1 No valid recipients")
		return nil
	}
	if !s.chunks {
		s.clearContent()
	}
	s.chunks = true
	for n > 0 {
		piece, err := s.in.Peek(int(min(n, int64(max(s.in.Buffered(), 1)))))
		if err != nil {
			return err
		}
		if lf := bytes.IndexByte(piece, '\n'); lf >= 0 {
			piece = piece[:lf+1]
		}
		s.keepContent(&s.parser, piece)
		n -= int64(len(piece))
		_, _ = s.in.Discard(len(piece))
	}
	if !final {
		s.reply("250 2.0.0 Ok")
		return nil
	}
	return s.dot()
}

func (s *session) clearContent() {
	s.size, s.bare, s.id, s.data, s.parser = 0, 0, s.id[:0], s.data[:0], contentParser{}
}

// contentParser follows content line by line; its zero value is at the beginning.
type contentParser struct {
	inLine bool // the last piece did not end with CRLF
	body   bool // the header is over
	cr     bool // the last piece ended with CR
}

// fresh tells whether a piece begins a line.
func (p *contentParser) fresh(piece []byte) bool { return !p.inLine && len(piece) > 0 }

// keepContent takes in one line, or a piece of one too long for the buffer.
func (s *session) keepContent(p *contentParser, piece []byte) {
	s.size += int64(len(piece))
	if s.wanted && len(s.data)+len(piece) <= maxKeptContent {
		s.data = append(s.data, piece...)
	}
	if !p.body && !p.inLine {
		s.headerLine(p, piece)
	}
	text, ended := bytes.CutSuffix(piece, []byte("\n"))
	if ended && len(text) > 0 && text[len(text)-1] == '\r' {
		text = text[:len(text)-1]
	} else if ended && (len(text) > 0 || !p.cr) {
		s.bare++ // a LF alone
		ended = false
	}
	if p.cr && len(text) > 0 {
		s.bare++ // the CR of the piece before stood alone
	}
	p.cr = !ended && len(text) > 0 && text[len(text)-1] == '\r'
	if p.cr {
		text = text[:len(text)-1]
	}
	if bytes.IndexByte(text, '\r') >= 0 {
		s.bare++
	}
	p.inLine = !ended
}

func (s *session) headerLine(p *contentParser, line []byte) {
	const field = "message-id:"
	switch {
	case len(line) <= 2:
		p.body = true
	case len(s.id) == 0 && len(line) > len(field) && line[0]|0x20 == 'm' && bytes.EqualFold(line[:len(field)], []byte(field)):
		s.id = append(s.id, bytes.Trim(line[len(field):], " \t\r\n<>")...)
	}
}
