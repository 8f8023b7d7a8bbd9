package main

import (
	"fmt"

	"github.com/postroad/postroad/internal/app"
)

type versionCommand struct{}

func (versionCommand) Run(s *surroundings) error {
	v := app.ThisBuild()
	_, err := fmt.Fprintf(s.stdout, "postroad %s (commit %s, %s)\n", v.Version, v.Commit, v.Go)
	return err
}
