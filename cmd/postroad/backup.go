package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/postroad/postroad/internal/app"
)

type backupCommand struct {
	File string `arg:"" help:"Where to, or - for stdout."`
}

// Run writes beside FILE and renames at the end: FILE is a whole backup or what it was.
func (c backupCommand) Run(s *surroundings) error {
	set, err := s.settings()
	if err != nil {
		return err
	}
	if c.File == "-" {
		return app.Backup(s.ctx, set, s.stdout)
	}
	out, err := os.CreateTemp(filepath.Dir(c.File), filepath.Base(c.File)+".*.part") // 0600: it has keys and mail
	if err != nil {
		return err
	}
	err = app.Backup(s.ctx, set, out)
	if err == nil {
		err = out.Sync()
	}
	size, _ := out.Seek(0, io.SeekCurrent)
	if err = errors.Join(err, out.Close()); err == nil {
		err = os.Rename(out.Name(), c.File)
	}
	if err != nil {
		_ = os.Remove(out.Name())
		return err
	}
	_, err = fmt.Fprintf(s.stdout, "%s: %d bytes\n", c.File, size)
	return err
}

type restoreCommand struct {
	File string `arg:"" help:"A backup, or - for stdin."`
}

// Run puts a backup into the data directory, if nothing is there.
func (c restoreCommand) Run(s *surroundings) error {
	set, err := s.settings()
	if err != nil {
		return err
	}
	in := s.stdin
	if c.File != "-" {
		file, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	got, err := app.Restore(s.ctx, set, in)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.stdout, "%s: %d files, %d bytes, as of %s\n", set.Storage.DataDir, got.Files, got.Bytes, got.CreatedAt.Format("2006-01-02 15:04:05 MST"))
	return err
}
