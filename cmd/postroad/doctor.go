package main

import (
	"fmt"

	"github.com/postroad/postroad/internal/app"
)

type doctorCommand struct {
	Offline bool `help:"Leave out what dials other hosts."`
}

// Run prints a line a check and, below a fault, its fix. It fails when a check failed;
// warnings do not count.
func (c doctorCommand) Run(s *surroundings) error {
	set, err := s.settings()
	if err != nil {
		return err
	}
	checks, err := app.Examine(s.ctx, set, c.Offline)
	if err != nil {
		return err
	}
	failed := false
	for _, check := range checks {
		fmt.Fprintf(s.stdout, "%-5s %-22s %s\n", check.Status, check.ID, check.Summary)
		if check.Fix != "" && check.Status != "pass" {
			fmt.Fprintf(s.stdout, "      %-22s fix: %s\n", "", check.Fix)
		}
		failed = failed || check.Status == "fail"
	}
	if failed {
		return errQuiet
	}
	return nil
}
