package report_test

import (
	"context"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/report"
	"github.com/postroad/postroad/internal/retention"
)

// asked is a store that tells when copies were looked for.
type asked struct {
	report.Store
	first chan struct{}
}

func (a *asked) Copies(ctx context.Context, delivery int64, path string) (report.Copies, error) {
	defer func() {
		select {
		case a.first <- struct{}{}:
		default:
		}
	}()
	return a.Store.Copies(ctx, delivery, path)
}

// A site that takes a message for two and bounces one of them at once is faster than we
// record whose copy it was.
func TestAReportFasterThanOurRecordsIsOfWhomItNames(t *testing.T) {
	t.Parallel()
	for name, letter := range map[string]string{
		"bounce":    dsn(group("bob@site.test", "failed", "5.1.1", noUser)),
		"complaint": arf("abuse", "Original-Rcpt-To: <bob@site.test>\n", ""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := make(chan struct{}, 1)
			h := newHouse(t, func(o *report.Options) { o.Store = &asked{o.Store, first} })
			m := h.begun("", "ada@site.test", "bob@site.test")
			done := make(chan error, 1)
			go func() { done <- h.try(h.path(m, 0), letter) }()
			<-first
			h.settle(m, mail.Delivered, 0, 1)
			h.must(<-done)
			want := mail.Bounced
			if name == "complaint" {
				want = mail.Complained
			}
			h.statuses(m, mail.Delivered, want)
			h.suppressed("ada@site.test")
		})
	}
}

// forget erases an address, as a person may ask for.
func (h *house) forget(address string) {
	h.Helper()
	_, err := h.store.CreateErasure(h.Context(), retention.Erasure{ID: mail.NewID(h.now), Project: h.owner.Project, Address: address, Token: "erased-1@erased.invalid",
		By: "key_k7f2q9xm", CreatedAt: h.now}, nil, nil)
	h.must(err)
	for range 1000 {
		step, err := h.store.Erase(h.Context(), h.now)
		h.must(err)
		if step.Next.IsZero() || step.Next.After(h.now) {
			return
		}
	}
	h.Fatal("the erasure does not end")
}

func TestWhatIsSaidOfAnErasedRecipientIsNobodyElses(t *testing.T) {
	t.Parallel()
	for name, letter := range map[string]string{
		"bounce":               dsn(group("bob@site.test", "failed", "5.1.1", noUser)),
		"complaint":            arf("abuse", "Original-Rcpt-To: <bob@site.test>\n", ""),
		"complaint of nobody":  arf("abuse", "Original-Rcpt-To: redacted\n", ""),
		"opt-out":              arf("opt-out", "Original-Rcpt-To: <bob@site.test>\n", ""),
		"bounce of a stranger": dsn(group("x@elsewhere.test", "failed", "5.1.1", noUser)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			m := h.delivered("ada@site.test", "bob@site.test")
			h.forget("bob@site.test")
			h.take(h.path(m, 0), letter)
			h.statuses(m, mail.Delivered, mail.Delivered)
			h.suppressed("ada@site.test")
		})
	}
}

// The return path is of the first recipient; the others' reports still count without them.
func TestAReportOfOneCountsAfterTheErasureOfAnother(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	m := h.delivered("ada@site.test", "bob@site.test")
	h.forget("ada@site.test")
	h.take(h.path(m, 0), dsn(group("bob@site.test", "failed", "5.1.1", noUser)))
	h.statuses(m, mail.Delivered, mail.Bounced)
	h.suppressed("bob@site.test", "hard_bounce")
}

// Of an attempt that a crash cut off nobody knows whose copy it carried.
func TestAReportAfterACrashBlamesNobodyByGuess(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	m := h.begun("", "ada@site.test", "bob@site.test")
	h.settle(m, mail.Delivered, 0)
	h.crash(m, 1)
	h.take(h.path(m, 0), dsn(group("x@elsewhere.test", "failed", "5.1.1", noUser)))
	h.statuses(m, mail.Delivered, mail.Deferred)
	h.suppressed("ada@site.test")
	h.take(h.path(m, 0), dsn(group("ada@site.test", "failed", "5.1.1", noUser)))
	h.statuses(m, mail.Bounced, mail.Deferred)
}

func TestALetterToTwoReturnPathsOfAMessageCountsForBoth(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	m := h.begun("", "ada@site.test", "bob@site.test")
	h.settle(m, mail.Delivered, 0)
	h.settle(m, mail.Delivered, 1)
	h.now = h.now.Add(time.Second)
	h.take(h.path(m, 0)+" "+h.path(m, 1), dsn(group("ada@site.test", "failed", "5.1.1", noUser), group("bob@site.test", "failed", "5.1.1", noUser)))
	h.statuses(m, mail.Bounced, mail.Bounced)
}
