package sandbox

import (
	"context"
	"math"

	"github.com/postroad/postroad/internal/lane"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/route"
)

// part is what a recipient plays.
type part struct {
	route.Magic
	stage string // of chaos: where it strikes, with Code; "" = it does not
}

// behaviour is that of the project whose test mail it is. Live mail to the sandbox's own
// domain has none.
func (c *Carrier) behaviour(ctx context.Context, job *lane.Job) (b project.Behaviour) {
	if c.o.Behaviour != nil && job.Message.Owner.Env == mail.Test {
		b = c.o.Behaviour(ctx, job.Message.Owner.Project)
	}
	return b
}

// cast tells which part each recipient plays: those of the sandbox's own domain their
// own, all others what the behaviour says, unless chaos strikes.
func (c *Carrier) cast(works []*mail.Work, as *project.Behaviour) []part {
	parts := make([]part, len(works))
	struck := c.strike(as, "connect", "mail", "data") // the whole transaction
	for i, w := range works {
		if route.IsSandbox(w.Delivery.Destination) {
			// A parameter that the part cannot have was refused where the mail was accepted;
			// one that comes all the same plays the part without it.
			parts[i].Magic, _ = route.ParseMagic(mail.Address{Email: w.Delivery.Address}.Local())
			continue
		}
		switch parts[i] = struck; {
		case struck.stage == "connect" || struck.stage == "mail":
		default:
			if own := c.strike(as, "rcpt"); own.stage != "" {
				parts[i] = own
			}
		}
		if parts[i].stage == "" {
			parts[i].Magic = usual(as.Default)
		}
	}
	return parts
}

// strike tells the first of the stages at which there is trouble this time.
func (c *Carrier) strike(as *project.Behaviour, stages ...string) part {
	for _, stage := range stages {
		if chaos, ok := as.Chaos[stage]; ok && c.o.Chance()*100 < chaos.Probability {
			return part{Magic: route.Magic{Code: chaos.Code}, stage: stage}
		}
	}
	return part{}
}

// usual is the part of ordinary recipients. Its bounce is one of policy, so that nobody is
// on the suppression list when the behaviour is changed back: for that there is bounced@.
func usual(name string) route.Magic {
	switch name {
	case "bounce":
		return route.Magic{Kind: route.MagicBounced, Code: 550, Enhanced: "5.7.1"}
	case "defer":
		return route.Magic{Kind: route.MagicDeferred, Count: math.MaxInt}
	}
	return route.Magic{Kind: route.MagicDelivered}
}
