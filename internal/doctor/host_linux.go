package doctor

import (
	"os"

	"golang.org/x/sys/unix"
)

// clockSynced asks the kernel whether a time service steers the clock (adjtimex(2)).
func clockSynced() (bool, error) {
	var state unix.Timex // Modes 0: only ask
	code, err := unix.Adjtimex(&state)
	if err != nil {
		return false, err
	}
	const timeError, unsynced = 5, 0x40 // TIME_ERROR, STA_UNSYNC of <sys/timex.h>
	return code != timeError && state.Status&unsynced == 0, nil
}

// freeSpace is what an ordinary user may still write below dir, in bytes.
func freeSpace(dir string) (uint64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return fs.Bavail * uint64(fs.Bsize), nil
}
