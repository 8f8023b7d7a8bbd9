package sqlite

import (
	"math"
	"testing"
)

// Between the commit that removes the last endpoint and its being noted another may be made:
// it is owed what comes.
func TestTheRelayGoesOnForAnEndpointMadeWhileTheLastOneGoes(t *testing.T) {
	t.Parallel()
	var r relay
	r.first(5)
	gone := r.last()
	r.first(9)
	r.end(gone)
	if floor := r.floor.Load(); floor != 10 {
		t.Errorf("the relay stands at %d, want 10", floor)
	}
	r.end(r.last())
	r.on(12)
	if r.floor.Load() != math.MaxInt64 {
		t.Error("it goes on though there is no endpoint")
	}
}
