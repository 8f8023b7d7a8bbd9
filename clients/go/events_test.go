package postroad_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	postroad "github.com/postroad/postroad/clients/go"
	"github.com/postroad/postroad/clients/go/postroadtest"
)

func eventAt(position int) string {
	return fmt.Sprintf(`{"id":"evt_%d","type":"message.delivered","position":%d,"data":{"message_id":"msg_1"}}`, position, position)
}

func pageAt(next int, positions ...int) string {
	var rows []string
	for _, p := range positions {
		rows = append(rows, eventAt(p))
	}
	return fmt.Sprintf(`{"object":"list","data":[%s],"next_after":%d,"position":99,"gap":null}`, strings.Join(rows, ","), next)
}

func sse(positions ...int) string {
	var all strings.Builder
	for _, p := range positions {
		fmt.Fprintf(&all, "id: %d\nevent: message.delivered\ndata: %s\n\n", p, eventAt(p))
	}
	return all.String()
}

// gather takes n events, or what came before the loop ended; a gap is -1.
func gather(all iter.Seq2[*postroad.Event, error], n int) (positions []int64, kinds []postroad.Kind) {
	for e, err := range all {
		var failed *postroad.Error
		switch {
		case errors.As(err, &failed):
			kinds = append(kinds, failed.Kind)
			continue
		case e.Type == postroad.EventGap:
			positions = append(positions, -1)
		default:
			positions = append(positions, e.Position)
		}
		if len(positions) == n {
			break
		}
	}
	return positions, kinds
}

func afters(server *postroadtest.Server) (all []string) {
	for _, r := range server.Requests() {
		u, _ := url.Parse(r.Path)
		all = append(all, u.Query().Get("after"))
	}
	return all
}

func TestFollowGoesOnWhereItWasOverErrorsToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, began := postroadtest.New(), time.Now()
		server.Answer("GET", "/v1/events", 200, pageAt(4, 3, 4))
		server.Answer("GET", "/v1/events", 503, map[string]string{"code": "overloaded"}, "Retry-After", "2")
		server.Fail("GET", "/v1/events", postroadtest.ErrReset)
		server.Answer("GET", "/v1/events", 200, pageAt(9))
		server.Answer("GET", "/v1/events", 200, strings.Replace(pageAt(10, 10), `"gap":null`, `"gap":{"after":9,"oldest":10}`, 1))
		positions, kinds := gather(server.Client().Events.Follow(t.Context(), postroad.EventFilter{After: 2, Types: []string{"message.*", "domain.verified"}}), 4)
		if !slices.Equal(positions, []int64{3, 4, -1, 10}) || !slices.Equal(kinds, []postroad.Kind{postroad.ErrServer, postroad.ErrConnection}) {
			t.Errorf("%v %v", positions, kinds)
		}
		if got := afters(server); !slices.Equal(got, []string{"2", "4", "4", "4", "9"}) {
			t.Errorf("asked after %v", got)
		}
		if took := time.Since(began); took < 4*time.Second || took > 5*time.Second { // 2 s as asked, then the formula's second step
			t.Errorf("waited %v", took)
		}
		if r := server.Requests()[0].Path; !strings.Contains(r, "wait=25") || !strings.Contains(r, "types=message.%2A%2Cdomain.verified") {
			t.Error(r)
		}
	})
}

func TestAStreamIsResumedFromTheLastPositionWhateverEndedIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := postroadtest.New()
		for _, body := range []string{
			"retry: 2000\n\n: hb\nid: 4\n\n" + sse(5) + "event: gap\ndata: {\"oldest\":4}\n\n" + sse(6) + "event: bye\ndata: {}\n\n",
			sse(7) + ": hb\nid: 11\n\nid: 12\nevent: message.deliv",
			strings.ReplaceAll(sse(13), "\n", "\r\n") + "event: dropped\ndata: {\"count\":9,\"resume_after\":13}\n\n",
			strings.ReplaceAll(sse(14), "\n", "\r") + ":\r",
		} {
			server.Answer("GET", "/v1/events/stream", 200, body, "Content-Type", "text/event-stream")
		}
		positions, kinds := gather(server.Client().Events.Stream(t.Context(), postroad.EventFilter{After: 4}), 6)
		if !slices.Equal(positions, []int64{5, -1, 6, 7, 13, 14}) || !slices.Equal(kinds, []postroad.Kind{postroad.ErrConnection}) {
			t.Errorf("%v %v", positions, kinds)
		}
		if got := afters(server); !slices.Equal(got, []string{"4", "6", "11", "13"}) {
			t.Errorf("asked after %v", got)
		}
	})
}

func TestFromNowIsAskedOnceAndNotMoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := postroadtest.New()
		server.Answer("GET", "/v1/events", 200, pageAt(40))
		server.Fail("GET", "/v1/events/stream", postroadtest.ErrReset)
		server.Answer("GET", "/v1/events/stream", 200, sse(41))
		positions, _ := gather(server.Client().Events.Stream(t.Context(), postroad.EventFilter{FromNow: true}), 1)
		if got := afters(server); !slices.Equal(positions, []int64{41}) || !slices.Equal(got, []string{"now", "40", "40"}) {
			t.Errorf("%v, asked after %v", positions, got)
		}
	})
}

// silent answers a stream that says one thing and then nothing, until it is closed.
type silent struct{ *postroadtest.Server }

func (s silent) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := s.Server.RoundTrip(r)
	if err == nil {
		out, in := io.Pipe()
		said := res.Body
		go func() {
			_, _ = io.Copy(in, said)
			<-r.Context().Done()
			_ = in.CloseWithError(r.Context().Err())
		}()
		res.Body = out
	}
	return res, err
}

func TestAStreamThatFallsSilentIsLeftAfterThreeMissedBeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := postroadtest.New()
		server.Answer("GET", "/v1/events/stream", 200, sse(1))
		server.Answer("GET", "/v1/events/stream", 200, sse(2))
		c := server.Client(postroad.WithHTTPClient(&http.Client{Transport: silent{server}}))
		began := time.Now()
		positions, kinds := gather(c.Events.Stream(t.Context(), postroad.EventFilter{}), 2)
		if took := time.Since(began); !slices.Equal(positions, []int64{1, 2}) || len(kinds) != 1 || took < 45*time.Second || took > 48*time.Second {
			t.Errorf("%v %v after %v", positions, kinds, took)
		}
	})
}

func TestAContextEndsFollowingWithoutAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := postroadtest.New()
		server.Fail("GET", "", postroadtest.ErrReset)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		failures := 0
		for _, err := range server.Client().Events.Follow(ctx, postroad.EventFilter{}) {
			if failures++; err == nil {
				t.Error("an event")
			}
			cancel()
		}
		if failures != 1 {
			t.Errorf("%d errors", failures)
		}
	})
}

func FuzzStream(f *testing.F) {
	f.Add([]byte(sse(1, 2) + "event: gap\ndata: {}\n\n"))
	f.Add([]byte("data: [1]\n\nid: x\ndata\n\r\r\n: c\revent: dropped\ndata: {\"resume_after\":-9}\n\n"))
	f.Add([]byte("data:" + strings.Repeat("{", 70000) + "\n\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		server := postroadtest.New()
		server.Answer("GET", "/v1/events/stream", 200, body)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		defer cancel()
		last := int64(0)
		for e, err := range server.Client().Events.Stream(ctx, postroad.EventFilter{}) {
			if err != nil || len(server.Requests()) > 1 {
				break
			}
			if e == nil {
				t.Fatal("neither an event nor an error")
			}
			last = max(last, e.Position)
		}
	})
}
