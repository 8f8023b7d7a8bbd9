package project_test

import (
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

const aDay = 24 * time.Hour

// tour lets days pass and tells on which a warning was given, in days before the end.
func (h *house) tour(t *testing.T, k project.Key, step time.Duration) string {
	t.Helper()
	var told []string
	for h.now.Before(k.ExpiresAt.Add(2 * aDay)) {
		before := len(h.store.warned)
		h.Upkeep(t.Context())
		for _, e := range h.store.warned[before:] {
			if e.Type != mail.EventKeyExpiring || e.Detail.Object != "key_"+k.ID || !e.Detail.ExpiresAt.Equal(k.ExpiresAt) || !strings.Contains(e.Detail.Summary, "expires in") {
				t.Errorf("%+v", e)
			}
			told = append(told, k.ExpiresAt.Sub(h.now).String())
		}
		h.now = h.now.Add(step)
	}
	return strings.Join(told, " ")
}

func TestAKeysEndIsAnnouncedFourteenThreeAndOneDayBefore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		life, step time.Duration
		want       string
	}{
		"a month, looked at hourly":      {30 * aDay, time.Hour, "336h0m0s 72h0m0s 24h0m0s"},
		"two days":                       {2 * aDay, time.Hour, "24h0m0s"},
		"an hour":                        {time.Hour, time.Minute, ""},
		"looked at every ten days":       {25 * aDay, 10 * aDay, "120h0m0s"},
		"nobody looked until the end":    {100 * aDay, 98*aDay + 12*time.Hour, "36h0m0s"},
		"exactly fourteen days, at once": {14 * aDay, time.Hour, "336h0m0s 72h0m0s 24h0m0s"},
	} {
		h := newHouse(t, project.AccessOptions{})
		k, _ := h.mint(t, project.NewKey{ExpiresAt: h.now.Add(c.life)})
		if got := h.tour(t, k, c.step); got != c.want {
			t.Errorf("%s: told %q before the end, want %q", name, got, c.want)
		}
	}
}

func TestANewEndIsAnnouncedAnewAndADisabledOrReplacedKeyIsNot(t *testing.T) {
	t.Parallel()
	h := newHouse(t, project.AccessOptions{})
	by := project.Principal{Owner: mail.Owner{Project: h.p.Row, Env: mail.Live}, Project: &h.p, Key: &project.Key{Scopes: []string{"*"}}}
	k, _ := h.mint(t, project.NewKey{ExpiresAt: h.now.Add(15 * aDay)})
	h.now = h.now.Add(2 * aDay)
	h.Upkeep(t.Context())
	if n := len(h.store.warned); n != 1 {
		t.Fatalf("%d warnings", n)
	}
	if _, err := h.UpdateKey(t.Context(), by, k.ID, 0, func(k *project.Key) { k.ExpiresAt = h.now.Add(14 * aDay) }); err != nil {
		t.Fatal(err)
	}
	h.Upkeep(t.Context())
	h.Upkeep(t.Context())
	if n := len(h.store.warned); n != 2 {
		t.Errorf("%d warnings after the end was moved", n)
	}
	if _, err := h.UpdateKey(t.Context(), by, k.ID, 0, func(k *project.Key) { k.Disabled = true }); err != nil {
		t.Fatal(err)
	}
	h.now = h.now.Add(12 * aDay)
	h.Upkeep(t.Context())
	other, _ := h.mint(t, project.NewKey{ExpiresAt: h.now.Add(40 * aDay)})
	if _, err := h.RotateKey(t.Context(), by, project.KeyRotation{ID: other.ID, Overlap: aDay}, nil, nil); err != nil {
		t.Fatal(err)
	}
	h.Upkeep(t.Context())
	if n := len(h.store.warned); n != 2 {
		t.Errorf("%d warnings: of a disabled or a replaced key", n)
	}
}

func TestAFollowerLivesAsLongAsItsKeyDid(t *testing.T) {
	t.Parallel()
	h := newHouse(t, project.AccessOptions{})
	by := project.Principal{Owner: mail.Owner{Project: h.p.Row, Env: mail.Live}, Project: &h.p, Key: &project.Key{Scopes: []string{"*"}}}
	k, _ := h.mint(t, project.NewKey{ExpiresAt: h.now.Add(90 * aDay)})
	h.now = h.now.Add(89*aDay + 12*time.Hour)
	r, err := h.RotateKey(t.Context(), by, project.KeyRotation{ID: k.ID, Overlap: aDay}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !r.ExpiresAt.Equal(h.now.Add(90*aDay)) || !r.OldEnds.Equal(k.ExpiresAt) {
		t.Errorf("the follower ends %v, the old one %v (it would have at %v)", r.ExpiresAt, r.OldEnds, k.ExpiresAt)
	}
	if r.Hash == k.Hash || r.ID == k.ID || !r.LastUsedAt.IsZero() {
		t.Errorf("%+v", r.Key)
	}
}
