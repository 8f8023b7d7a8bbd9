package project

import (
	"context"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// Behaviour is how the sandbox treats mail of a project's test environment. The zero value
// delivers everything, at once. Recipients of sandbox.test play their own parts whatever it
// says; only times are shortened for them too.
type Behaviour struct {
	Default   string           `json:"default,omitzero"`    // "deliver" (also ""), "bounce" or "defer"
	LatencyMS int              `json:"latency_ms,omitzero"` // of each delivery, at most 60 000
	TimeScale float64          `json:"time_scale,omitzero"` // waits are this much of themselves, 0.0001–1; 0: 1
	Chaos     map[string]Chaos `json:"chaos,omitzero"`      // by stage of the conversation: see Stages
}

// Chaos is trouble on purpose.
type Chaos struct {
	Code        int     `json:"code"`        // 400–499 defers, 500–599 bounces
	Probability float64 `json:"probability"` // percent
}

// Stages are where chaos may strike, in the order of a conversation.
var Stages = []string{"connect", "mail", "rcpt", "data"}

// Latency is how long each delivery takes.
func (b *Behaviour) Latency() time.Duration { return time.Duration(b.LatencyMS) * time.Millisecond }

// Scaled is a wait as it is shortened.
func (b *Behaviour) Scaled(d time.Duration) time.Duration {
	if b.TimeScale == 0 {
		return d
	}
	return time.Duration(float64(d) * b.TimeScale)
}

// judge names the fields as the door does that changes them.
func (b *Behaviour) judge() (f mail.Faults) {
	fault := func(field, message string) {
		f = append(f, &mail.Error{Code: "invalid_value", Field: field, Pointer: mail.PointerTo(field), Message: message})
	}
	switch b.Default {
	case "", "deliver", "bounce", "defer":
	default:
		fault("default", "default is 'deliver', 'bounce' or 'defer'.")
	}
	if b.LatencyMS < 0 || b.LatencyMS > 60_000 {
		fault("latency_ms", "latency_ms is between 0 and 60000.")
	}
	if s := b.TimeScale; s != 0 && !(s >= 0.0001 && s <= 1) {
		fault("time_scale", "time_scale is between 0.0001 and 1: waits are that much of themselves.")
	}
	for _, stage := range Stages {
		c, ok := b.Chaos[stage]
		if !ok {
			continue
		}
		if c.Code < 400 || c.Code > 599 {
			fault("chaos."+stage+".code", "A code is between 400 and 499, which defers, or 500 and 599, which bounces.")
		}
		if !(c.Probability >= 0 && c.Probability <= 100) {
			fault("chaos."+stage+".probability", "A probability is in percent, between 0 and 100.")
		}
	}
	return f
}

const (
	behaviourTime = time.Second // in which every node knows of a change
	behavioursMax = 10_000
)

// Behaviour tells how the sandbox treats a project's test mail. A change on this node
// counts at once, one on another within a second; what cannot be read is as it was.
func (a *Access) Behaviour(ctx context.Context, project int64) Behaviour {
	b, _ := a.behaviours.Get(project, a.now(), func(*Behaviour) (b Behaviour, _ time.Duration, _ error) {
		p, err := a.store.ProjectByRow(ctx, project)
		if err == nil && p.Settings.Sandbox != nil {
			b = *p.Settings.Sandbox
		}
		return b, behaviourTime, err
	})
	return b
}
