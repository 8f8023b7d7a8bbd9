//go:build unix

package app

import "golang.org/x/sys/unix"

// freeSpace is how many bytes an ordinary process may still write in a directory's file
// system.
func freeSpace(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:unconvert // the types differ between systems
}
