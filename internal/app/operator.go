package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postroad/postroad/internal/audit"
	"github.com/postroad/postroad/internal/config"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// NewKey is a key the operator asks for.
type NewKey struct {
	Project   string   `json:"project"`
	Env       string   `json:"environment"`
	Scopes    []string `json:"scopes"`
	Name      string   `json:"name"`
	ExpiresIn int64    `json:"expires_in_seconds"` // 0: never
}

// MadeKey is its answer. The secret is shown here and kept nowhere.
type MadeKey struct {
	ID     string `json:"key_id"`
	Secret string `json:"secret"`
}

// Schema is the version of the database's tables.
type Schema struct {
	Have int `json:"have"`
	Want int `json:"want"`
}

func (s Schema) String() string {
	switch {
	case s.Have == s.Want:
		return fmt.Sprintf("schema %d: up to date", s.Have)
	case s.Have < s.Want:
		return fmt.Sprintf("schema %d: behind this version's %d; `postroad migrate up` or `postroad serve` brings it up", s.Have, s.Want)
	}
	return fmt.Sprintf("schema %d: newer than this version's %d; use the version that made it", s.Have, s.Want)
}

// CreateKey makes a key: by the running server when there is one, else in the store.
func CreateKey(ctx context.Context, s *config.Settings, n NewKey) (made MadeKey, err error) {
	err = asOperator(ctx, s, true, func(op operator) error {
		made, err = op.createKey(ctx, n)
		return err
	})
	return made, err
}

// SetPassword sets the password of the console's first user, or makes them.
func SetPassword(ctx context.Context, s *config.Settings, password string) error {
	return asOperator(ctx, s, true, func(op operator) error { return op.setPassword(ctx, password) })
}

// ReadSchema tells the schema on disk and this version's.
func ReadSchema(ctx context.Context, s *config.Settings) (schema Schema, err error) {
	err = asOperator(ctx, s, false, func(op operator) error {
		schema, err = op.schema(ctx)
		return err
	})
	return schema, err
}

// Migrate brings the schema up to this version's. A running server's is so already.
func Migrate(ctx context.Context, s *config.Settings) (schema Schema, err error) {
	err = asOperator(ctx, s, true, func(op operator) error {
		schema, err = op.schema(ctx)
		return err
	})
	return schema, err
}

// asOperator finds who can do the operator's work: a running server, or we ourselves with
// the store open, migrated if asked.
func asOperator(ctx context.Context, s *config.Settings, migrate bool, do func(operator) error) error {
	server, hangUp, err := dialServer(ctx, s.Storage.DataDir)
	if err == nil {
		defer hangUp()
		return do(server)
	}
	l, err := openLocal(ctx, s, migrate)
	if err != nil {
		return err
	}
	return errors.Join(do(l), l.close())
}

// makeKey is the operator's way to a key, in a project that is there, or in the default
// project, made when it is not.
func makeKey(ctx context.Context, access *project.Access, store project.Store, n NewKey, now time.Time) (MadeKey, error) {
	env, ok := mail.ParseEnv(n.Env)
	if !ok {
		return MadeKey{}, fmt.Errorf("the environment is live or test, not %q", n.Env)
	}
	p, err := store.ProjectByName(ctx, n.Project)
	if errors.Is(err, mail.ErrNotFound) && n.Project == project.DefaultProject {
		p, err = store.CreateProject(ctx, project.Project{ID: mail.NewID(now), Name: n.Project, Settings: project.DefaultSettings(), CreatedAt: now}, nil, nil)
	}
	if errors.Is(err, mail.ErrNotFound) {
		return MadeKey{}, fmt.Errorf("there is no project %q", n.Project)
	}
	if err != nil {
		return MadeKey{}, fmt.Errorf("find the project: %w", err)
	}
	k := project.NewKey{Project: &p, Name: n.Name, Env: &env, Scopes: n.Scopes}
	if n.ExpiresIn > 0 {
		k.ExpiresAt = now.Add(time.Duration(n.ExpiresIn) * time.Second)
	}
	ctx = audit.Begin(ctx, audit.Entry{At: now, Owner: mail.Owner{Project: p.Row, Env: env}, Actor: "operator", Action: "api_keys.create"})
	made, secret, err := access.CreateKey(ctx, k, nil, nil)
	if err != nil {
		return MadeKey{}, err
	}
	return MadeKey{ID: mail.PrefixKey + "_" + made.ID, Secret: secret}, nil
}
