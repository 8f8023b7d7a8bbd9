package v1_test

import (
	"sync"
	"testing"
)

// An order to stop must not fail because somebody else changes the project just then.
func TestSuspendingDoesNotMindOtherChanges(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	path := "/v1/projects/" + h.ask(liveKey, "POST", "/v1/projects", `{"name":"web-shop"}`).is(201, "").at("/project_id")
	var all sync.WaitGroup
	for range 8 {
		all.Add(2)
		go func() {
			defer all.Done()
			h.ask(liveKey, "POST", path+"/suspend", `{"reason":"complaints"}`).is(200, "")
		}()
		go func() {
			defer all.Done()
			h.ask(liveKey, "POST", path+"/resume", "").is(200, "")
		}()
	}
	all.Wait()
	h.ask(liveKey, "POST", path+"/suspend", `{"reason":"the last word"}`).is(200, "")
	if a := h.ask(liveKey, "GET", path, "").is(200, ""); a.at("/suspended") != "true" {
		t.Errorf("%s", a.Body)
	}
}
