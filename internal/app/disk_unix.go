//go:build unix

package app

import (
	"golang.org/x/sys/unix"

	"github.com/postroad/postroad/internal/submit"
)

// freeRoom is what an ordinary process may still write in a directory's file system. Some
// file systems (btrfs) have no number of files: they say 0 in all.
func freeRoom(dir string) (submit.Room, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return submit.Room{}, err
	}
	room := submit.Room{DiskBytes: int64(s.Bavail) * int64(s.Bsize), DiskFiles: -1} //nolint:unconvert // the types differ between systems
	if s.Files > 0 {
		room.DiskFiles = int64(s.Ffree) //nolint:unconvert // likewise
	}
	return room, nil
}
