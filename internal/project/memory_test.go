package project_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// memory is a hand-written AccessStore: what Access needs and nothing more.
type memory struct {
	mu       sync.Mutex
	projects []project.Project
	keys     []project.Key
	uses     []project.KeyUse
	warned   []mail.Event
	reads    int
	broken   error // what every read says, when set
}

var errBroken = errors.New("the disk is gone")

func (m *memory) CreateProject(_ context.Context, p project.Project, _ *mail.Once, _ func(project.Project) mail.Answer) (project.Project, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.projects {
		if o.Name == p.Name {
			return project.Project{}, mail.ErrExists
		}
	}
	p.Row, p.Version = int64(len(m.projects)+1), 1
	m.projects = append(m.projects, p)
	return p, nil
}

func (m *memory) ProjectByName(_ context.Context, name string) (project.Project, error) {
	return m.project(func(p project.Project) bool { return p.Name == name })
}

func (m *memory) ProjectByRow(_ context.Context, row int64) (project.Project, error) {
	return m.project(func(p project.Project) bool { return p.Row == row })
}

func (m *memory) project(is func(project.Project) bool) (project.Project, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.projects {
		if is(p) {
			return p, m.broken
		}
	}
	return project.Project{}, mail.ErrNotFound
}

func (m *memory) UpdateProject(_ context.Context, p project.Project, ifVersion int64) (project.Project, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := &m.projects[p.Row-1]
	if ifVersion != 0 && old.Version != ifVersion {
		return project.Project{}, mail.ErrStale
	}
	p.Version = old.Version + 1
	*old = p
	return p, nil
}

func (m *memory) CreateKeyBelow(ctx context.Context, k project.Key, _ int) (project.Key, error) {
	return m.CreateKey(ctx, k, nil, nil)
}

func (m *memory) CreateKey(_ context.Context, k project.Key, _ *mail.Once, _ func(project.Key) mail.Answer) (project.Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.keys {
		if o.ID == k.ID || o.Hash == k.Hash {
			return project.Key{}, mail.ErrExists
		}
	}
	k.Version = 1
	m.keys = append(m.keys, k)
	return k, nil
}

func (m *memory) key(is func(project.Key) bool) (project.Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	if m.broken != nil {
		return project.Key{}, m.broken
	}
	for _, k := range m.keys {
		if is(k) {
			return k, nil
		}
	}
	return project.Key{}, mail.ErrNotFound
}

func (m *memory) KeyByID(_ context.Context, id string) (project.Key, error) {
	return m.key(func(k project.Key) bool { return k.ID == id })
}

func (m *memory) KeyByHash(_ context.Context, hash [32]byte) (project.Key, error) {
	return m.key(func(k project.Key) bool { return k.Hash == hash })
}

func (m *memory) Keys(_ context.Context, row int64) (out []project.Key, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := len(m.keys) - 1; i >= 0; i-- {
		if m.keys[i].Project == row {
			out = append(out, m.keys[i])
		}
	}
	return out, nil
}

func (m *memory) UpdateKey(_ context.Context, k project.Key, ifVersion int64) (project.Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.keys {
		if m.keys[i].ID == k.ID {
			if ifVersion != 0 && m.keys[i].Version != ifVersion {
				return project.Key{}, mail.ErrStale
			}
			k.Version = m.keys[i].Version + 1
			m.keys[i] = k
			return k, nil
		}
	}
	return project.Key{}, mail.ErrNotFound
}

func (m *memory) RevokeKey(_ context.Context, row int64, id string, _ string, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.keys {
		if m.keys[i].ID == id && m.keys[i].Project == row {
			m.keys[i].RevokedAt = now
			return nil
		}
	}
	return mail.ErrNotFound
}

func (m *memory) ProjectByID(_ context.Context, id mail.ID) (project.Project, error) {
	return m.project(func(p project.Project) bool { return p.ID == id })
}

func (m *memory) Projects(context.Context) ([]project.Project, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.projects), nil
}

func (m *memory) RotateKey(ctx context.Context, old, next project.Key, _ *mail.Once, _ func(project.Key) mail.Answer) (project.Key, error) {
	if _, err := m.UpdateKey(ctx, old, old.Version); err != nil {
		return project.Key{}, err
	}
	return m.CreateKey(ctx, next, nil, nil)
}

func (m *memory) ExpiringKeys(_ context.Context, now, until time.Time) (out []project.Key, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.keys {
		if k.RevokedAt.IsZero() && k.ReplacedBy == "" && k.ExpiresAt.After(now) && !k.ExpiresAt.After(until) {
			out = append(out, k)
		}
	}
	return out, nil
}

func (m *memory) WarnKey(_ context.Context, k project.Key, days int, e mail.Event) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.keys {
		if m.keys[i].ID == k.ID {
			m.keys[i].Warned = days
			m.warned = append(m.warned, e)
		}
	}
	return true, nil
}

// What the tests of this package ask of the real engine, if at all.
func (m *memory) DeleteProject(context.Context, int64, string, time.Time) error { return errBroken }
func (m *memory) Usage(context.Context, mail.Owner, project.Day, project.Day) ([]project.Usage, error) {
	return nil, errBroken
}
func (m *memory) ForgetAudit(context.Context, time.Time) (int, error) { return 0, nil }

func (m *memory) TouchKeys(_ context.Context, used []project.KeyUse) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.uses = append(m.uses, used...)
	return nil
}
