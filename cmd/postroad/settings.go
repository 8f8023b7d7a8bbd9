package main

import (
	"fmt"

	"github.com/postroad/postroad/internal/config"
)

type settingCommand struct {
	Check    settingCheck    `cmd:"" help:"Report every fault of the settings at once."`
	Describe settingDescribe `cmd:"" help:"Print the annotated reference."`
}

type settingCheck struct{}

func (settingCheck) Run(s *surroundings) error {
	set, err := s.settings()
	if err != nil {
		return err
	}
	for _, note := range set.Notes {
		fmt.Fprintln(s.stderr, "postroad: "+note)
	}
	fmt.Fprintln(s.stdout, "The settings are fine.")
	return nil
}

type settingDescribe struct{}

func (settingDescribe) Run(s *surroundings) error { return config.Describe(s.stdout) }
