package report_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/queue"
	"github.com/postroad/postroad/internal/report"
	"github.com/postroad/postroad/internal/tracking"
)

const noUser = "550 5.1.1 no such user"

func TestEachRecipientOfAReportIsToldOf(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	m := h.delivered("ada@site.test", "Bob@Site.test", "cyd@site.test", "dan@site.test")
	h.take(h.path(m, 0), dsn(group("ADA@site.test", "Failed", "5.1.1", noUser), group("bob@site.test", "DELAYED", "4.4.1", "connection timed out"),
		group("cyd@SITE.test", "relayed", "2.0.0", "250 ok")))
	h.statuses(m, mail.Bounced, mail.Delivered, mail.Delivered, mail.Delivered)
	told := h.tells(m, mail.EventBounced, mail.EventDeferred)
	d := told[0].Detail
	if d.Bounce == nil || d.Bounce.Type != "hard" || d.Bounce.Reason != "report" || d.Bounce.Class != mail.ClassUnknownUser || d.Bounce.Attempts != 1 ||
		*d.Bounce.Report != (mail.BounceReport{Action: "failed", Status: "5.1.1", Diagnostic: noUser}) || d.Previous != "delivered" || d.SuppressionID == "" || d.Report == 0 {
		t.Errorf("the bounce: %+v %+v", d, d.Bounce)
	}
	if d := told[1].Detail; d.Reason != "report" || d.Previous != "delivered" || d.Reply == nil {
		t.Errorf("the delay: %+v", d)
	}
	h.suppressed("ada@site.test", mail.KindHardBounce)
	h.suppressed("bob@site.test")
	h.counted("bounce/recorded=2")
	got := h.records()
	if len(got) != 1 || len(got[0].Items) != 3 || got[0].Readable || got[0].Row != d.Report || got[0].MessageID != m.id {
		t.Errorf("kept: %+v", got)
	}
}

func TestWhatSuppressesIsDecidedByClassAndForGood(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status, diagnostic, kind string
		suppresses               bool
	}{
		{"5.1.1", noUser, "hard", true},
		{"5.0.0", "550 user unknown", "hard", true},
		{"5.2.2", "552 5.2.2 mailbox full", "soft", false},
		{"4.4.7", "delivery time expired", "soft", false},
		{"4.2.1", "450 4.2.1 user unknown, try later", "soft", false},
		{"5.7.1", "550 5.7.1 message content rejected", "hard", false},
		{"5.5.0", "550 5.5.0 user unknown", "hard", false},
	} {
		t.Run(c.status+" "+c.diagnostic, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			m := h.delivered("ada@site.test")
			h.take(h.path(m, 0), dsn(group("ada@site.test", "failed", c.status, c.diagnostic)))
			h.statuses(m, mail.Bounced)
			if b := h.tells(m, mail.EventBounced)[0].Detail.Bounce; b.Type != c.kind {
				t.Errorf("it is %s, of class %s; want %s", b.Type, b.Class, c.kind)
			}
			if c.suppresses {
				h.suppressed("ada@site.test", mail.KindHardBounce)
			} else {
				h.suppressed("ada@site.test")
			}
		})
	}
}

func TestAForwardedAddressIsFoundByTheReturnPath(t *testing.T) {
	t.Parallel()
	stranger := group("ada.private@elsewhere.test", "failed", "5.1.1", noUser)
	bob := group("bob@site.test", "failed", "5.1.1", noUser)
	for _, c := range []struct {
		name, letter string
		to           []string
		want         []mail.Status
	}{
		{"the only recipient", dsn(stranger), []string{"ada@site.test"}, []mail.Status{mail.Bounced}},
		{"named as the sender wrote", dsn("Original-Recipient: rfc822;ada@site.test\n" + stranger), []string{"ada@site.test", "bob@site.test"}, []mail.Status{mail.Bounced, mail.Delivered}},
		{"the one that is left", dsn(stranger, bob), []string{"ada@site.test", "bob@site.test"}, []mail.Status{mail.Bounced, mail.Bounced}},
		{"one of two", dsn(stranger), []string{"ada@site.test", "bob@site.test"}, []mail.Status{mail.Delivered, mail.Delivered}},
		{"one of two, the other of whom is a list", dsn(group("bob@site.test", "expanded", "2.0.0", "250 ok"), stranger), []string{"ada@site.test", "bob@site.test"}, []mail.Status{mail.Delivered, mail.Delivered}},
		{"one of two left", dsn(stranger, bob), []string{"ada@site.test", "bob@site.test", "cyd@site.test"}, []mail.Status{mail.Delivered, mail.Bounced, mail.Delivered}},
		{"two strangers for one", dsn(stranger, group("x@elsewhere.test", "failed", "5.1.1", noUser)), []string{"ada@site.test"}, []mail.Status{mail.Bounced}},
		{"forwarded to two, one of whom got it", dsn(stranger, group("x@elsewhere.test", "delivered", "2.0.0", "250 ok")), []string{"ada@site.test"}, []mail.Status{mail.Delivered}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			m := h.delivered(c.to...)
			h.take(h.path(m, 0), c.letter)
			h.statuses(m, c.want...)
			kept := h.records()
			if len(kept) != 1 || kept[0].Readable != (kept[0].Why != "") || strings.HasPrefix(c.name, "one of two") != kept[0].Readable {
				t.Errorf("kept: %+v", kept)
			}
		})
	}
}

func TestARealComplaintCounts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ fields, returned, to string }{
		"in brackets, at the return path":  {"Original-Rcpt-To: <Ada@Site.test>\n", "", ""},
		"redacted, at the return path":     {"Original-Rcpt-To: redacted\n", "", ""},
		"at abuse@, by the returned path":  {"Original-Rcpt-To: <ada@site.test>\n", "Return-Path: <PATH>\n", office},
		"at fbl@, by Original-Mail-From":   {"Original-Mail-From: <PATH>\n", "", "fbl@mx.here.test"},
		"by the address that unsubscribes": {"", "List-Unsubscribe: <https://x.test/other>, <mailto:MAILTO@mx.here.test?subject=unsubscribe>\n", office},
		"by the link that unsubscribes":    {"", "List-Unsubscribe: <https://mail.acme.test/u/TOKEN>\n", office},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			m := h.delivered("ada@site.test")
			to := c.to
			if to == "" {
				to = h.path(m, 0)
			}
			mailto := h.links.Mailto(m.works[0].Delivery.Row)
			put := strings.NewReplacer("PATH", h.path(m, 0), "MAILTO", mailto, "TOKEN", strings.TrimPrefix(mailto, "unsubscribe+")).Replace
			h.take(to, arf("abuse", put(c.fields), put(c.returned)))
			h.statuses(m, mail.Complained)
			d := h.tells(m, mail.EventComplained)[0].Detail
			if d.FeedbackType != "abuse" || d.Previous != "delivered" || d.SuppressionID == "" || d.Report == 0 {
				t.Errorf("told: %+v", d)
			}
			h.suppressed("ada@site.test", mail.KindComplaint)
			h.counted("complaint/recorded=1")
		})
	}
}

func TestAComplaintAfterABounceReportCountsToo(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	m := h.delivered("ada@site.test")
	h.take(h.path(m, 0), dsn(group("ada@site.test", "failed", "5.2.2", "552 full")))
	h.take(h.path(m, 0), arf("abuse", "", ""))
	h.take(h.path(m, 0), dsn(group("ada@site.test", "failed", "5.1.1", noUser)))
	h.statuses(m, mail.Complained)
	h.tells(m, mail.EventBounced, mail.EventComplained)
	h.counted("bounce/recorded=1 bounce/unchanged=1 complaint/recorded=1")
}

func TestWhatIsNoTroubleChangesNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	m := h.delivered("ada@site.test")
	path := h.path(m, 0)
	h.take(path, arf("not-spam", "", ""))
	h.take(path, dsn(group("ada@site.test", "delivered", "2.0.0", "250 ok")))
	h.take(path, "From: ada@site.test\r\nSubject: Out of office\r\nAuto-Submitted: auto-replied\r\n\r\nI am away.\r\n")
	h.take(path, "From: ada@site.test\r\nSubject: Re: hello\r\n\r\nThank you!\r\n")
	h.statuses(m, mail.Delivered)
	h.tells(m)
	h.suppressed("ada@site.test")
	h.counted("auto_reply/ignored=1 bounce/informative=1 complaint/informative=1 other/unmatched=1")
	if got := h.records(); len(got) != 3 || !got[0].Readable || got[1].Readable {
		t.Errorf("kept: %+v", got)
	}
}

func TestOptingOutAndMailToUnsubscribeAreTheRecipientsWish(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	m := h.delivered("ada@site.test")
	h.take(h.path(m, 0), arf("opt-out", "", ""))
	if d := h.tells(m, mail.EventUnsubscribed)[0].Detail; d.Method != "report" {
		t.Errorf("method %s", d.Method)
	}
	h.suppressed("ada@site.test", mail.KindUnsubscribe)
	h.statuses(m, mail.Delivered)
	if kept := h.records(); len(kept) != 1 || len(kept[0].Items) != 1 || kept[0].Items[0].Effect != "recorded" {
		t.Errorf("kept: %+v", kept)
	}

	m = h.delivered("bob@site.test")
	to := strings.ToUpper(h.links.Mailto(m.works[0].Delivery.Row)) + "@mx.here.test"
	for _, content := range []string{"Subject: unsubscribe\r\n\r\n", "", "From: bob@site.test\r\nSubject: unsubscribe\r\nAuto-Submitted: auto-generated\r\n\r\n"} {
		h.take(to, content)
	}
	if d := h.tells(m, mail.EventUnsubscribed)[0].Detail; d.Method != "mailto" {
		t.Errorf("method %s", d.Method)
	}
	h.suppressed("bob@site.test", mail.KindUnsubscribe)

	m = h.delivered("cyd@site.test")
	h.take(h.links.Mailto(m.works[0].Delivery.Row)+"@mx.here.test", dsn(group("x@y.test", "failed", "5.1.1", noUser)))
	h.tells(m) // a machine's, returned
}

func TestNothingWithoutATokenOfOursChangesAnything(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	m := h.delivered("ada@site.test", "bob@site.test")
	stranger := feedback.NewTokens([32]byte{7}).ReturnPath("bounce.acme.test", nil, &m.works[0].Delivery)
	path := h.path(m, 0)
	altered := path[:20] + "b" + path[21:]
	if altered == path {
		altered = path[:20] + "c" + path[21:]
	}
	mailto := tracking.NewTokens([32]byte{7}).Mailto(m.works[0].Delivery.Row)
	n := 0
	for _, forged := range []string{stranger, altered, "bounces+1@bounce.acme.test", "hello@acme.test"} {
		if h.s.Welcome(mail.Address{Email: forged}) {
			t.Errorf("%s is welcome", forged)
		}
		for _, content := range []string{
			dsn(group("ada@site.test", "failed", "5.1.1", noUser)),
			arf("abuse", "Original-Rcpt-To: <ada@site.test>\nOriginal-Mail-From: <"+forged+">\n", "Return-Path: <"+forged+">\nMessage-ID: <"+m.id.UUID()+"@acme.test>\nList-Unsubscribe: <mailto:"+mailto+"@mx.here.test>\n"),
		} {
			for _, to := range []string{forged, office} {
				h.take(to, content+strings.Repeat(" ", n)) // none is the same mail
				n++
			}
		}
	}
	h.take(mailto+"@mx.here.test", "")
	h.statuses(m, mail.Delivered, mail.Delivered)
	h.tells(m)
	h.suppressed("ada@site.test")
	for _, r := range h.records() {
		if r.Message != 0 || !r.Readable || r.Why == "" {
			t.Errorf("kept: %+v", r)
		}
	}
	if len(h.records()) != n+1 {
		t.Errorf("%d are kept of %d", len(h.records()), n+1)
	}
}

func TestWhoHasOneCopyCannotTellOfAnother(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	m := h.begun("", "ada@site.test", "bob@site.test", "cyd@site.test")
	h.settle(m, mail.Delivered, 0, 1)
	h.settle(m, mail.Delivered, 2) // in a transaction of its own
	h.take(h.path(m, 2), dsn(group("ada@site.test", "failed", "5.1.1", noUser), group("bob@site.test", "failed", "5.1.1", noUser)))
	h.take(h.path(m, 0), arf("abuse", "Original-Rcpt-To: <cyd@site.test>\n", ""))
	h.statuses(m, mail.Delivered, mail.Delivered, mail.Bounced) // those strangers can only be cyd's own

	apart := h.begun("marker", "ada@site.test", "bob@site.test")
	h.settle(apart, mail.Delivered, 0, 1)
	h.take(h.path(apart, 0), arf("abuse", "Original-Rcpt-To: <bob@site.test>\n", ""))
	h.statuses(apart, mail.Complained, mail.Delivered)
}

func TestTheSameReportAgainChangesNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	m := h.delivered("ada@site.test")
	letter := dsn(group("ada@site.test", "delayed", "4.4.1", "timed out"))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := h.try(h.path(m, 0), letter); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	h.tells(m, mail.EventDeferred)
	h.counted("bounce/again=7 bounce/recorded=1")
}

func TestTheWireDecidesFirst(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	m := h.begun("", "ada@site.test")
	done := make(chan error, 1)
	go func() { done <- h.try(h.path(m, 0), dsn(group("ada@site.test", "failed", "5.1.1", noUser))) }()
	h.settle(m, mail.Delivered, 0)
	h.must(<-done)
	h.statuses(m, mail.Bounced)

	short := newHouse(t, func(o *report.Options) { o.Patience = time.Millisecond })
	m = short.begun("", "ada@site.test")
	if err := short.try(short.path(m, 0), dsn(group("ada@site.test", "failed", "5.1.1", noUser))); !errors.Is(err, mail.ErrStale) {
		t.Errorf("the sender was told %v", err)
	}
	if n := len(short.records()); n != 0 {
		t.Errorf("%d records of a letter that was not taken", n)
	}
}

func TestABounceEndsTheRetriesOfWhatWaits(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	m := h.begun("", "ada@site.test")
	h.settle(m, mail.Deferred, 0)
	h.take(h.path(m, 0), dsn(group("ada@site.test", "failed", "5.1.1", noUser)))
	h.statuses(m, mail.Bounced)
	if d := h.tells(m, mail.EventBounced)[0].Detail; d.Previous != "deferred" {
		t.Errorf("before: %s", d.Previous)
	}
	h.now = h.now.Add(24 * time.Hour)
	works, err := h.store.Claim(t.Context(), queue.ClaimParams{Node: "one", Now: h.now, Until: h.now.Add(time.Minute), Max: 100, Room: func(string, mail.Owner, mail.Tier) int { return 1 }})
	if err != nil || len(works) > 0 {
		t.Errorf("it is tried again: %v, %v", works, err)
	}
}

// Mail to an office is read by people: programs that write there (spam traps, other sites'
// abuse desks) mark theirs as automatic, too.
func TestAnAutomaticMailToAnOfficeIsKept(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.take(office, "From: reports@trap.test\r\nSubject: spam from your host\r\nAuto-Submitted: auto-generated\r\n\r\nStop it.\r\n")
	if kept := h.records(); len(kept) != 1 || !kept[0].Readable {
		t.Errorf("kept: %+v", kept)
	}
	h.counted("auto_reply/unmatched=1")
}

func TestStrangersCannotHaveUsKeepLettersWithoutEnd(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	m := h.delivered("ada@site.test")
	put, n := 0, 0
	bring := func(letters int) {
		for range letters {
			n++
			if err := h.try(office, fmt.Sprintf("Subject: junk %d\r\n\r\n", n)); errors.Is(err, report.ErrTooMany) {
				put++
			} else {
				h.must(err)
			}
		}
	}
	bring(150)
	if put != 50 {
		t.Errorf("%d of 150 were put off", put)
	}
	h.take(h.path(m, 0), dsn(group("ada@site.test", "failed", "5.1.1", noUser))) // what has a token is not
	h.statuses(m, mail.Bounced)
	h.now = h.now.Add(2 * time.Second)
	bring(3)
	if put != 51 {
		t.Errorf("%d were put off in the end", put)
	}
	h.now = h.now.Add(-time.Hour) // a clock that goes back blocks nobody
	bring(1)
	if put != 51 {
		t.Error("put off until the old time comes again")
	}
}

// failing is a store that records nothing.
type failing struct{ report.Store }

var errFull = errors.New("disk full")

func (failing) Report(context.Context, time.Time, queue.Report) (queue.Recorded, error) {
	return queue.Recorded{}, errFull
}

func TestAStoreThatFailsIsTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(o *report.Options) { o.Store = failing{o.Store} })
	m := h.delivered("ada@site.test")
	for _, to := range []string{h.path(m, 0), office} {
		if err := h.try(to, dsn(group("ada@site.test", "failed", "5.1.1", noUser))); !errors.Is(err, errFull) {
			t.Errorf("%s: %v", to, err)
		}
	}
	h.counted("")
}

func TestWhoIsWelcome(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	path := h.paths.ReturnPath("bounce.acme.test", nil, &mail.Delivery{Row: 7})
	for address, want := range map[string]bool{
		path: true, strings.ToUpper(path): true, strings.Replace(path, "bounce.acme.test", "any.test", 1): true,
		h.links.Mailto(7) + "@mx.here.test": true, strings.ToUpper(h.links.Mailto(7)) + "@mx.here.test": true,
		"abuse@mx.here.test": true, "Postmaster@MX.here.test": true, "fbl@mx.here.test": true,
		"abuse@acme.test": false, "ada@mx.here.test": false, "bounces+x@mx.here.test": false, "postmaster": false, "": false, "abuse@": false,
		"unsubscribe+x@mx.here.test": false,
	} {
		if got := h.s.Welcome(mail.Address{Email: address}); got != want {
			t.Errorf("%q: %v", address, got)
		}
	}
}

func TestWhatIsKeptOfALetterIsBoundedAndHasItsEnvelope(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	l := &report.Letter{From: "x@y.test", To: []string{office}, Helo: "evil\r\nX-Forged: yes", Arrived: h.now, Content: []byte(strings.Repeat("0123456789abcde\n", 8<<10)), Size: 999_999}
	h.must(h.s.Take(t.Context(), l))
	r, err := h.store.ReportByID(t.Context(), h.records()[0].ID)
	h.must(err)
	text := string(r.Letter)
	if len(text) != feedback.LetterKept || r.Size != 999_999 || !strings.HasPrefix(text, "Return-Path: <x@y.test>\r\nDelivered-To: <"+office+">\r\nReceived: from evilX-Forged: yes ([invalid IP])") {
		t.Errorf("%d bytes of %d: %.200q", len(text), r.Size, text)
	}
}

func FuzzTakeWithoutAToken(f *testing.F) {
	f.Add(dsn(group("ada@site.test", "failed", "5.1.1", noUser)))
	f.Add(arf("abuse", "Original-Rcpt-To: <ada@site.test>\n", "Return-Path: <bounces+aaaaaaaaaaaaaaaaaaaaaaaaaa@x.test>\n"))
	f.Add("")
	f.Fuzz(func(t *testing.T, content string) {
		h := &spy{}
		s := report.New(report.Options{Store: h, Paths: feedback.NewTokens([32]byte{1}), Links: tracking.NewTokens([32]byte{2}), Hostname: "mx.here.test", Log: slog.New(slog.DiscardHandler)})
		if err := s.Take(t.Context(), &report.Letter{To: []string{office}, Content: []byte(content), Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if h.outcomes > 0 {
			t.Error("something was changed")
		}
	})
}

// spy counts what a store would be asked to change.
type spy struct {
	report.Store
	outcomes int
}

func (s *spy) Report(_ context.Context, _ time.Time, r queue.Report) (queue.Recorded, error) {
	s.outcomes += len(r.Outcomes)
	if r.Record == nil || r.Record.Message != 0 || len(r.Record.Letter) > feedback.LetterKept {
		return queue.Recorded{}, fmt.Errorf("a record: %+v", r.Record)
	}
	return queue.Recorded{}, nil
}

func (*spy) Copies(context.Context, int64, string) (report.Copies, error) {
	return report.Copies{}, errors.New("nobody had a token")
}
