package doctor

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/postroad/postroad/internal/project"
)

// domains checks the records of every sending domain, one check for each of its sides.
func (o Options) domains(ctx context.Context) []Check {
	if len(o.Domains) == 0 || o.Inspect == nil {
		return one("domains", Skip, "No sending domain is registered; the live environment needs one (POST /v1/domains).", "")
	}
	if o.Offline {
		return one("domains", Skip, fmt.Sprintf("The records of the sending domains (%d) were not looked up (offline).", len(o.Domains)), "")
	}
	found := make([][]Check, len(o.Domains))
	slots := make(chan struct{}, atOnce)
	var wait sync.WaitGroup
	for i, d := range o.Domains {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			records, verdicts := o.Inspect(ctx, d)
			for _, side := range []string{"dkim", "return_path", "spf", "dmarc"} {
				found[i] = append(found[i], judge(d.Name, side, verdicts[side], records))
			}
		})
	}
	wait.Wait()
	return slices.Concat(found...)
}

// atOnce is how many domains are looked up at a time.
const atOnce = 8

// sideOf tells which side of a domain a record is on.
var sideOf = map[string]string{"DKIM": "dkim", "RETURN_PATH": "return_path", "SPF": "spf", "DMARC": "dmarc"}

// judge words one side with the diagnosis of its first record that is not well.
func judge(domain, side, verdict string, records []project.Record) Check {
	c := Check{ID: side + ":" + domain, Status: Pass, Summary: side + " of " + domain + " is in place."}
	switch verdict {
	case project.CheckPass:
		return c
	case project.CheckFail:
		c.Status, c.Summary = Fail, side+" of "+domain+" is not in place."
	case project.CheckWarn:
		c.Status, c.Summary = Warn, side+" of "+domain+" could be better."
	default:
		c.Status, c.Summary = Skip, side+" of "+domain+" could not be looked up."
		return c
	}
	for _, r := range records {
		if sideOf[r.Purpose] != side || r.Diagnosis == "" || verdict == project.CheckFail && !r.Required {
			continue
		}
		c.Fix = r.Diagnosis
		if r.State == project.RecordMissing || r.State == project.RecordMismatch {
			c.Fix += fmt.Sprintf(" It should be: %s %s %q.", r.FQDN, r.Type, r.Value)
		}
		break
	}
	return c
}
