package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/postroad/postroad/internal/seal"
)

// How much room the data directory should have.
const (
	diskLow   = 2 << 30   // warn below
	diskFloor = 256 << 20 // fail below: mail is refused soon
)

func (o Options) disk(context.Context) []Check {
	if o.DataDir == "" {
		return one("disk", Skip, "No data directory was given.", "")
	}
	free, err := freeSpace(o.DataDir)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return one("disk", Skip, "The free space cannot be asked for on this system.", "")
	case errors.Is(err, fs.ErrNotExist):
		return one("disk", Skip, "The data directory "+o.DataDir+" is not there yet; the first start makes it.", "")
	case err != nil:
		return one("disk", Fail, fmt.Sprintf("The data directory %s cannot be read: %v.", o.DataDir, err), "Let the user that runs Postroad own it, or set POSTROAD_DATA_DIR.")
	}
	summary := fmt.Sprintf("%.1f GB are free for %s.", float64(free)/1e9, o.DataDir)
	fix := "Free some space or move POSTROAD_DATA_DIR to a larger disk; without room no mail is accepted."
	switch {
	case free < diskFloor:
		return one("disk", Fail, summary, fix)
	case free < diskLow:
		return one("disk", Warn, summary, fix)
	}
	return one("disk", Pass, summary, "")
}

// keyFile looks at who can read the keys that everything sealed hangs on.
func (o Options) keyFile(context.Context) []Check {
	if o.DataDir == "" {
		return nil
	}
	path := filepath.Join(o.DataDir, seal.FileName)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return one("secret_key", Skip, "There is no key file yet; the first start makes it.", "")
	case err != nil:
		return one("secret_key", Fail, fmt.Sprintf("The key file cannot be read: %v.", err), "Let the user that runs Postroad own "+path+".")
	case info.Mode().Perm()&0o077 != 0:
		return one("secret_key", Warn, fmt.Sprintf("Others on this host may read the key file (mode %04o).", info.Mode().Perm()), "chmod 600 "+path)
	}
	return one("secret_key", Pass, "Only its owner can read the key file. Keep it with your backups: without it DKIM keys are lost.", "")
}

func clock(context.Context) []Check {
	synced, err := clockSynced()
	switch {
	case err != nil:
		return one("clock_skew", Skip, "The kernel does not tell whether the clock is kept right here.", "")
	case !synced:
		return one("clock_skew", Warn, "The kernel says that nothing keeps the clock right.", "Run chrony, ntpd or systemd-timesyncd (on the host, when this is a container): signatures and schedules rely on the time.")
	}
	return one("clock_skew", Pass, "The clock is kept right by a time service.", "")
}
