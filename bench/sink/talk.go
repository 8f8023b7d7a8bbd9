package sink

import (
	"bytes"
	"net"
	"time"
)

// talk is one connection: bytes in, replies out.
type talk struct {
	sink *Sink
	conn net.Conn

	in   []byte // read and not yet understood
	out  []byte // said and not yet written
	data bool   // between DATA and the final dot

	recipient []byte // the last RCPT's address
	id        []byte // of the message being read
	searched  bool   // its headers were looked through
}

const (
	readSize  = 16 << 10 // one read takes a pipelined 2 KB message whole
	keepBytes = 64 << 10 // of one message: more is dropped as it comes
)

var (
	replyOK    = []byte("250 2.0.0 OK\r\n")
	replyData  = []byte("354 go on\r\n")
	replyTaken = []byte("250 2.0.0 taken\r\n")
	replyBye   = []byte("221 2.0.0 bye\r\n")
	replyWhat  = []byte("500 5.5.2 what?\r\n")
	replyEHLO  = []byte("250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-SIZE 67108864\r\n250 ENHANCEDSTATUSCODES\r\n")
	crlf       = []byte("\r\n")
	endOfData  = []byte("\r\n.\r\n")
	endOfHead  = []byte("\r\n\r\n")
)

func (t *talk) run() {
	if t.sink.behaviour.Silent {
		<-t.sink.closing
		return
	}
	if _, err := t.conn.Write([]byte("220 sink.test ESMTP\r\n")); err != nil {
		return
	}
	t.in = make([]byte, 0, readSize)
	for {
		if cap(t.in)-len(t.in) < readSize/2 {
			t.in = append(make([]byte, 0, max(2*cap(t.in), readSize)), t.in...)
		}
		n, err := t.conn.Read(t.in[len(t.in):cap(t.in)])
		if err != nil {
			return
		}
		t.in = t.in[:len(t.in)+n]
		stay := t.understand()
		if len(t.out) > 0 {
			if _, err := t.conn.Write(t.out); err != nil {
				return
			}
			t.out = t.out[:0]
		}
		if !stay {
			return
		}
	}
}

// understand works off what is whole in the buffer; false after QUIT.
func (t *talk) understand() bool {
	rest := t.in
	stay := true
	for stay && len(rest) > 0 {
		var whole bool
		if t.data {
			rest, whole = t.content(rest)
		} else {
			var line []byte
			if line, rest, whole = bytes.Cut(rest, crlf); !whole {
				rest = line
			} else {
				stay = t.command(line)
			}
		}
		if !whole {
			break
		}
	}
	t.in = t.in[:copy(t.in, rest)]
	return stay
}

func (t *talk) command(line []byte) bool {
	if len(line) < 4 {
		t.out = append(t.out, replyWhat...)
		return true
	}
	switch string(bytes.ToUpper(line[:4])) {
	case "EHLO":
		t.out = append(t.out, replyEHLO...)
	case "DATA":
		t.data, t.searched, t.id = true, false, t.id[:0]
		t.out = append(t.out, replyData...)
	case "RCPT":
		if i, j := bytes.IndexByte(line, '<'), bytes.LastIndexByte(line, '>'); i > 0 && j > i {
			t.recipient = append(t.recipient[:0], line[i+1:j]...)
		}
		t.out = append(t.out, replyOK...)
	case "HELO", "MAIL", "RSET", "NOOP":
		t.out = append(t.out, replyOK...)
	case "QUIT":
		t.out = append(t.out, replyBye...)
		return false
	default:
		t.out = append(t.out, replyWhat...)
	}
	return true
}

// content reads on in a message: what is left behind the final dot, and whether it
// was there. Without it, what must be looked at again.
func (t *talk) content(b []byte) (rest []byte, whole bool) {
	if !t.searched && bytes.HasPrefix(b, endOfData[2:]) { // an empty message
		t.taken()
		return b[3:], true
	}
	end := bytes.Index(b, endOfData)
	switch {
	case end < 0 && len(b) < keepBytes:
		return b, false
	case end < 0:
		t.search(b)
		return b[len(b)-4:], false
	}
	t.search(b[:end+2])
	t.taken()
	return b[end+len(endOfData):], true
}

var (
	nameOfID        = []byte("message-id:")
	nameOfSignature = []byte("dkim-signature:")
)

// search looks through the headers, once: for the Message-ID and for signatures.
func (t *talk) search(b []byte) {
	if t.searched {
		return
	}
	t.searched = true
	if end := bytes.Index(b, endOfHead); end >= 0 {
		b = b[:end+2]
	}
	for len(b) > 0 {
		var line []byte
		line, b, _ = bytes.Cut(b, crlf)
		switch {
		case len(line) == 0:
		case line[0]|0x20 == 'm' && hasName(line, nameOfID) && len(t.id) == 0:
			t.id = append(t.id, bytes.Trim(line[len(nameOfID):], " \t<>")...)
		case line[0]|0x20 == 'd' && hasName(line, nameOfSignature):
			t.sink.signed.Add(1)
		}
	}
}

func hasName(line, name []byte) bool {
	return len(line) > len(name) && bytes.EqualFold(line[:len(name)], name)
}

func (t *talk) taken() {
	t.data = false
	if t.sink.behaviour.OnMessage != nil {
		t.sink.behaviour.OnMessage(t.recipient, t.id)
	}
	t.sink.record(t.id)
	if d := t.sink.behaviour.Think; d > 0 {
		select {
		case <-time.After(d):
		case <-t.sink.closing:
		}
	}
	t.out = append(t.out, replyTaken...)
}
