package main

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
	l := &load{addr: server.Listener.Addr().String(), key: "k", connections: 7, messages: 100, prefix: "a", suffix: "b", first: 5}
	got, err := l.send(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if got.accepted != 90 || got.refused[503] != 10 || len(got.latencies) != 90 {
		t.Errorf("accepted %d, refused %v, %d latencies", got.accepted, got.refused, len(got.latencies))
	}
	for n := range 100 {
		if body := fmt.Sprintf("a%09db", n+5); seen[body] != 1 {
			t.Errorf("%s was sent %d times", body, seen[body])
		}
	}
}

func TestQuantilesOfFewValues(t *testing.T) {
	t.Parallel()
	if quantile(nil, 0.5) != 0 {
		t.Error("of nothing")
	}
	if got := quantile([]time.Duration{1, 2, 3, 4}, 0.99); got != 4 {
		t.Errorf("p99 of four: %d", got)
	}
}
