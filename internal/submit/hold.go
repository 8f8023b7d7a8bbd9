package submit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/postroad/postroad/internal/mail"
)

// HoldMemory is how many bytes of one held piece stand in memory, unless the caller has
// less room.
const HoldMemory = 256 << 10

// Hold takes bytes whose number nobody knows yet: up to room of them stay in memory,
// more go to the store's disk. An error of r comes back as it is. What is held is the
// caller's to [Service.Drop].
func (s *Service) Hold(ctx context.Context, r io.Reader, room int64) (mail.Content, error) {
	room = min(max(room, 0), HoldMemory)
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(r, room+1))
	if err != nil {
		return nil, err
	}
	if n <= room {
		return mail.Bytes(b.Bytes()), nil
	}
	source := &remembering{r: r}
	content, err := s.store.Spool(ctx, func(w io.Writer) error {
		if _, err := w.Write(b.Bytes()); err != nil {
			return err
		}
		_, err := io.Copy(w, source)
		return err
	})
	if source.err != nil {
		return nil, source.err
	}
	if err != nil {
		return nil, fmt.Errorf("hold what comes in: %w", err)
	}
	return content, nil
}

// remembering keeps the error of a reader apart from those of the writer.
type remembering struct {
	r   io.Reader
	err error
}

func (m *remembering) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		m.err = err
	}
	return n, err
}

// Drop lets go of what Hold gave. What became a message's own stays.
func (s *Service) Drop(c mail.Content) { s.discard(c) }
