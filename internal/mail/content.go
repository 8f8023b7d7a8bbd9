package mail

import (
	"bytes"
	"io"
)

// Content is the bytes of a message, readable any number of times. Small ones are in
// memory; large ones are read from disk, so that no copy of 50 MB is ever held.
type Content interface {
	Size() int64
	Open() (io.ReadCloser, error)
}

// Bytes is Content in memory.
type Bytes []byte

func (b Bytes) Size() int64                  { return int64(len(b)) }
func (b Bytes) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
