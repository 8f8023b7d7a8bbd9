package load

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Mail sends messages over SMTP in a closed loop, on connections that are kept: MAIL,
// RCPT, DATA, content, each after the reply to the one before, as Postfix's smtp-source -d
// does. With a key it authenticates first, once a connection.
type Mail struct {
	Addr        string // host:port
	Key         string // API key for AUTH; "" = none
	Connections int
	Messages    int
	From        string
	Prefix      string // of a recipient's address, up to where the message's number stands
	Suffix      string // behind it
	Header      string // more fields, each with CRLF
	Body        string // lines with CRLF; none begins with a dot
}

// Send runs the load to its end. Refused counts codes of replies.
func (m *Mail) Send(ctx context.Context) (*Answers, error) {
	var next atomic.Int64
	var workers sync.WaitGroup
	parts := make([]Answers, m.Connections)
	errs := make([]error, m.Connections)
	ready, start := make([]*mailer, m.Connections), time.Time{}
	for i := range ready {
		one, err := m.open(ctx)
		if err != nil {
			return nil, err
		}
		defer one.conn.Close()
		ready[i] = one
	}
	start = time.Now()
	for i := range m.Connections {
		workers.Go(func() { errs[i] = m.connection(ctx, ready[i], &next, &parts[i]) })
	}
	workers.Wait()
	return gather(parts, time.Since(start)), errors.Join(errs...)
}

// gather sums up the connections' parts.
func gather(parts []Answers, took time.Duration) *Answers {
	all := &Answers{Took: took, Refused: map[int]int{}}
	for _, p := range parts {
		all.Accepted += p.Accepted
		all.Latencies = append(all.Latencies, p.Latencies...)
		for status, n := range p.Refused {
			all.Refused[status] += n
			all.Example = p.Example
		}
	}
	slices.Sort(all.Latencies)
	return all
}

// mailer is one conversation.
type mailer struct {
	conn net.Conn
	r    *bufio.Reader
	out  []byte
}

func (m *Mail) open(ctx context.Context) (*mailer, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", m.Addr)
	if err != nil {
		return nil, fmt.Errorf("connect over SMTP: %w", err)
	}
	one := &mailer{conn: conn, r: bufio.NewReaderSize(conn, 4<<10)}
	commands := []string{"", "EHLO load.test\r\n"}
	if m.Key != "" {
		commands = append(commands, "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00load\x00"+m.Key))+"\r\n")
	}
	for _, command := range commands {
		if code, text, err := one.ask([]byte(command)); err != nil || code/100 != 2 {
			_ = conn.Close()
			return nil, fmt.Errorf("begin over SMTP: %w: %d %s", errors.Join(err), code, text)
		}
	}
	return one, nil
}

// ask writes something and reads the reply to it.
func (one *mailer) ask(command []byte) (code int, text string, err error) {
	if len(command) > 0 {
		if _, err := one.conn.Write(command); err != nil {
			return 0, "", err
		}
	}
	for {
		line, err := one.r.ReadSlice('\n')
		if err != nil {
			return 0, "", err
		}
		if len(line) < 6 {
			return 0, "", fmt.Errorf("not a reply: %q", line)
		}
		if line[3] == ' ' {
			code, err = strconv.Atoi(string(line[:3]))
			if code >= 400 {
				text = string(line[4 : len(line)-2])
			}
			return code, text, err
		}
	}
}

func (m *Mail) connection(ctx context.Context, one *mailer, next *atomic.Int64, got *Answers) error {
	defer context.AfterFunc(ctx, func() { _ = one.conn.Close() })()
	got.Refused = map[int]int{}
	sender := []byte("MAIL FROM:<" + m.From + ">\r\n")
	for {
		n := int(next.Add(1)) - 1
		if n >= m.Messages {
			_, _, _ = one.ask([]byte("QUIT\r\n"))
			return nil
		}
		began := time.Now()
		code, text, err := m.message(one, sender, n)
		switch {
		case err != nil:
			return fmt.Errorf("send a message over SMTP: %w", err)
		case code != 250:
			got.Refused[code]++
			got.Example = text
			if _, _, err := one.ask([]byte("RSET\r\n")); err != nil {
				return fmt.Errorf("go on after %d %s: %w", code, text, err)
			}
		default:
			got.Accepted++
			got.Latencies = append(got.Latencies, time.Since(began))
		}
	}
}

// message sends one and gives the first reply that is a refusal, or the last.
func (m *Mail) message(one *mailer, sender []byte, n int) (code int, text string, err error) {
	to := append(appendNumber([]byte(m.Prefix), n), m.Suffix...)
	if code, text, err = one.ask(sender); err != nil || code != 250 {
		return code, text, err
	}
	one.out = append(append(append(one.out[:0], "RCPT TO:<"...), to...), ">\r\n"...)
	if code, text, err = one.ask(one.out); err != nil || code != 250 {
		return code, text, err
	}
	if code, text, err = one.ask([]byte("DATA\r\n")); err != nil || code != 354 {
		return code, text, err
	}
	one.out = append(append(append(one.out[:0], "From: Bench <"...), m.From...), ">\r\nTo: "...)
	one.out = append(append(one.out, to...), "\r\nSubject: Figures of the quarter\r\n"...)
	one.out = append(append(append(append(one.out, m.Header...), "\r\n"...), m.Body...), ".\r\n"...)
	return one.ask(one.out)
}
