package tracking

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"net/url"
	"strings"
	"sync"
)

// Kind is what a token is for.
type Kind uint8

const (
	KindUnsubscribe Kind = iota + 1
	KindOpen
	KindClick
)

const (
	// Width is how many characters a token and its placeholder have.
	Width = 32

	markerWidth = 13
	tagWidth    = 3 // kind and index: 15 bits
	digestSize  = 10
	digestWidth = 16
	macSize     = 10 // octets of the signature kept
	indexBits   = 11

	// MaxLinks is how many links of a message can count clicks; the others stay as written.
	MaxLinks = 1<<indexBits - 1
	// MaxURL is the longest URL in bytes that is rewritten.
	MaxURL = 2000

	mailtoPrefix = "unsubscribe+"
)

const alphabet = "abcdefghijklmnopqrstuvwxyz234567"

var text = base32.NewEncoding(alphabet).WithPadding(base32.NoPadding)

// Token is what a token of ours says.
type Token struct {
	Kind     Kind
	Delivery int64 // row
	Index    int   // of the link, from 1
}

// Tokens signs and knows tokens. Safe for concurrent use.
type Tokens struct {
	signers sync.Pool // *signer: its key is set up once
}

type signer struct {
	mac hash.Hash
	in  [8 + 2 + digestSize]byte
	sum [sha256.Size]byte
}

// NewTokens signs with a secret that must outlive the mail: another secret knows none of
// the tokens written with this one.
func NewTokens(secret [32]byte) *Tokens {
	t := &Tokens{}
	t.signers.New = func() any { return &signer{mac: hmac.New(sha256.New, secret[:])} }
	return t
}

// digest is what of a link goes into its signature. The host is part of it: a link that
// somebody else's mail holds must not lead away from a customer's host.
func digest(host, link string) (out [digestSize]byte) {
	h := sha256.New()
	h.Write([]byte(strings.ToLower(host)))
	h.Write([]byte{0})
	h.Write([]byte(link))
	var sum [sha256.Size]byte
	copy(out[:], h.Sum(sum[:0]))
	return out
}

// make writes the 20 bytes of a token.
func (t *Tokens) make(into *[20]byte, row int64, tag uint16, digest []byte) {
	s := t.signers.Get().(*signer)
	binary.BigEndian.PutUint64(s.in[:8], uint64(row))
	binary.BigEndian.PutUint16(s.in[8:10], tag)
	copy(s.in[10:], digest)
	s.mac.Reset()
	s.mac.Write(s.in[:])
	copy(into[:10], s.in[:10])
	copy(into[10:], s.mac.Sum(s.sum[:0])[:macSize])
	t.signers.Put(s)
}

func (t *Tokens) parse(token string, digest [digestSize]byte) (out Token, ok bool) {
	if len(token) != Width || strings.ContainsAny(token, "\r\n") { // the decoder would skip those
		return out, false
	}
	var raw, want [20]byte
	if n, err := text.Decode(raw[:], []byte(token)); err != nil || n != len(raw) {
		return out, false
	}
	row, tag := int64(binary.BigEndian.Uint64(raw[:8])), binary.BigEndian.Uint16(raw[8:10])
	t.make(&want, row, tag, digest[:])
	if row <= 0 || subtle.ConstantTimeCompare(raw[:], want[:]) != 1 {
		return out, false
	}
	return Token{Kind: Kind(tag >> indexBits), Delivery: row, Index: int(tag & (1<<indexBits - 1))}, true
}

// Parse reads a token to unsubscribe or of an open.
func (t *Tokens) Parse(token string, kind Kind) (Token, bool) {
	out, ok := t.parse(token, [digestSize]byte{})
	return out, ok && out.Kind == kind && kind != KindClick
}

// ParseClick reads what follows /c/ in a link that was asked for at a host: the token and
// the URL it leads to. Only a URL that we wrote there ourselves comes out.
func (t *Tokens) ParseClick(host, path string) (Token, string, bool) {
	if len(path) < Width+2 || path[Width] != '.' {
		return Token{}, "", false
	}
	link, err := base64.RawURLEncoding.Strict().DecodeString(path[Width+1:])
	if err != nil || strings.ContainsAny(path, "\r\n") {
		return Token{}, "", false
	}
	out, ok := t.parse(path[:Width], digest(host, string(link)))
	if !ok || out.Kind != KindClick || !followable(string(link)) {
		return Token{}, "", false
	}
	return out, string(link), true
}

// Mailto is the local part that unsubscribes by mail, for one delivery.
func (t *Tokens) Mailto(row int64) string {
	var raw [20]byte
	t.make(&raw, row, tagOf(KindUnsubscribe, 0), make([]byte, digestSize))
	return mailtoPrefix + text.EncodeToString(raw[:])
}

// ParseMailto reads the local part of an address that unsubscribes by mail.
func (t *Tokens) ParseMailto(local string) (Token, bool) {
	if len(local) != len(mailtoPrefix)+Width || !strings.EqualFold(local[:len(mailtoPrefix)], mailtoPrefix) {
		return Token{}, false
	}
	return t.Parse(strings.ToLower(local[len(mailtoPrefix):]), KindUnsubscribe)
}

func tagOf(kind Kind, index int) uint16 { return uint16(kind)<<indexBits | uint16(index) }

// followable tells whether a link may be redirected to: an absolute http or https URL with
// a host, no user-info, and nothing a header or a browser would read otherwise.
func followable(link string) bool {
	if len(link) > MaxURL || link == "" {
		return false
	}
	for i := 0; i < len(link); i++ {
		if c := link[i]; c <= ' ' || c == 0x7f || c == '\\' {
			return false
		}
	}
	u, err := url.Parse(link)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
}
