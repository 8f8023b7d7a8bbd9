package v1

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/httpapi"
)

// FuzzLogParameters: whatever stands in the query and in Last-Event-ID is read within its
// bounds, or is a fault that can be shown.
func FuzzLogParameters(f *testing.F) {
	for _, s := range []string{"after=1&types=message.*,domain.created&limit=5", "after=now&tag=%00", "types=%5B*&recipient=A%40B&cursor=c_AAAA",
		"created_after=-24h&created_before=now&message_id=msg_", "after=000000000000000001&order=asc&limit=99999", "after=9223372036854775807&wait=99999999999",
		"%zz", "wait=-1s", "wait=7s", "types=" + strings.Repeat("message.queued,", 200)} {
		f.Add(s, "17")
	}
	f.Add("", "-1")
	f.Add("", "\u0661")
	a := &API{cursors: newCursors([32]byte{1})}
	f.Fuzz(func(t *testing.T, query, id string) {
		c := &httpapi.Call{R: httptest.NewRequest("GET", "/v1/events", nil), Arrived: time.Unix(1_776_609_000, 0)}
		c.R.URL.RawQuery = query
		c.R.Header["Last-Event-Id"] = []string{id}
		l := a.list(c, logFilters...)
		r := a.reading(l)
		wait, limit := l.poll(), l.limitUpTo(maxEvents)
		l.lastEventID(&r)
		if l.fault != nil {
			if l.fault.Status != 400 || l.fault.Code == "" || l.fault.Message == "" || !utf8.ValidString(l.fault.Message) {
				t.Fatalf("%+v", l.fault)
			}
			return
		}
		if r.After < 0 || wait < 0 || wait > longestPoll || limit < 1 || limit > maxEvents || len(r.Types) > len(eventlog.Types()) || strings.Contains(r.Tag+r.Recipient, "\x00") {
			t.Fatalf("%+v, wait %s, limit %d", r, wait, limit)
		}
	})
}
