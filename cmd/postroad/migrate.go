package main

import (
	"fmt"

	"github.com/postroad/postroad/internal/app"
)

type migrateCommand struct {
	Status migrateStatus `cmd:"" default:"1" help:"Tell the schema on disk and this version's."`
	Up     migrateUp     `cmd:"" help:"Bring the schema up to this version."`
}

type migrateStatus struct{}

func (migrateStatus) Run(s *surroundings) error {
	set, err := s.settings()
	if err != nil {
		return err
	}
	schema, err := app.ReadSchema(s.ctx, set)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.stdout, schema)
	return err
}

type migrateUp struct{}

func (migrateUp) Run(s *surroundings) error {
	set, err := s.settings()
	if err != nil {
		return err
	}
	schema, err := app.Migrate(s.ctx, set)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.stdout, schema)
	return err
}
