package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrSealed says that something cannot be opened: it was changed, is sealed for
// another use, or with a key that the ring does not have.
var ErrSealed = errors.New("this cannot be opened with our keys")

// Ring is the keys. It never changes once open and is safe for concurrent use.
type Ring struct {
	keys []key
}

// key is one line of the file.
type key struct {
	id     uint32
	secret [32]byte
	aead   cipher.AEAD
}

// A sealed text is: version (1 byte), key id (4), nonce (12), AES-256-GCM of the text
// with version, key id and label as additional data. A random nonce is safe for 2^32
// texts of one key (NIST SP 800-38D §8.3); we seal a few per sending domain.
const (
	version  = 1
	headSize = 1 + 4
)

func newKey(id uint32, secret [32]byte) (key, error) {
	k := key{id: id, secret: secret}
	use, err := hkdf.Key(sha256.New, secret[:], nil, "postroad seal v1", 32)
	if err != nil {
		return key{}, fmt.Errorf("derive the sealing key: %w", err)
	}
	block, err := aes.NewCipher(use)
	if err != nil {
		return key{}, fmt.Errorf("set up AES-256: %w", err)
	}
	if k.aead, err = cipher.NewGCM(block); err != nil {
		return key{}, fmt.Errorf("set up AES-GCM: %w", err)
	}
	return k, nil
}

// Seal encrypts. The label says what for, so that one sealed thing cannot be passed
// off as another.
func (r *Ring) Seal(plain []byte, label string) []byte {
	k := &r.keys[len(r.keys)-1]
	size := headSize + k.aead.NonceSize()
	out := make([]byte, size, size+len(plain)+k.aead.Overhead())
	out[0] = version
	binary.BigEndian.PutUint32(out[1:], k.id)
	_, _ = rand.Read(out[headSize:]) // never fails (crypto/rand since Go 1.24)
	return k.aead.Seal(out, out[headSize:], plain, about(out[:headSize], label))
}

// Open decrypts what Seal made with the same label. Errors are [ErrSealed].
func (r *Ring) Open(sealed []byte, label string) ([]byte, error) {
	if len(sealed) < headSize || sealed[0] != version {
		return nil, ErrSealed
	}
	id := binary.BigEndian.Uint32(sealed[1:])
	for i := range r.keys {
		k := &r.keys[i]
		if size := headSize + k.aead.NonceSize(); k.id == id && len(sealed) >= size {
			plain, err := k.aead.Open(nil, sealed[headSize:size], sealed[size:], about(sealed[:headSize], label))
			if err != nil {
				return nil, ErrSealed
			}
			return plain, nil
		}
	}
	return nil, fmt.Errorf("%w: key %08x is not in secret.key", ErrSealed, id)
}

func about(head []byte, label string) []byte {
	return append(append(make([]byte, 0, len(head)+len(label)), head...), label...)
}

// Derive gives a key for one purpose, the same at every start (HKDF, RFC 5869).
func (r *Ring) Derive(label string) [32]byte {
	out, err := hkdf.Key(sha256.New, r.keys[0].secret[:], nil, "postroad derive v1 "+label, 32)
	if err != nil {
		panic("seal: " + err.Error()) // only for lengths over 8160 bytes
	}
	return [32]byte(out)
}
