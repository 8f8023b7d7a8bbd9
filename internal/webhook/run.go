package webhook

import "context"

// Run works until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// kick wakes the one that works on queues.
func (s *Service) kick() {
	select {
	case s.stir <- struct{}{}:
	default:
	}
}

// look has an endpoint's queue read again.
func (s *Service) look(endpoint int64) { s.kick() }

// replays has the jobs read again.
func (s *Service) replays() { s.kick() }
