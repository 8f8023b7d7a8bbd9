package project

import (
	"crypto/rand"
	"crypto/sha256"
	"hash/crc32"
	"math/big"
	"strings"

	"github.com/postroad/postroad/internal/mail"
)

// A key's secret is sk_live_<id>_<random><check>, likewise sk_test_:
//
//	id      8 letters and digits, public: the indexed look-up
//	random  43 characters of base62: 256 bits
//	check   6 characters of base62: CRC-32 (IEEE) of all before it, so that a typing
//	        error is found without asking anybody and scanners have a pattern
//
// The underscore after the id keeps us out of another company's secret-scanning
// pattern (sk_live_ followed by letters and digits only).
const (
	keyIDLength     = 8
	keyRandomLength = 43
	keyCheckLength  = 6
	keyLength       = len("sk_live_") + keyIDLength + 1 + keyRandomLength + keyCheckLength
)

const (
	base62  = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	idChars = "0123456789abcdefghijklmnopqrstuvwxyz"
)

// Minted is a fresh secret and what is kept of it. Only the hash is ever stored.
type Minted struct {
	Secret string // shown once
	ID     string
	Prefix string // may be shown: "sk_live_k7f2q9xm"
	Hash   [32]byte
}

// Mint makes a key's secret for an environment.
func Mint(env mail.Env) Minted {
	id := randomID()
	prefix := "sk_" + env.String() + "_" + id
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails (crypto/rand since Go 1.24)
	head := prefix + "_" + inBase62(new(big.Int).SetBytes(raw[:]), keyRandomLength)
	secret := head + checkOf(head)
	return Minted{Secret: secret, ID: id, Prefix: prefix, Hash: HashSecret(secret)}
}

// MintFrom keeps a secret somebody else chose, of any shape: it is known by its hash,
// and its public id has nothing to do with it.
func MintFrom(secret string) Minted {
	id := randomID()
	shown := id
	if env, own, ok := ParseSecret(secret); ok {
		id, shown = own, "sk_"+env.String()+"_"+own
	}
	return Minted{Secret: secret, ID: id, Prefix: shown, Hash: HashSecret(secret)}
}

// HashSecret is the form in which secrets are kept and compared. SHA-256 suffices for
// ours, which have 256 random bits.
func HashSecret(secret string) [32]byte { return sha256.Sum256([]byte(secret)) }

// ParseSecret reads the public parts of a secret of our own shape; false for any other
// shape, and when the check does not fit.
func ParseSecret(s string) (env mail.Env, id string, ok bool) {
	if len(s) != keyLength {
		return 0, "", false
	}
	switch {
	case strings.HasPrefix(s, "sk_live_"):
		env = mail.Live
	case strings.HasPrefix(s, "sk_test_"):
		env = mail.Test
	default:
		return 0, "", false
	}
	const at = len("sk_live_")
	id = s[at : at+keyIDLength]
	head := s[:keyLength-keyCheckLength]
	if s[at+keyIDLength] != '_' || !fitsCheck(head, s[keyLength-keyCheckLength:]) {
		return 0, "", false
	}
	return env, id, true
}

func checkOf(head string) string {
	return inBase62(big.NewInt(int64(crc32.ChecksumIEEE([]byte(head)))), keyCheckLength)
}

// fitsCheck is checkOf(head) == check without the big numbers.
func fitsCheck(head, check string) bool {
	n := uint64(crc32.ChecksumIEEE([]byte(head)))
	for i := len(check) - 1; i >= 0; i-- {
		if check[i] != base62[n%62] {
			return false
		}
		n /= 62
	}
	return n == 0
}

func inBase62(n *big.Int, width int) string {
	out := make([]byte, width)
	radix, rest := big.NewInt(62), new(big.Int)
	for i := width - 1; i >= 0; i-- {
		n.DivMod(n, radix, rest)
		out[i] = base62[rest.Int64()]
	}
	return string(out)
}

// randomID gives 41 bits that nobody can guess into a clash; the store's unique index
// catches the rest.
func randomID() string {
	out := make([]byte, 0, keyIDLength)
	var b [16]byte
	for len(out) < keyIDLength {
		_, _ = rand.Read(b[:])
		for _, c := range b {
			if c < 252 && len(out) < keyIDLength { // 252 = 7×36: no character is likelier than another
				out = append(out, idChars[c%36])
			}
		}
	}
	return string(out)
}
