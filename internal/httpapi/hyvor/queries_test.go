package hyvor_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/httpapi/hyvor"
	"github.com/postroad/postroad/internal/store/sqlite"
)

// queries is how many queries an answer costs, once keys and settings are known: the least of
// some tries, since other parts of the house may read meanwhile.
func (h *house) queries(path string) (least int64, a answer) {
	h.t.Helper()
	for range 5 {
		before := sqlite.Queries()
		a = h.must(200, "[", liveKey, "GET", path, "")
		if n := sqlite.Queries() - before; least == 0 || n < least {
			least = n
		}
	}
	return least, a
}

// fill makes so many things of each kind that has a list.
func (h *house) fill(t *testing.T, from, to int) {
	h.t.Helper()
	s := &script{t: t, h: h, vars: map[string]string{}}
	outcomes := []outcome{taken, later, refused, exhausted}
	for n := from; n < to; n++ {
		s.given([]string{"suppress", fmt.Sprintf("gone%d@example.org", n), "manual"})
		h.domain(fmt.Sprintf("d%d.test", n), "pending")
		for _, name := range []string{"ada", "gone"} { // the second is suppressed
			h.must(200, "", liveKey, "POST", "/api/console/sends", strings.ReplaceAll(plainSend, "ada@", fmt.Sprintf("%s%d@", name, n)))
		}
		h.carry(always(outcomes[n%len(outcomes)]))
	}
}

// Not parallel: other tests' queries would count.
func TestAPageCostsAFixedNumberOfQueries(t *testing.T) {
	h := build(t, hyvor.Bounds{Keys: 1000})
	h.must(200, "", liveKey, "POST", "/api/console/webhooks", `{"url":"https://app.acme.test/hooks","events":["send.recipient.accepted","send.recipient.deferred","send.recipient.bounced",
		"send.recipient.failed","send.recipient.suppressed","suppression.created","domain.created"]}`)
	h.runHooks()
	lists := map[string]string{"/api/console/sends": "?limit=1000", "/api/console/domains": "?limit=1000", "/api/console/webhooks": "", "/api/console/api-keys": "",
		"/api/console/suppressions": "?limit=1000", "/api/console/webhooks/deliveries": "?limit=1000", "/api/console/sends?status=accepted": "&limit=1000"}
	few, rows, made := map[string]int64{}, map[string]int{}, 0
	const many = 60
	for _, n := range []int{4, many} { // four: one of each outcome
		h.fill(t, made, n)
		for i := range n {
			if i > 0 && n == many && i < 10 {
				h.must(200, "", liveKey, "POST", "/api/console/webhooks", fmt.Sprintf(`{"url":"https://app.acme.test/%d","events":["domain.deleted"]}`, i))
			}
			if n == many {
				h.must(200, "", liveKey, "POST", "/api/console/api-keys", fmt.Sprintf(`{"name":"k%d","scopes":["sends.read"]}`, i))
			}
		}
		h.told(4 * n) // of each: the suppression, the domain, what became of two sends
		for path, limit := range lists {
			cost, a := h.queries(path + limit)
			count := strings.Count(a.Body.String(), `"id":`)
			if n == many {
				if count < 2*rows[path] {
					t.Errorf("%s has %d rows, before %d: this proves nothing", path, count, rows[path])
				}
				if path == "/api/console/webhooks/deliveries" {
					few[path] += 9 // one for each webhook, of which a project has a bounded number
				}
				if cost != few[path] {
					t.Errorf("%s: %d queries for %d rows, %d for %d", path, few[path], rows[path], cost, count)
				}
				t.Logf("%s: %d queries for %d rows and for %d", path, cost, rows[path], count)
			}
			few[path], rows[path] = cost, count
		}
		made = n
	}
}

// told waits until so many deliveries of hooks are recorded.
func (h *house) told(n int) {
	h.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		h.pass(time.Second) // endpoints are told so many a second
		a := h.must(200, "", liveKey, "GET", "/api/console/webhooks/deliveries?limit=1000", "")
		if got := strings.Count(a.Body.String(), `"try_count":1`); got == n {
			return
		} else if got > n || time.Now().After(deadline) {
			h.t.Fatalf("%d deliveries are recorded, want %d", got, n)
		}
	}
}
