package project_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

func TestHealthAdvisesOnWhatTheTrafficShows(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.create(t, "acme.test")
	look := func(traffic project.Traffic) project.Health {
		t.Helper()
		w.store.traffic = traffic
		h, err := w.Health(t.Context(), 1, "acme.test")
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	says := func(h project.Health, want ...string) {
		t.Helper()
		if len(h.Advice) != len(want) {
			t.Errorf("%d sentences, want %d: %q", len(h.Advice), len(want), h.Advice)
			return
		}
		for i, part := range want {
			if !strings.Contains(h.Advice[i], part) {
				t.Errorf("%q does not say %q", h.Advice[i], part)
			}
		}
	}
	h := look(project.Traffic{})
	says(h, "The domain is pending", "nothing to judge", "_dmarc.acme.test")
	if want := w.clock().Add(-30*24*time.Hour).UTC().Format(time.DateOnly) + " 10000"; w.store.asked != want || !h.From.Equal(w.clock().Add(-30*24*time.Hour)) || !h.To.Equal(w.clock()) {
		t.Errorf("asked for %s, want %s; %v to %v", w.store.asked, want, h.From, h.To)
	}

	w.publish(t, zone(w.Records(d)))
	if _, err := w.Verify(t.Context(), 1, "acme.test"); err != nil {
		t.Fatal(err)
	}
	fine := project.Traffic{Messages: 200, Recipients: 200, Statuses: map[mail.Status]int64{mail.Delivered: 200},
		Taken: 200, Signed: 200, ReturnPaths: map[string]int64{"bounce.acme.test": 200}, Encrypted: 200, Verified: 200}
	if h = look(fine); h.DMARC == nil || h.DKIM.Value() != 1 || h.SPF != (project.Rate{Numerator: 200, Denominator: 200}) {
		t.Errorf("%+v", h)
	}
	says(h)

	bad := project.Traffic{Messages: 200, Recipients: 200, Cut: true, Oldest: w.clock().Add(-time.Hour),
		Statuses: map[mail.Status]int64{mail.Delivered: 150, mail.Complained: 10, mail.Bounced: 40},
		Bounces:  map[mail.Class]int64{mail.ClassUnknownUser: 30, mail.ClassBlocklisted: 9, mail.ClassAuth: 1},
		Taken:    160, Signed: 150, ReturnPaths: map[string]int64{"bounce.acme.test": 100, "mx.host.test": 50, "notacme.test": 10}, Encrypted: 159}
	h = look(bad)
	says(h, "10 of 160 left without our DKIM signature", "60 of 160 left with a return path", "20.0% bounced, most of them as unknown_user", "6.25% were reported",
		"9 bounced for the reputation", "1 bounced because", "1 of 160 went in clear")
	if !h.From.Equal(bad.Oldest) {
		t.Errorf("cut, but from %v", h.From)
	}
	few := project.Traffic{Recipients: 2, Statuses: map[mail.Status]int64{mail.Bounced: 1, mail.Complained: 1}}
	says(look(few))
	if h.Traffic.Complaint().Value() != 10.0/160 || h.Traffic.Delivery().Value() != 0.8 || (project.Rate{}).Value() != 0 {
		t.Errorf("%v %v", h.Traffic.Complaint(), h.Traffic.Delivery())
	}
	if _, err := w.Health(t.Context(), 1, "other.test"); !errors.Is(err, mail.ErrNotFound) {
		t.Errorf("of a domain that is not there: %v", err)
	}
}
