package sqlite_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/store/sqlite"
	"github.com/postroad/postroad/internal/submit"
)

// However the process ends, what it accepted that day is counted by the next one: what was
// not written down yet is counted from the messages.
func TestWhatWasAcceptedIsCountedAcrossRestarts(t *testing.T) {
	t.Parallel()
	dir, ctx := t.TempDir(), context.Background()
	now := time.Date(2026, 4, 19, 14, 30, 0, 0, time.UTC)
	owner := mail.Owner{Project: 1, Env: mail.Live}
	sent := 0
	for life := range 4 {
		s, err := sqlite.Open(sqlite.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Migrate(ctx); err != nil {
			t.Fatal(err)
		}
		if got := total(t, s, owner, project.DayOf(now)); got != fmt.Sprintf("%d/%d/%d", sent, 2*sent, 5*sent) {
			t.Fatalf("life %d begins with %s, %d were sent", life, got, sent)
		}
		for range 3 + life {
			m := &mail.Message{ID: mail.NewID(now), Owner: owner, From: mail.Address{Email: "a@acme.test"}, KeyID: []string{"k1", "k2"}[sent%2], CreatedAt: now, Size: 5}
			m.RFCID = m.ID.UUID() + "@acme.test"
			a := &submit.Acceptance{Message: m, Content: mail.Bytes("hello"), Quotas: project.Quotas{Project: project.Quota{On: true, Limit: 18}}}
			for _, to := range []string{"x@y.test", "z@y.test"} {
				a.Deliveries = append(a.Deliveries, submit.NewDelivery{Delivery: mail.Delivery{ID: mail.NewID(now), Message: m.ID, Owner: owner, Address: to,
					Destination: "y.test", Status: mail.Queued, Wait: mail.WaitNew, Due: now}})
			}
			if _, err := s.Accept(ctx, []*submit.Acceptance{a}); err != nil {
				t.Fatal(err)
			}
			sent++
		}
		if life == 3 { // 3+4+5+6 = 18: the quota is used up, whoever counted
			m := &mail.Message{ID: mail.NewID(now), Owner: owner, KeyID: "k3", CreatedAt: now}
			d := submit.NewDelivery{Delivery: mail.Delivery{ID: mail.NewID(now), Message: m.ID, Owner: owner, Address: "x@y.test", Status: mail.Queued, Due: now}}
			_, err := s.Accept(ctx, []*submit.Acceptance{{Message: m, Content: mail.Bytes("x"), Deliveries: []submit.NewDelivery{d}, Quotas: project.Quotas{Project: project.Quota{On: true, Limit: 18}}}})
			if _, over := err.(*project.QuotaError); !over {
				t.Errorf("message 19 of 18: %v", err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func total(t *testing.T, s *sqlite.Store, owner mail.Owner, day project.Day) string {
	t.Helper()
	all, err := s.Usage(context.Background(), owner, day, day)
	if err != nil {
		t.Fatal(err)
	}
	var sum project.Usage
	for _, u := range all {
		sum.Messages += u.Messages
		sum.Recipients += u.Recipients
		sum.Bytes += u.Bytes
	}
	return fmt.Sprintf("%d/%d/%d", sum.Messages, sum.Recipients, sum.Bytes)
}

func TestAWriterThatIsHeldUpSaysHowLong(t *testing.T) {
	t.Parallel()
	s, err := sqlite.Open(sqlite.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.Strain(); got != (submit.Strain{}) {
		t.Errorf("at rest: %+v", got)
	}
	held, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan error, 4)
	go func() { ended <- s.HoldWriter(t.Context(), func() { close(held); <-goOn }) }()
	<-held
	for range 3 {
		go func() { ended <- s.Ping(t.Context()) }()
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		got := s.Strain()
		if got.Waiting == 3 && got.Behind > 10*time.Millisecond {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("held up: %+v", got)
		}
	}
	close(goOn)
	for range 4 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	for end := time.Now().Add(time.Minute); s.Strain() != (submit.Strain{}); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("afterwards: %+v", s.Strain())
		}
	}
}
