package sqlite

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"

	"zombiezen.com/go/sqlite"
)

// Contents in the database are encrypted, each with a key of its own, so that they can be
// forgotten. SQLite overwrites what is deleted (secure_delete), but when it moves rows
// between the pages of a table it leaves copies of them in the unused part of the pages.
// What such a copy shows is worth nothing without its key, and no key ever moves while
// it is worth something: keys are as many as messages, all of one size, are overwritten
// in place, and their rows go long after, when no living key is near.
const (
	bodyKeySize = aes.BlockSize // AES-128
	// keyMargin is how many rows of forgotten keys are left beside a living one. Deleting a
	// row moves rows of its own page and of two beside it; 8 KB hold at most 340.
	keyMargin = 2048
	keyStep   = 512 // rows of forgotten keys that one step removes
)

type bodyKey [bodyKeySize]byte

// newBodyKey gives a random key: used for one content and never again, so that the
// stream may begin at zero.
func newBodyKey() (k bodyKey) {
	_, _ = rand.Read(k[:]) // never fails
	return k
}

// crypt encrypts or decrypts src into dst, which may be src.
func (k *bodyKey) crypt(dst, src []byte) {
	block, err := aes.NewCipher(k[:])
	if err != nil {
		panic(err) // only a key of a wrong size fails
	}
	var zero [aes.BlockSize]byte
	cipher.NewCTR(block, zero[:]).XORKeyStream(dst, src)
}

// keepKey writes a message's key. Messages whose content stands elsewhere have one as
// well: the distance between rows is what keyMargin counts.
func (t *tx) keepKey(message int64, k *bodyKey) error {
	b := bind(t.s.bodyKey)
	b.int(message)
	b.bytes(k[:])
	return t.exec(b.s)
}

// forgetKey overwrites a key in place: the new row has the size of the old one.
func (t *tx) forgetKey(message int64) error {
	q := t.conn.Prep(`UPDATE body_keys SET key = zeroblob(16) WHERE message = ?`)
	q.BindInt64(1, message)
	return t.exec(q)
}

// trimKeys removes the rows of keys that were forgotten before the oldest content there is.
func (t *tx) trimKeys() error {
	oldest := t.now.message
	if _, err := first(t.conn.Prep(`SELECT min(message) FROM bodies`), func(q *sqlite.Stmt) {
		if !q.ColumnIsNull(0) {
			oldest = q.ColumnInt64(0)
		}
	}); err != nil {
		return err
	}
	b := bind(t.conn.Prep(`DELETE FROM body_keys WHERE message < ? AND message < (SELECT min(message) FROM body_keys) + ?`))
	b.int(oldest - keyMargin)
	b.int(keyStep)
	return t.exec(b.s)
}
