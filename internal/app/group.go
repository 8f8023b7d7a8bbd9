package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// group runs long-lived parts. The first to fail ends the context of all, and the group
// knows its name; stopping waits for every one.
type group struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
}

func newGroup(parent context.Context) *group {
	g := &group{}
	g.ctx, g.cancel = context.WithCancelCause(parent)
	return g
}

// run starts one part. Ending because the context ended is no failure.
func (g *group) run(name string, part func(context.Context) error) {
	g.wg.Go(func() {
		err := part(g.ctx)
		switch {
		case err == nil && g.ctx.Err() == nil:
			g.cancel(fmt.Errorf("%s ended by itself", name))
		case err != nil && !(g.ctx.Err() != nil && errors.Is(err, context.Canceled)):
			g.cancel(fmt.Errorf("%s: %w", name, err))
		}
	})
}

// stop ends all parts and waits for them.
func (g *group) stop() {
	g.cancel(nil)
	g.wg.Wait()
}

// failure is what ended the group, nil when it was stopped from outside.
func (g *group) failure() error {
	err := context.Cause(g.ctx)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
