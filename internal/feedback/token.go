package feedback

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"hash"
	"strings"
	"sync"

	"github.com/postroad/postroad/internal/mail"
)

const (
	tokenPrefix = "bounces+"
	macSize     = 8  // octets of the signature kept: forging one takes 2^63 mails on average
	tokenSize   = 26 // base32 characters of row and signature
)

// Lower case, since some systems change the case of local parts on the way back; Parse
// takes both.
var tokenText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Tokens writes return paths that tell the delivery a bounce report is about, signed so
// that nobody else can report bounces of mail they have not seen. Safe for concurrent use.
type Tokens struct {
	signers sync.Pool // *signer: its key is set up once, so that signing is two hash blocks
}

type signer struct {
	mac hash.Hash
	in  [8]byte
	sum [sha256.Size]byte
}

// NewTokens signs with a secret that must outlive the mail: another secret knows none of
// the return paths written with this one.
func NewTokens(secret [32]byte) *Tokens {
	t := &Tokens{}
	t.signers.New = func() any { return &signer{mac: hmac.New(sha256.New, secret[:])} }
	return t
}

func (t *Tokens) sign(row int64, into []byte) {
	s := t.signers.Get().(*signer)
	s.mac.Reset()
	binary.BigEndian.PutUint64(s.in[:], uint64(row))
	s.mac.Write(s.in[:])
	copy(into, s.mac.Sum(s.sum[:0])[:macSize])
	t.signers.Put(s)
}

// ReturnPath is the envelope sender of a delivery: bounces+<token>@host. The local part
// has 34 octets (RFC 5321 §4.5.3.1.1 allows 64).
func (t *Tokens) ReturnPath(host string, _ *mail.Message, d *mail.Delivery) string {
	var raw [8 + macSize]byte
	binary.BigEndian.PutUint64(raw[:8], uint64(d.Row))
	t.sign(d.Row, raw[8:])
	b := make([]byte, 0, len(tokenPrefix)+tokenSize+1+len(host))
	b = append(b, tokenPrefix...)
	b = tokenText.AppendEncode(b, raw[:])
	b = append(b, '@')
	return string(append(b, host...))
}

// Parse tells which delivery (by row) the local part of a return path of ours is about;
// false when it is none, or not signed by us.
func (t *Tokens) Parse(local string) (deliveryRow int64, ok bool) {
	if len(local) != len(tokenPrefix)+tokenSize || !strings.EqualFold(local[:len(tokenPrefix)], tokenPrefix) {
		return 0, false
	}
	var raw, want [8 + macSize]byte
	token := strings.ToLower(local[len(tokenPrefix):])
	if len(token) != tokenSize || strings.ContainsAny(token, "\r\n") { // the decoder would skip those
		return 0, false
	}
	if n, err := tokenText.Decode(raw[:], []byte(token)); err != nil || n != len(raw) {
		return 0, false
	}
	row := int64(binary.BigEndian.Uint64(raw[:8]))
	if row <= 0 || tokenText.EncodeToString(raw[:]) != token { // one spelling of each token only
		return 0, false
	}
	t.sign(row, want[8:])
	return row, subtle.ConstantTimeCompare(raw[8:], want[8:]) == 1
}
