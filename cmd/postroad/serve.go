package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/postroad/postroad/internal/app"
)

type serveCommand struct {
	Migrate bool `negatable:"" default:"true" help:"Bring the database's schema up to this version at start."`
}

// Run serves until a signal. The first SIGINT, SIGTERM or SIGHUP stops softly: what is on the
// wire is finished. The second cuts.
func (c serveCommand) Run(s *surroundings) error {
	set, err := s.settings()
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	soft, stop := context.WithCancel(s.ctx)
	hard, kill := context.WithCancel(context.WithoutCancel(s.ctx))
	defer kill()
	defer stop()
	go func() { // ends with the contexts
		for _, end := range []context.CancelFunc{stop, kill} {
			select {
			case <-signals:
				end()
			case <-hard.Done():
				return
			}
		}
	}()
	return app.Run(soft, hard, set, app.Options{Migrate: c.Migrate, Out: s.stdout, Err: s.stderr})
}
