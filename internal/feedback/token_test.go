package feedback_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/mail"
)

func TestAReturnPathTellsItsDelivery(t *testing.T) {
	t.Parallel()
	tokens := feedback.NewTokens([32]byte{1})
	var all sync.WaitGroup
	for g := range int64(4) {
		all.Go(func() {
			for i := range int64(500) {
				row := 1 + g*1e15 + i*i
				path := tokens.ReturnPath("bounce.acme.test", nil, &mail.Delivery{Row: row})
				local, host, _ := strings.Cut(path, "@")
				if len(local) > 64 || host != "bounce.acme.test" || local != strings.ToLower(local) {
					t.Errorf("%s", path)
				}
				for _, local := range []string{local, strings.ToUpper(local)} {
					if got, ok := tokens.Parse(local); !ok || got != row {
						t.Errorf("%s: %d, %v; want %d", local, got, ok, row)
					}
				}
			}
		})
	}
	all.Wait()
}

func TestAForgedReturnPathIsRefused(t *testing.T) {
	t.Parallel()
	tokens := feedback.NewTokens([32]byte{1})
	local, _, _ := strings.Cut(tokens.ReturnPath("x", nil, &mail.Delivery{Row: 42}), "@")
	if _, ok := feedback.NewTokens([32]byte{2}).Parse(local); ok {
		t.Error("another secret knows it")
	}
	for i := len("bounces+"); i < len(local); i++ {
		for _, c := range "a2z7" {
			forged := local[:i] + string(c) + local[i+1:]
			if _, ok := tokens.Parse(forged); ok && forged != local {
				t.Errorf("%s passes for %s", forged, local)
			}
		}
	}
	for _, bad := range []string{"", "bounces+", "bounces", local + "a", local[:len(local)-1], "bounces-" + local[8:], local[:20] + "\n" + local[21:]} {
		if _, ok := tokens.Parse(bad); ok {
			t.Errorf("%q passes", bad)
		}
	}
}

func FuzzParseReturnPath(f *testing.F) {
	tokens := feedback.NewTokens([32]byte{1})
	for _, row := range []int64{1, 42, 1 << 40} {
		local, _, _ := strings.Cut(tokens.ReturnPath("x", nil, &mail.Delivery{Row: row}), "@")
		f.Add(local)
	}
	f.Add("bounces+")
	f.Fuzz(func(t *testing.T, local string) {
		row, ok := tokens.Parse(local)
		if !ok {
			return
		}
		if again, _, _ := strings.Cut(tokens.ReturnPath("x", nil, &mail.Delivery{Row: row}), "@"); again != strings.ToLower(local) {
			t.Errorf("%q is read as the one of %d, which is %q", local, row, again)
		}
	})
}

func BenchmarkReturnPath(b *testing.B) {
	tokens := feedback.NewTokens([32]byte{1})
	d := &mail.Delivery{Row: 123456}
	b.ReportAllocs()
	for b.Loop() {
		tokens.ReturnPath("bounce.acme.test", nil, d)
	}
}
