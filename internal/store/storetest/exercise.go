// Package storetest holds the contract of [store.Store] as tests: what every engine
// must do, whatever it remembers in. An engine's own test calls [Exercise]; what only
// one engine can show (files, crashes, locks) stands in its package.
package storetest

import (
	"testing"

	"github.com/postroad/postroad/internal/store"
)

// Exercise runs the contract. open gives an empty store each time, not yet migrated;
// closing it is the engine's business (t.Cleanup).
func Exercise(t *testing.T, open func(t *testing.T) store.Store) {
	for _, c := range contract {
		t.Run(c.says, func(t *testing.T) {
			t.Parallel()
			c.holds(newWorld(t, open(t)))
		})
	}
}

type clause struct {
	says  string
	holds func(*world)
}

var contract = func() (all []clause) {
	for _, part := range [][]clause{schemaClauses, acceptClauses, onceClauses, claimClauses, leaseClauses, settleClauses,
		rescueClauses, orderClauses, supersedeClauses, archiveClauses, batchClauses, fileClauses, feedbackClauses, projectClauses, domainClauses, templateClauses, crowdClauses, retentionClauses, erasureClauses, accessClauses, eventlogClauses, webhookClauses, hyvorClauses, reportClauses} {
		all = append(all, part...)
	}
	return all
}()
