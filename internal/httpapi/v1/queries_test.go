package v1_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/store/sqlite"
)

// queries is how many queries an answer costs, once keys and settings are known, and how many
// things it lists: the least of some tries, since other parts of the house may read meanwhile.
func (h *house) queries(path string) (least int64, rows int) {
	h.t.Helper()
	for range 5 {
		before := sqlite.Queries()
		a := h.ask(testKey, "GET", path, "").is(200, "")
		if n := sqlite.Queries() - before; least == 0 || n < least {
			least = n
		}
		rows = strings.Count(a.Body.String(), `"object":`) - 1
	}
	return least, rows
}

// fill makes so many things of each kind that has a list.
func (h *house) fill(from, to int) {
	h.t.Helper()
	for n := from; n < to; n++ {
		h.send(fmt.Sprintf(`{"to":["ada%d@example.com","bob%d@example.com"],"subject":"Hi","text":"Hello"}`, n, n)).is(202, "")
		h.ask(testKey, "POST", "/v1/domains", fmt.Sprintf(`{"name":"d%d.test"}`, n)).is(201, "")
		h.ask(testKey, "POST", "/v1/suppressions", fmt.Sprintf(`{"recipient":"gone%d@example.com"}`, n)).is(201, "")
		h.ask(testKey, "POST", "/v1/unsubscribes", fmt.Sprintf(`{"recipient":"gone%d@example.com","topic":"news"}`, n)).is(201, "")
		h.ask(testKey, "POST", "/v1/templates", fmt.Sprintf(`{"alias":"t%d","name":"T","subject":"Hi","text":"Hello"}`, n)).is(201, "")
		h.ask(testKey, "POST", "/v1/api-keys", fmt.Sprintf(`{"name":"k%d","scopes":["messages.send"]}`, n)).is(201, "")
		h.ask(testKey, "POST", "/v1/projects", fmt.Sprintf(`{"name":"p%d"}`, n)).is(201, "")
		if n < 18 {
			h.ask(testKey, "POST", "/v1/webhooks", fmt.Sprintf(`{"url":"https://app.acme.test/%d","events":["webhook.disabled"]}`, n)).is(201, "")
		}
	}
	h.deliver(false)
}

// Not parallel: other tests' queries would count.
func TestAPageOfAnyListCostsAFixedNumberOfQueries(t *testing.T) {
	h := build(t, 0)
	endpoint := h.ask(testKey, "POST", "/v1/webhooks", `{"url":"https://app.acme.test/hooks","events":["message.queued"]}`).is(201, "").at("/webhook_id")
	lists := []string{"/v1/messages?limit=100", "/v1/messages?status=delivered&limit=100", "/v1/domains?limit=100", "/v1/suppressions?limit=100", "/v1/unsubscribes?limit=100", "/v1/templates?limit=100",
		"/v1/api-keys?limit=100", "/v1/projects?limit=100", "/v1/webhooks", "/v1/webhooks/" + endpoint + "/deliveries?limit=100", "/v1/events?limit=100", "/v1/sandbox/messages?limit=100", "/v1/audit?limit=100"}
	few, rows := map[string]int64{}, map[string]int{}
	h.runHooks()
	made := 0
	for _, n := range []int{1, 60} {
		h.fill(made, n)
		for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			a := h.ask(testKey, "GET", "/v1/webhooks/"+endpoint+"/deliveries?limit=200", "").is(200, "")
			if strings.Count(a.Body.String(), `"delivery_id":`) == 2*n {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("the hooks are not told of: %s", a.Body)
			}
		}
		for _, path := range lists {
			cost, count := h.queries(path)
			if made > 0 {
				if count < 5*rows[path] && count < 60 {
					t.Errorf("%s has %d rows, before %d: this proves nothing", path, count, rows[path])
				}
				if cost > few[path] { // less is a kind of event that the page has none of
					t.Errorf("%s: %d queries for %d rows, %d for %d", path, few[path], rows[path], cost, count)
				}
				t.Logf("%s: %d queries for %d rows and for %d", path, cost, rows[path], count)
			}
			few[path], rows[path] = cost, count
		}
		made = n
	}
}
