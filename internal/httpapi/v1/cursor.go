package v1

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// A cursor tells where a list goes on. It is bound to its owner, its list and its
// filter, and good for a week.
//
//	c_ base64url( row 8 | issued 4 | filter 8 | MAC 12 )
const (
	cursorTime = 7 * 24 * time.Hour
	cursorSize = 8 + 4 + 8 + 12
)

type cursors struct{ secret [32]byte }

func newCursors(secret [32]byte) cursors {
	mac := hmac.New(sha256.New, secret[:])
	mac.Write([]byte("postroad v1 cursor"))
	var c cursors
	mac.Sum(c.secret[:0])
	return c
}

// scope is what a cursor belongs to.
type scope struct {
	owner  mail.Owner
	list   string // the list's path
	filter string // its parameters, sorted
}

func (c cursors) make(s scope, row int64, now time.Time) string {
	b := make([]byte, 20, cursorSize)
	binary.BigEndian.PutUint64(b, uint64(row))
	binary.BigEndian.PutUint32(b[8:], uint32(now.Unix()))
	f := filterHash(s)
	copy(b[12:], f[:])
	return "c_" + base64.RawURLEncoding.EncodeToString(append(b, c.mac(s, b)...))
}

// read gives the row a cursor stands at. Its faults are invalid_cursor and
// cursor_filter_mismatch.
func (c cursors) read(s scope, text string, now time.Time) (int64, *mail.Error) {
	invalid := &mail.Error{Code: "invalid_cursor", Status: 400, Field: "cursor", Message: "The cursor is not one of ours, or has expired. Begin again without it."}
	rest, ok := strings.CutPrefix(text, "c_")
	b, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	if !ok || err != nil || len(b) != cursorSize || !hmac.Equal(b[20:], c.mac(s, b[:20])) {
		return 0, invalid
	}
	if age := now.Sub(time.Unix(int64(binary.BigEndian.Uint32(b[8:])), 0)); age > cursorTime {
		return 0, invalid
	}
	if f := filterHash(s); string(b[12:20]) != string(f[:]) {
		return 0, &mail.Error{Code: "cursor_filter_mismatch", Status: 400, Field: "cursor",
			Message: "The cursor was made with other filters. Keep them as they were, or begin again without it."}
	}
	return int64(binary.BigEndian.Uint64(b)), nil
}

// mac leaves the filter's text out, so that a changed filter can be told from a forgery.
func (c cursors) mac(s scope, b []byte) []byte {
	mac := hmac.New(sha256.New, c.secret[:])
	var owner [9]byte
	binary.BigEndian.PutUint64(owner[:], uint64(s.owner.Project))
	owner[8] = byte(s.owner.Env)
	mac.Write(owner[:])
	mac.Write([]byte(s.list))
	mac.Write([]byte{0})
	mac.Write(b)
	return mac.Sum(nil)[:12]
}

func filterHash(s scope) (out [8]byte) {
	h := sha256.Sum256([]byte(s.filter))
	copy(out[:], h[:])
	return out
}
