package doctor

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/postroad/postroad/internal/dns"
	"github.com/postroad/postroad/internal/project"
)

// Status is how a check ended.
type Status string

const (
	Pass Status = "pass"
	Warn Status = "warn" // mail goes, worse than it could
	Fail Status = "fail" // mail does not go
	Skip Status = "skip" // it could not be found out here, and why
)

// Check is one question and its answer.
type Check struct {
	ID      string `json:"id"` // contract, e.g. "port25_egress"
	Status  Status `json:"status"`
	Summary string `json:"summary"`       // one sentence: what was found
	Fix     string `json:"fix,omitempty"` // one sentence: what to do
}

// Options say what to look at. Zero values skip what needs them.
type Options struct {
	DataDir  string
	Hostname string     // what we call ourselves (POSTROAD_HOSTNAME)
	Source   netip.Addr // the address mail leaves from; zero: the one the kernel would choose
	MXPort   int        // POSTROAD_MX_PORT
	Inbound  string     // the address of the door for reports (POSTROAD_INBOUND_ADDR); "" = closed
	Offline  bool       // ask nobody outside

	Resolver *dns.Resolver
	Domains  []project.Domain
	Inspect  func(context.Context, project.Domain) ([]project.Record, map[string]string) // project.Domains.Inspect

	Dial func(ctx context.Context, network, addr string) (net.Conn, error) // default: a plain dialer
}

// outside bounds each question to the outside.
const outside = 5 * time.Second

// Run makes every check, those that wait for others at once, and gives them in a fixed
// order. It takes some 20 seconds when nothing answers.
func Run(ctx context.Context, o Options) []Check {
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	parts := []func(context.Context) []Check{o.disk, o.keyFile, clock, o.resolver, o.name, o.port25, o.inbound, o.domains}
	found := make([][]Check, len(parts))
	var wait sync.WaitGroup
	for i, part := range parts {
		wait.Go(func() { found[i] = part(ctx) })
	}
	wait.Wait()
	var all []Check
	for _, checks := range found {
		all = append(all, checks...)
	}
	return all
}

// Worst is the status of them all together; a skipped check is no trouble.
func Worst(checks []Check) Status {
	worst := Pass
	for _, c := range checks {
		if c.Status == Fail || c.Status == Warn && worst == Pass {
			worst = c.Status
		}
	}
	return worst
}

func one(id string, status Status, summary, fix string) []Check {
	return []Check{{ID: id, Status: status, Summary: summary, Fix: fix}}
}
