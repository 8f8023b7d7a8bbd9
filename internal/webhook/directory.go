package webhook

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/mail"
)

// directory is all endpoints as they were at a revision.
type directory struct {
	revision int64
	byRow    map[int64]*Endpoint
	projects map[int64][]*Endpoint
	widest   int // the most endpoints of one project
}

// endpoints gives the directory, at this revision or a later one.
func (s *Service) endpoints(ctx context.Context, revision int64) (*directory, error) {
	s.mu.Lock()
	known, change := s.known, s.change
	s.mu.Unlock()
	if known != nil && known.revision >= revision {
		return known, nil
	}
	all, revision, err := s.o.Store.AllEndpoints(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the endpoints: %w", err)
	}
	d := &directory{revision: revision, byRow: make(map[int64]*Endpoint, len(all)), projects: make(map[int64][]*Endpoint)}
	for i := range all {
		e := &all[i]
		d.byRow[e.Row] = e
		d.projects[e.Owner.Project] = append(d.projects[e.Owner.Project], e)
		d.widest = max(d.widest, len(d.projects[e.Owner.Project]))
	}
	s.mu.Lock()
	if s.change == change && (s.known == nil || s.known.revision <= d.revision) {
		s.known = d
	}
	s.mu.Unlock()
	return d, nil
}

// plan gives the endpoints that the store's Relay asks.
func (s *Service) plan(ctx context.Context, revision int64) (Planner, error) {
	d, err := s.endpoints(ctx, revision)
	if err != nil {
		return nil, err
	}
	return planner{s, d}, nil
}

type planner struct {
	s *Service
	d *directory
}

// Wants looks at no message: filters come later.
func (p planner) Wants(owner mail.Owner, t mail.EventType) bool {
	return slices.ContainsFunc(p.d.projects[owner.Project], func(e *Endpoint) bool { return eventlog.MatchType(e.Events, t) })
}

// Hooks are in the order they are stored in.
func (p planner) Hooks(entries []eventlog.Entry) (hooks []Hook) {
	now := p.s.o.Now()
	for i := range entries {
		n := &entries[i]
		for _, e := range p.d.projects[n.Owner.Project] {
			if e.Owed(n.Position) && p.s.owes(e, n) {
				hooks = append(hooks, hookOf(e, n, now))
			}
		}
	}
	slices.SortFunc(hooks, func(a, b Hook) int {
		return cmp.Or(cmp.Compare(a.Endpoint, b.Endpoint), cmp.Compare(a.Position, b.Position))
	})
	return hooks
}
