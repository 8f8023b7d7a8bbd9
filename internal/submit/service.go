package submit

import (
	"context"
	"log/slog"
	"time"

	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/render"
)

// Domains knows the sending domains of projects.
type Domains interface {
	// Domain gives a project's sending domain by its name in A-labels, or
	// mail.ErrNotFound. It is asked for every message.
	Domain(ctx context.Context, project int64, name string) (project.Domain, error)
}

// Options are the parts a [Service] works with.
type Options struct {
	Store      Store
	Domains    Domains
	Renderer   *render.Renderer
	Dispatcher Dispatcher       // nil: everything waits to be claimed
	Now        func() time.Time // nil: time.Now
	Limits     Limits           // zero fields: the defaults
	Links      *Links           // of hosted files; nil: none can be hosted
	Marking    Marking          // of links to unsubscribe and to count; zero: there are none
	Blocked    []string         // attachments that are refused, see [Blocked]; nil: the built-in list
	Pressure   *Pressure        // nil: there is always room
	Log        *slog.Logger     // nil: slog.Default
}

// Service accepts messages. It implements [Submitter] and is safe for many callers.
type Service struct {
	store      Store
	domains    Domains
	renderer   *render.Renderer
	dispatcher Dispatcher
	now        func() time.Time
	limits     Limits
	links      *Links
	marking    Marking
	blocked    map[string]bool
	pressure   *Pressure
	log        *slog.Logger
}

// NewService builds the way in.
func NewService(o Options) *Service {
	s := &Service{
		store: o.Store, domains: o.Domains, renderer: o.Renderer, dispatcher: o.Dispatcher,
		now: o.Now, limits: o.Limits.orDefaults(), links: o.Links, marking: o.Marking, blocked: expandBlocked(o.Blocked), pressure: o.Pressure, log: o.Log,
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.renderer == nil {
		s.renderer = render.New(render.NoTemplates{})
	}
	return s
}

// Submit implements [Submitter].
func (s *Service) Submit(ctx context.Context, who project.Principal, r *Request) (*Accepted, error) {
	d := s.newDraft(who, r)
	if err := d.judge(ctx); err != nil {
		return nil, err
	}
	if err := d.screen(ctx); err != nil {
		return nil, err
	}
	if r.DryRun {
		return d.preview()
	}
	e, err := d.finish(ctx)
	if err != nil {
		return nil, err
	}
	return s.accept(ctx, e)
}

// stamp gives now as we keep it: in UTC, to the millisecond that answers show.
func (s *Service) stamp() time.Time { return s.now().UTC().Truncate(time.Millisecond) }

// refused is the refusal of a project that may not send now, or of everybody while there is
// no room.
func (s *Service) refused(who project.Principal) error {
	if fault := who.MaySend(); fault != nil {
		return fault
	}
	if fault := s.pressure.Refuse(s.now()); fault != nil {
		return fault
	}
	return nil
}
