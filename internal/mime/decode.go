package mime

import (
	"crypto/sha256"
	"fmt"
	"io"
)

// Decode writes the attachment's bytes, for one that is kept apart from a message. It
// checks the attachment first; of Raw it takes size and digest on the way.
func (a *Attachment) Decode(w io.Writer) error {
	if err := a.Check(); err != nil {
		return err
	}
	if a.Raw != nil {
		return a.copyRaw(w)
	}
	var decoded [quantum / 4 * 3]byte
	var packed [quantum]byte
	for rest := a.Base64; len(rest) > 0; {
		var chars []byte
		if chars, rest = a.take(rest, packed[:0]); len(chars) == 0 {
			return nil
		}
		n, err := encoding.Decode(decoded[:], chars)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrBase64, err) // cannot be: it was checked
		}
		if _, err := w.Write(decoded[:n]); err != nil {
			return err
		}
	}
	return nil
}

func (a *Attachment) copyRaw(w io.Writer) error {
	r, err := a.Raw.Open()
	if err != nil {
		return fmt.Errorf("open attachment: %w", err)
	}
	defer r.Close()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, sum), r)
	if err != nil {
		return fmt.Errorf("copy attachment: %w", err)
	}
	a.Size = n
	sum.Sum(a.SHA256[:0])
	return nil
}
