//go:build !unix

package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrLocked says that another process has the data directory.
var ErrLocked = errors.New("another Postroad process uses this data directory")

// lockDir cannot keep others out on this system; only Unix is supported for serving.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "postroad.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	return f, nil
}
