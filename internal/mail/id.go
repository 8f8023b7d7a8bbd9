package mail

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"time"
)

// ID is a UUIDv7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, then random bits.
// Identifiers made by one process sort in the order they were made.
//
// To the outside an ID is a prefix, '_', and 26 characters of lower-case Crockford
// base32 ([ID.Text]); its UUID form ([ID.UUID]) stands in Message-IDs and in the
// Hyvor dialect.
type ID [16]byte

// The prefixes that name what an ID identifies.
const (
	PrefixMessage     = "msg"
	PrefixRecipient   = "rcp"
	PrefixAttempt     = "att"
	PrefixEvent       = "evt"
	PrefixBatch       = "bat"
	PrefixDomain      = "dom"
	PrefixTemplate    = "tmpl"
	PrefixSuppression = "sup"
	PrefixProject     = "prj"
	PrefixJob         = "job"
	PrefixRequest     = "req"
	PrefixErasure     = "era"
	PrefixUser        = "usr"
	PrefixSession     = "ses"
	PrefixAudit       = "aud"
	PrefixReport      = "rep"
	PrefixKey         = "key" // followed by the 8-character key id, not by a UUID
)

// ErrBadID says that a text is not an identifier of the kind asked for.
var ErrBadID = errors.New("not an identifier of this kind")

var ids struct {
	sync.Mutex
	last uint64 // milliseconds<<12 | counter of the newest ID
	pool [512]byte
	left int
}

// NewID makes a UUIDv7 for now. Within one process each ID is greater than the one
// before, also when the clock stands still or goes back: the 12 bits after the
// version count up (RFC 9562 §6.2, method 1), carrying into the milliseconds.
func NewID(now time.Time) ID {
	var id ID
	stamp := uint64(now.UnixMilli()) << 12
	ids.Lock()
	if stamp <= ids.last {
		stamp = ids.last + 1
	}
	ids.last = stamp
	if ids.left < 8 {
		_, _ = rand.Read(ids.pool[:]) // never fails (crypto/rand since Go 1.24)
		ids.left = len(ids.pool)
	}
	copy(id[8:], ids.pool[ids.left-8:ids.left])
	ids.left -= 8
	ids.Unlock()

	ms := stamp >> 12
	id[0], id[1], id[2], id[3], id[4], id[5] = byte(ms>>40), byte(ms>>32), byte(ms>>24), byte(ms>>16), byte(ms>>8), byte(ms)
	id[6] = 0x70 | byte(stamp>>8)&0x0f
	id[7] = byte(stamp)
	id[8] = 0x80 | id[8]&0x3f
	return id
}

// Time tells when the ID was made, to the millisecond.
func (id ID) Time() time.Time {
	ms := int64(binary.BigEndian.Uint64(id[:8]) >> 16)
	return time.UnixMilli(ms).UTC()
}

// IsZero tells whether the ID was never set.
func (id ID) IsZero() bool { return id == ID{} }

const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

// Text writes the ID as the outside sees it: prefix, '_', 26 base32 characters.
// A zero ID is the empty text.
func (id ID) Text(prefix string) string {
	if id.IsZero() {
		return ""
	}
	b := make([]byte, 0, len(prefix)+27)
	b = append(b, prefix...)
	b = append(b, '_')
	return string(id.appendBase32(b))
}

// appendBase32 writes 130 bits: two zero bits, then the 128 of the ID.
func (id ID) appendBase32(b []byte) []byte {
	hi, lo := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	for shift := 125; shift >= 0; shift -= 5 {
		var v uint64
		switch {
		case shift >= 64:
			v = hi >> (shift - 64)
		case shift > 59:
			v = hi<<(64-shift) | lo>>shift
		default:
			v = lo >> shift
		}
		b = append(b, crockford[v&31])
	}
	return b
}

// UUID writes the ID as 8-4-4-4-12 lower-case hexadecimal digits.
func (id ID) UUID() string {
	var b [36]byte
	hex.Encode(b[0:8], id[0:4])
	hex.Encode(b[9:13], id[4:6])
	hex.Encode(b[14:18], id[6:8])
	hex.Encode(b[19:23], id[8:10])
	hex.Encode(b[24:36], id[10:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// ParseID reads what [ID.Text] wrote for this prefix. Upper case and Crockford's
// aliases (i, l for 1; o for 0) are understood. Errors are [ErrBadID].
func ParseID(prefix, s string) (ID, error) {
	rest, ok := strings.CutPrefix(s, prefix+"_")
	if !ok || len(rest) != 26 {
		return ID{}, ErrBadID
	}
	var hi, lo uint64
	for i := range 26 {
		v := decodeCrockford(rest[i])
		if v < 0 || i == 0 && v > 7 {
			return ID{}, ErrBadID
		}
		hi = hi<<5 | lo>>59
		lo = lo<<5 | uint64(v)
	}
	var id ID
	binary.BigEndian.PutUint64(id[:8], hi)
	binary.BigEndian.PutUint64(id[8:], lo)
	return id, nil
}

func decodeCrockford(c byte) int {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	switch c {
	case 'i', 'l':
		return 1
	case 'o':
		return 0
	}
	return strings.IndexByte(crockford, c)
}
