package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/postroad/postroad/internal/config"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/store"
	"github.com/postroad/postroad/internal/store/sqlite"
)

// local is an operator with the store in this process: of a command, or of the server.
type local struct {
	settings *config.Settings
	store    store.Store
	access   *project.Access
	sessions *project.Sessions // of the server; nil in a command
	now      func() time.Time
	log      *slog.Logger
}

// errNoDatabase says that nothing was ever served from the data directory.
var errNoDatabase = errors.New("there is no database yet")

// openLocal opens the store for a command. Without migrate nothing is made or changed.
func openLocal(ctx context.Context, s *config.Settings, migrate bool) (*local, error) {
	if !migrate {
		if _, err := os.Stat(filepath.Join(s.Storage.DataDir, "postroad.db")); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w in %s; `postroad serve` makes one", errNoDatabase, s.Storage.DataDir)
		}
	}
	log := slog.New(slog.DiscardHandler)
	st, err := openStore(s, log)
	if errors.Is(err, sqlite.ErrLocked) {
		return nil, fmt.Errorf("%w, and it does not answer at its socket; use its API instead", err)
	}
	if err != nil {
		return nil, err
	}
	l := &local{settings: s, store: st, now: time.Now, log: log}
	if migrate {
		if err := st.Migrate(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("bring the schema up to date: %w", err), st.Close())
		}
	}
	l.access = project.NewAccess(project.AccessOptions{Store: st, Now: l.now, Log: log})
	return l, nil
}

// openStore opens the engine the settings name: so far there is one.
func openStore(s *config.Settings, log *slog.Logger) (store.Store, error) {
	if err := os.MkdirAll(s.Storage.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	st, err := sqlite.Open(sqlite.Options{Dir: s.Storage.DataDir, Log: log})
	if err != nil {
		return nil, err // and no store: a nil *sqlite.Store in the interface would not be nil
	}
	return st, nil
}

func (l *local) close() error { return l.store.Close() }

func (l *local) createKey(ctx context.Context, n NewKey) (MadeKey, error) {
	return makeKey(ctx, l.access, l.store, n, l.now())
}

func (l *local) setPassword(ctx context.Context, password string) error {
	sessions := l.sessions
	if sessions == nil {
		sessions = project.NewSessions(project.SessionsOptions{Store: l.store, Now: l.now, Log: l.log})
	}
	return sessions.ResetPassword(ctx, password)
}

func (l *local) schema(ctx context.Context) (s Schema, err error) {
	s.Have, s.Want, err = l.store.Schema(ctx)
	return s, err
}
