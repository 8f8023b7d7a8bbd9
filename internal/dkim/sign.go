package dkim

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// Options of a signature.
type Options struct {
	Time     time.Time     // t=; zero: none
	Expire   time.Duration // x= is so long after Time; 0: never
	Identity string        // i=; "" = "@" and the key's domain, which need not be written
}

const (
	maxHeader = 1 << 20 // of the header block; a longer one is an error
	readSize  = 32 << 10
	lineWidth = 76
)

// ErrHeader says that a message has no header block we could sign: it is too large, or
// has no From field (RFC 6376 §5.4).
var ErrHeader = errors.New("no header to sign")

// Sign gives one DKIM-Signature field for each key, in their order, each with its
// CRLF: to be written before the message. The body is read once, in pieces unless it
// is in memory already. From is signed once more than it occurs, so that nobody can
// add another.
func Sign(c mail.Content, keys []Key, o Options) ([]byte, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	s := signers.Get().(*signer)
	defer signers.Put(s)
	s.reset()
	if err := s.read(c); err != nil {
		return nil, err
	}
	if err := s.prepare(); err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(keys)*(640+len(s.names)))
	for _, k := range keys {
		var err error
		if out, err = s.sign(out, k, o); err != nil {
			return nil, fmt.Errorf("sign for %s with selector %s: %w", k.Domain, k.Selector, err)
		}
	}
	return out, nil
}

// signer holds what signing one message needs; they are reused.
type signer struct {
	body      bodyHash
	bodySum   [sha256.Size]byte
	head      []byte // the header block, borrowed or in own
	own       []byte
	piece     []byte
	fields    []field
	chosen    []field
	names     []byte // the value of h=, folded
	canonical []byte // the chosen fields in relaxed form, each with CRLF
	scratch   []byte
}

var signers = sync.Pool{New: func() any {
	return &signer{body: bodyHash{sum: sha256.New(), buf: make([]byte, 0, bodyBuffer+64)}}
}}

func (s *signer) reset() {
	s.body.reset()
	s.head = nil
	s.fields, s.chosen = s.fields[:0], s.chosen[:0]
	s.names, s.canonical = s.names[:0], s.canonical[:0]
	if cap(s.own) > readSize {
		s.own = nil
	}
}

// read parts header from body and hashes the body.
func (s *signer) read(c mail.Content) error {
	if b, ok := c.(mail.Bytes); ok {
		head, body := cutHeader(b)
		if len(head) > maxHeader {
			return ErrHeader
		}
		s.head = head
		_, _ = s.body.Write(body)
		s.body.finish(&s.bodySum)
		return nil
	}
	r, err := c.Open()
	if err != nil {
		return fmt.Errorf("open the message: %w", err)
	}
	defer r.Close()
	if s.piece == nil {
		s.piece = make([]byte, readSize)
	}
	body, err := s.readHeader(r)
	if err != nil {
		return err
	}
	_, _ = s.body.Write(body)
	if _, err := io.CopyBuffer(&s.body, onlyReader{r}, s.piece); err != nil {
		return fmt.Errorf("read the message: %w", err)
	}
	s.body.finish(&s.bodySum)
	return nil
}

// onlyReader hides a WriteTo, so that the copy uses our buffer.
type onlyReader struct{ io.Reader }

// readHeader reads until the blank line and gives what of the body came along.
func (s *signer) readHeader(r io.Reader) ([]byte, error) {
	s.own = s.own[:0]
	for {
		n, err := r.Read(s.piece)
		from := max(len(s.own)-3, 0)
		s.own = append(s.own, s.piece[:n]...)
		if head, body := cutHeaderFrom(s.own, from); body != nil || err == io.EOF {
			s.head = head
			return body, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the message: %w", err)
		}
		if len(s.own) > maxHeader {
			return nil, ErrHeader
		}
	}
}

// cutHeader parts a message at its first empty line, which belongs to neither.
func cutHeader(b []byte) (head, body []byte) { return cutHeaderFrom(b, 0) }

func cutHeaderFrom(b []byte, from int) (head, body []byte) {
	if from == 0 && bytes.HasPrefix(b, []byte("\r\n")) {
		return nil, b[2:]
	}
	for i := from; i < len(b); {
		nl := bytes.IndexByte(b[i:], '\n')
		if nl < 0 {
			return b, nil
		}
		i += nl + 1
		switch rest := b[i:]; {
		case bytes.HasPrefix(rest, []byte("\r\n")):
			return b[:i], rest[2:]
		case bytes.HasPrefix(rest, []byte("\n")):
			return b[:i], rest[1:]
		}
	}
	return b, nil
}

// prepare chooses the fields, and writes h= and the text that all keys sign.
func (s *signer) prepare() error {
	s.fields = splitHeader(s.fields, s.head)
	s.chosen = selectFields(s.chosen, s.fields)
	if len(s.chosen) == 0 || !equalFold(s.chosen[0].name(), "from") {
		return ErrHeader
	}
	column := len(" h=from:")
	s.names = append(s.names, "from"...)
	for _, f := range s.chosen {
		name := f.name()
		if column+len(name)+1 > lineWidth {
			s.names = append(s.names, ":\r\n  "...)
			column = 2
		} else {
			s.names = append(s.names, ':')
		}
		for _, c := range name {
			s.names = append(s.names, toLower(c))
		}
		column += len(name) + 1
		s.canonical = appendRelaxed(s.canonical, f)
		s.canonical = append(s.canonical, "\r\n"...)
	}
	return nil
}

// sign writes the field of one key to the end of out.
func (s *signer) sign(out []byte, k Key, o Options) ([]byte, error) {
	algorithm, err := algorithmOf(k.Signer)
	if err != nil {
		return out, err
	}
	start := len(out)
	out = append(out, "DKIM-Signature: v=1; a="...)
	out = append(out, algorithm...)
	out = append(out, "; c=relaxed/relaxed; d="...)
	out = append(out, k.Domain...)
	out = append(out, ";\r\n s="...)
	out = append(out, k.Selector...)
	if !o.Time.IsZero() {
		out = append(out, "; t="...)
		out = strconv.AppendInt(out, o.Time.Unix(), 10)
		if o.Expire > 0 {
			out = append(out, "; x="...)
			out = strconv.AppendInt(out, o.Time.Add(o.Expire).Unix(), 10)
		}
	}
	if o.Identity != "" {
		out = append(out, ";\r\n i="...)
		out = append(out, o.Identity...)
	}
	out = append(out, ";\r\n h="...)
	out = append(out, s.names...)
	out = append(out, ";\r\n bh="...)
	out = base64.StdEncoding.AppendEncode(out, s.bodySum[:])
	out = append(out, ";\r\n b="...)

	signature, err := s.signature(k, out[start:])
	if err != nil {
		return out[:start], err
	}
	s.scratch = base64.StdEncoding.AppendEncode(s.scratch[:0], signature)
	for line := s.scratch; len(line) > 0; {
		n := min(len(line), lineWidth-4)
		out = append(out, line[:n]...)
		if line = line[n:]; len(line) > 0 {
			out = append(out, "\r\n  "...)
		}
	}
	return append(out, "\r\n"...), nil
}

// signature signs the chosen fields and the field itself with an empty b= (RFC 6376 §3.7).
func (s *signer) signature(k Key, unsigned []byte) ([]byte, error) {
	base := len(s.canonical)
	s.canonical = appendRelaxed(s.canonical, field{unsigned, len("DKIM-Signature")})
	sum := sha256.Sum256(s.canonical)
	s.canonical = s.canonical[:base]
	if _, ok := k.Signer.Public().(ed25519.PublicKey); ok {
		return k.Signer.Sign(nil, sum[:], crypto.Hash(0)) // RFC 8463 §3: the hash is the message
	}
	return k.Signer.Sign(rand.Reader, sum[:], crypto.SHA256)
}

func algorithmOf(signer crypto.Signer) (string, error) {
	if signer == nil {
		return "", errors.New("no private key")
	}
	switch signer.Public().(type) {
	case *rsa.PublicKey:
		return "rsa-sha256", nil
	case ed25519.PublicKey:
		return "ed25519-sha256", nil
	}
	return "", fmt.Errorf("%T cannot sign mail", signer.Public())
}

// PublicRecord is the TXT record of a public key (RFC 6376 §3.6.1, RFC 8463 §4). It is
// "" for keys of kinds DKIM does not know.
func PublicRecord(public crypto.PublicKey) string {
	switch key := public.(type) {
	case *rsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			return ""
		}
		return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
	case ed25519.PublicKey:
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(key)
	}
	return ""
}
