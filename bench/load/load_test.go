package load_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/bench/load"
)

func TestTheLoadSendsEachNumberOnceAndCountsRefusals(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		seen[string(body)]++
		n := len(seen)
		mu.Unlock()
		if n%10 == 0 {
			http.Error(w, "no", http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, strings.Repeat("x", n))
	}))
	defer server.Close()
	l := &load.Load{Addr: server.Listener.Addr().String(), Key: "k", Connections: 7, Messages: 100, Prefix: "a", Suffix: "b", First: 5}
	got, err := l.Send(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if got.Accepted != 90 || got.Refused[503] != 10 || len(got.Latencies) != 90 {
		t.Errorf("accepted %d, refused %v, %d latencies", got.Accepted, got.Refused, len(got.Latencies))
	}
	for n := range 100 {
		if body := fmt.Sprintf("a%09db", n+5); seen[body] != 1 {
			t.Errorf("%s was sent %d times", body, seen[body])
		}
	}
}

func TestAPatientLoadSendsARefusedMessageAgain(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		seen[string(body)]++
		first := seen[string(body)] == 1
		mu.Unlock()
		if first && strings.HasSuffix(string(body), "7b") {
			w.Header().Set("Connection", "close")
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, "x")
	}))
	defer server.Close()
	l := &load.Load{Addr: server.Listener.Addr().String(), Key: "k", Connections: 4, Messages: 40, Prefix: "a", Suffix: "b", Patient: true}
	got, err := l.Send(t.Context())
	if err != nil || got.Err() != nil || got.Accepted != 40 {
		t.Fatalf("accepted %d, %v, %v", got.Accepted, err, got.Err())
	}
	for n := range 40 {
		want := 1
		if n%10 == 7 {
			want = 2
		}
		if body := fmt.Sprintf("a%09db", n); seen[body] != want {
			t.Errorf("%s was sent %d times, want %d", body, seen[body], want)
		}
	}
}

func TestQuantilesOfFewValues(t *testing.T) {
	t.Parallel()
	if load.Quantile(nil, 0.5) != 0 {
		t.Error("of nothing")
	}
	if got := load.Quantile([]time.Duration{1, 2, 3, 4}, 0.99); got != 4 {
		t.Errorf("p99 of four: %d", got)
	}
}
