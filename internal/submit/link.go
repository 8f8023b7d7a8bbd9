package submit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// Links makes and reads the links to hosted files: https://HOST/f/TOKEN. The token holds
// the file's id and the second it expires, signed: it cannot be guessed or prolonged,
// and needs no look-up to be refused.
type Links struct {
	base string
	key  [32]byte
}

// A token is id, expiry (seconds since 1970, 40 bits: enough until the year 36812) and
// half of an HMAC-SHA-256 over both.
const (
	tokenExpiry = 5
	tokenMAC    = 16
	tokenSize   = 16 + tokenExpiry + tokenMAC
)

// tokens refuses bits that mean nothing, so that one link has one spelling.
var tokens = base64.RawURLEncoding.Strict()

// NewLinks makes links that begin with base ("https://mail.example.com").
func NewLinks(base string, key [32]byte) *Links { return &Links{base, key} }

// URL is the link to a file until a time.
func (l *Links) URL(id mail.ID, until time.Time) string {
	var seconds [8]byte
	binary.BigEndian.PutUint64(seconds[:], uint64(max(until.Unix(), 0)))
	b := make([]byte, 0, tokenSize)
	b = append(append(b, id[:]...), seconds[8-tokenExpiry:]...)
	b = append(b, l.mac(b)...)
	return l.base + "/f/" + tokens.EncodeToString(b)
}

// Read gives the file a token is for and when it expires; false: the token is not ours.
func (l *Links) Read(token string) (id mail.ID, until time.Time, ok bool) {
	if len(token) != tokens.EncodedLen(tokenSize) {
		return id, until, false
	}
	b, err := tokens.DecodeString(token)
	if err != nil || !hmac.Equal(b[tokenSize-tokenMAC:], l.mac(b[:tokenSize-tokenMAC])) {
		return id, until, false
	}
	var seconds [8]byte
	copy(seconds[8-tokenExpiry:], b[len(id):])
	return mail.ID(b[:len(id)]), time.Unix(int64(binary.BigEndian.Uint64(seconds[:])), 0).UTC(), true
}

func (l *Links) mac(b []byte) []byte {
	h := hmac.New(sha256.New, l.key[:])
	h.Write([]byte("hosted file\x00"))
	h.Write(b)
	return h.Sum(nil)[:tokenMAC]
}
