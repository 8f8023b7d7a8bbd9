package app

import (
	"io"
	"log/slog"
	"os"

	"github.com/mattn/go-isatty"

	"github.com/postroad/postroad/internal/config"
)

// newLog makes the log: text for people at a terminal, JSON for machines.
func newLog(w io.Writer, s config.Running) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(s.LogLevel)) // config has judged it
	o := &slog.HandlerOptions{Level: level}
	if s.Log == "text" || s.Log == "" && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}
