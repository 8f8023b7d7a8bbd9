package main

import (
	"fmt"
	"time"

	"github.com/postroad/postroad/internal/app"
)

type keyCommands struct {
	Create keyCreate `cmd:"" help:"Make a key and print its secret, once, on stdout."`
}

type keyCreate struct {
	Project string        `default:"default" help:"Name of the project."`
	Env     string        `enum:"live,test" default:"test" help:"Environment: live, or test (the default; its mail never leaves the host)."`
	Scopes  []string      `default:"full" help:"Scopes, or presets: send, send-read, read, ci, full."`
	Name    string        `default:"made on the command line" help:"What it is for."`
	Expires time.Duration `help:"How long it is good for, e.g. 2160h (default: for ever)."`
}

// Run prints the secret and nothing else on stdout, so that scripts can capture it. A
// running server makes the key itself, asked through its socket in the data directory;
// without one the store is opened here.
func (c keyCreate) Run(s *surroundings) error {
	set, err := s.settings()
	if err != nil {
		return err
	}
	made, err := app.CreateKey(s.ctx, set, app.NewKey{Project: c.Project, Env: c.Env, Scopes: c.Scopes, Name: c.Name, ExpiresIn: int64(c.Expires.Seconds())})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.stdout, made.Secret)
	return err
}
