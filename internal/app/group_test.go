package app

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestAGroupEndsWithItsFirstFailureAndNamesIt(t *testing.T) {
	t.Parallel()
	g := newGroup(t.Context())
	g.run("steady", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	g.run("queue", func(context.Context) error { return errors.New("no store") })
	<-g.ctx.Done()
	g.stop()
	if err := g.failure(); err == nil || err.Error() != "queue: no store" {
		t.Errorf("%v", err)
	}
}

func TestAPartThatEndsUnaskedIsAFailure(t *testing.T) {
	t.Parallel()
	g := newGroup(t.Context())
	g.run("domains", func(context.Context) error { return nil })
	<-g.ctx.Done()
	g.stop()
	if err := g.failure(); err == nil || !strings.Contains(err.Error(), "domains") {
		t.Errorf("%v", err)
	}
}

func TestAGroupStoppedFromOutsideHasNoFailure(t *testing.T) {
	t.Parallel()
	g := newGroup(t.Context())
	ended := false
	g.run("steady", func(ctx context.Context) error { <-ctx.Done(); ended = true; return nil })
	g.stop()
	if err := g.failure(); err != nil || !ended {
		t.Errorf("%v, ended %v", err, ended)
	}
}
