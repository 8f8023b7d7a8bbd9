package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/miekg/dns"
)

// datagramSize is how long an answer we take over UDP: what passes everywhere without
// being cut to pieces (the value of DNS Flag Day 2020, RFC 9715).
const datagramSize = 1232

// exchange asks one server once: over UDP, then over TCP if the answer was cut off. An
// error says that the server could not be asked; a reply may still be useless.
func exchange(ctx context.Context, server netip.AddrPort, q question, perTry time.Duration) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, perTry)
	defer cancel()
	r, err := over(ctx, "udp", server, q, true)
	if err == nil && r.code == useless && (r.detail == "FORMERR" || r.detail == "NOTIMP") {
		r, err = over(ctx, "udp", server, q, false) // it does not know EDNS0 (RFC 6891 §7)
	}
	if err == nil && r.cut {
		r, err = over(ctx, "tcp", server, q, true)
		if err == nil && r.cut {
			err = errors.New("cut off over TCP too")
		}
	}
	return r, err
}

// over asks over one transport, each time from a new port (RFC 5452 §9.2).
func over(ctx context.Context, network string, server netip.AddrPort, q question, edns bool) (reply, error) {
	id := dns.Id()
	packed, err := ask(id, q, edns)
	if err != nil {
		return reply{}, err
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, server.String())
	if err != nil {
		return reply{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if network == "tcp" {
		return overStream(conn, packed, id, q)
	}
	return overDatagram(conn, packed, id, q)
}

func ask(id uint16, q question, edns bool) ([]byte, error) {
	m := dns.Msg{MsgHdr: dns.MsgHdr{Id: id, RecursionDesired: true}}
	m.Question = []dns.Question{{Name: q.name, Qtype: q.qtype, Qclass: dns.ClassINET}}
	if edns {
		m.SetEdns0(datagramSize, false)
	}
	packed, err := m.Pack()
	if err != nil {
		return nil, fmt.Errorf("write the question: %w", err)
	}
	return packed, nil
}

// overDatagram reads until the answer comes or the time is up: what answers another
// question is not an error, or anybody could spoil ours.
func overDatagram(conn net.Conn, packed []byte, id uint16, q question) (reply, error) {
	if _, err := conn.Write(packed); err != nil {
		return reply{}, err
	}
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return reply{}, err
		}
		if r, err := readReply(buf[:n], id, q); err == nil {
			return r, nil
		}
	}
}

// overStream speaks RFC 1035 §4.2.2: two bytes of length before each message.
func overStream(conn net.Conn, packed []byte, id uint16, q question) (reply, error) {
	framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...)
	if _, err := conn.Write(framed); err != nil {
		return reply{}, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return reply{}, err
	}
	buf := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, buf); err != nil {
		return reply{}, err
	}
	return readReply(buf, id, q)
}

// trouble words a failed exchange for people.
func trouble(err error) string {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, errNotOurs):
		return errNotOurs.Error()
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	return err.Error()
}
