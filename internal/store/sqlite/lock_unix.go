//go:build unix

package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// ErrLocked says that another process has the data directory.
var ErrLocked = errors.New("another Postroad process uses this data directory")

// lockDir keeps a second process out of the directory: the store's memory (queue
// heads, counters, lease tokens) is right only while this process alone writes.
// The lock goes when the file is closed, so also when the process dies.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, "postroad.lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			who, _ := os.ReadFile(path)
			return nil, fmt.Errorf("%w: %s (process %s)", ErrLocked, dir, strings.TrimSpace(string(who)))
		}
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	_ = f.Truncate(0)
	_, _ = f.WriteString(fmt.Sprintln(os.Getpid()))
	return f, nil
}
