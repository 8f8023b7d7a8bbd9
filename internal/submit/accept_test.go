package submit_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/mime"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/submit"
)

func read(t *testing.T, c mail.Content) (string, *mime.Parts) {
	t.Helper()
	r, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	parts, err := mime.Parse(bytes.NewReader(b), mime.Limits{})
	if err != nil || parts.Problem != "" {
		t.Fatal(parts, err)
	}
	return string(b), parts
}

func TestAMessageIsAcceptedWithAllItCarries(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t), request()
	expires := int64(900)
	r.To[0] = submit.AddressIn{Text: "Ada.L@Customer.IO", Name: "Ada", Field: "recipient"}
	r.Cc = []submit.AddressIn{address("cc[0]", "Bob <bob@customer.io>")}
	r.Bcc = []submit.AddressIn{address("bcc[0]", "secret@hidden.io")}
	r.HTML = text("<p>Your code is <b>847291</b></p>")
	r.Headers = []mail.Header{{Name: "X-Ref", Value: "42"}, {Name: "X-Idempotency-Key", Value: "k"}, {Name: "idempotency-key", Value: "k"}, {Name: "Reply-To", Value: `"Help, us" <help@acme.test>, b@acme.test`}}
	r.Attachments = []submit.AttachmentIn{{Filename: "a.PDF", Base64: []byte("aGVsbG8="), Field: "attachments[0]"}, {Filename: "b", ContentID: "<logo>", Inline: true, Raw: mail.Bytes("raw"), Field: "attachments[1]"}}
	r.Tier, r.Topic, r.Tags, r.Metadata = "high", "news", []string{"a", "b", "a"}, []mail.Header{{Name: "user", Value: "42"}}
	r.ExpiresIn, r.Supersedes, r.Key, r.Route, r.RequestID = &expires, "otp/42", "k1", "POST /v1/messages", "req_1"
	r.Arrived = noon.Add(-4 * time.Millisecond)
	w.store.superseded = []mail.ID{mail.NewID(noon)}

	out, err := w.Submit(t.Context(), w.who, r)
	if err != nil {
		t.Fatal(err)
	}
	a := w.store.accepted[0]
	m := a.Message
	if m != out.Message || m.Row != 1 || m.Owner != w.who.Owner || m.From.String() != "Acme <hello@acme.test>" || m.Subject != "Your code" ||
		m.RFCID != m.ID.UUID()+"@acme.test" || m.Tier != mail.Urgent || m.Topic != "news" || !reflect.DeepEqual(m.Tags, []string{"a", "b"}) ||
		m.Metadata["user"] != "42" || m.Supersedes != "otp/42" || m.KeyID != "k7f2q9xm" || m.Via != "api" || m.IdempotencyKey != "k1" ||
		!m.CreatedAt.Equal(noon) || !m.ScheduledAt.IsZero() || !m.ExpiresAt.Equal(noon.Add(15*time.Minute)) || m.AcceptTime != 4*time.Millisecond {
		t.Errorf("message: %+v", m)
	}
	if len(m.Attachments) != 2 || m.Attachments[0].ContentType != "application/pdf" || m.Attachments[0].SHA256 != sha256.Sum256([]byte("hello")) ||
		m.Attachments[1].Size != 3 || m.Attachments[1].SHA256 != sha256.Sum256([]byte("raw")) || m.Attachments[1].ContentID != "logo" {
		t.Errorf("attachments: %+v", m.Attachments)
	}
	if len(m.ReplyTo) != 2 || m.ReplyTo[0].Name != "Help, us" || !reflect.DeepEqual(m.Headers, []mail.Header{{Name: "X-Ref", Value: "42"}}) {
		t.Errorf("reply to %v, headers %v", m.ReplyTo, m.Headers)
	}
	if o := a.Once; o == nil || o.Key != "k1" || o.Route != "POST /v1/messages" || o.Owner != w.who.Owner || o.RequestID != "req_1" || !o.Expires.Equal(noon.Add(24*time.Hour)) {
		t.Errorf("once: %+v", o)
	}
	raw, parts := read(t, a.Content)
	if int64(len(raw)) != m.Size || parts.Subject != "Your code" || !strings.Contains(parts.Text, "847291") || len(parts.Attachments) != 2 {
		t.Errorf("content: %+v", parts)
	}
	for _, never := range []string{"hidden.io", "dempotency", "Bcc"} {
		if strings.Contains(raw, never) {
			t.Errorf("%s is in\n%s", never, raw)
		}
	}
	for _, want := range []string{"To: Ada <Ada.L@customer.io>\r\n", "Cc: Bob <bob@customer.io>\r\n", "Reply-To: \"Help, us\" <help@acme.test>, b@acme.test\r\n", "X-Ref: 42\r\n"} {
		if !strings.Contains(raw, want) {
			t.Errorf("%q is not in\n%s", want, raw)
		}
	}
	if len(out.Deliveries) != 3 || len(w.dispatcher.works) != 3 || len(w.dispatcher.waiting) != 0 || !reflect.DeepEqual(out.Superseded, w.store.superseded) {
		t.Fatalf("deliveries %d, works %d, waiting %v", len(out.Deliveries), len(w.dispatcher.works), w.dispatcher.waiting)
	}
	for i, kind := range []mail.RecipientType{mail.To, mail.Cc, mail.Bcc} {
		d, work := out.Deliveries[i], w.dispatcher.works[i]
		if d.Type != kind || d.Row != 100+int64(i) || d.Status != mail.Queued || d.Message != m.ID || d.Tier != mail.Urgent || d.ID.IsZero() {
			t.Errorf("delivery %d: %+v", i, d)
		}
		if work.Message != m || work.Delivery.Row != d.Row || work.Lease.Delivery != d.Row || work.Lease.Token != 7 || work.Content == nil {
			t.Errorf("work %d: %+v", i, work)
		}
		e := a.Deliveries[i].Events
		if len(e) != 1 || e[0].Type != mail.EventQueued || e[0].Detail.Summary != "Accepted by API (key k7f2q9xm, 4 ms)" || e[0].Detail.KeyID != "key_k7f2q9xm" || *e[0].Detail.AcceptMS != 4 || e[0].Detail.Via != "api" {
			t.Errorf("events %d: %+v", i, e)
		}
	}
	if d := out.Deliveries[0]; d.Address != "Ada.L@customer.io" || d.Name != "Ada" || d.Destination != "customer.io" {
		t.Errorf("first delivery: %+v", d)
	}
	if a.Lease.Node != "node-a" || !a.Lease.Until.Equal(noon.Add(time.Minute)) {
		t.Errorf("lease: %+v", a.Lease)
	}
	if want := m.ID.Text("msg") + " row 1"; string(out.Answer.Body) != want || out.Answer.Status != 202 {
		t.Errorf("answer %q, want %q", out.Answer.Body, want)
	}
}

func TestWhatHasNoRoomWaits(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t), request()
	w.dispatcher.room = 1
	r.To = append(r.To, address("to[1]", "b@other.io"), address("to[2]", "c@third.io"))
	out, err := w.Submit(t.Context(), w.who, r)
	if err != nil {
		t.Fatal(err)
	}
	if a := w.store.accepted[0]; !a.Deliveries[0].Leased || a.Deliveries[0].Wait != mail.NoWait || a.Deliveries[1].Leased || a.Deliveries[1].Wait != mail.WaitNew {
		t.Errorf("deliveries: %+v", a.Deliveries)
	}
	if len(w.dispatcher.works) != 1 || w.dispatcher.works[0].Delivery.Address != out.Deliveries[0].Address ||
		!reflect.DeepEqual(w.dispatcher.waiting, []string{"live other.io normal +0s", "live third.io normal +0s"}) {
		t.Errorf("works %d, waiting %q", len(w.dispatcher.works), w.dispatcher.waiting)
	}
}

func TestAScheduledMessageWaitsForItsTime(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t), request()
	expires := int64(60)
	r.SendAt, r.ExpiresIn, r.Key = noon.Add(72*time.Hour).In(time.FixedZone("x", 3600)), &expires, "k"
	out, err := w.Submit(t.Context(), w.who, r)
	if err != nil {
		t.Fatal(err)
	}
	d, a := out.Deliveries[0], w.store.accepted[0]
	if d.Status != mail.Scheduled || d.Wait != mail.WaitScheduled || !d.Due.Equal(r.SendAt) || a.Deliveries[0].Leased || a.Message.ScheduledAt.Location() != time.UTC {
		t.Errorf("delivery: %+v", d)
	}
	if e := a.Deliveries[0].Events; len(e) != 1 || e[0].Type != mail.EventScheduled || !e[0].Detail.ScheduledTime.Equal(r.SendAt) {
		t.Errorf("events: %+v", e)
	}
	if !a.Message.ExpiresAt.Equal(r.SendAt.Add(time.Minute)) || !a.Once.Expires.Equal(r.SendAt.Add(24*time.Hour)) {
		t.Errorf("expires %v, key %v", a.Message.ExpiresAt, a.Once.Expires)
	}
	if !reflect.DeepEqual(w.dispatcher.waiting, []string{"live customer.io normal +72h0m0s"}) || w.dispatcher.reserved > 0 {
		t.Errorf("waiting %q", w.dispatcher.waiting)
	}
	for _, at := range []time.Time{noon.Add(-time.Minute), noon} {
		r = request()
		r.SendAt = at
		if out, err := w.Submit(t.Context(), w.who, r); err != nil || out.Deliveries[0].Status != mail.Queued || !out.Message.ScheduledAt.IsZero() {
			t.Errorf("%v: %+v, %v", at, out, err)
		}
	}
}

func TestSuppressedRecipientsAreToldAndNotWrittenTo(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t), request()
	since := noon.AddDate(0, -1, 0)
	s := mail.Suppression{ID: mail.NewID(since), Address: "ada@customer.io", Reason: "hard_bounce", Kind: mail.KindHardBounce, CreatedAt: since}
	w.store.suppressed = map[string]mail.Suppression{s.Address: s, "news@customer.io": {Topic: "other"}}
	r.To[0].Text = "ADA@customer.io"
	r.To = append(r.To, address("to[1]", "news@customer.io"), address("to[2]", "suppressed@sandbox.test"))
	r.Topic, r.SendAt = "news", noon.Add(time.Hour)
	out, err := w.Submit(t.Context(), w.who, r)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(w.store.looked, [][]string{{"ada@customer.io", "news@customer.io", "suppressed@sandbox.test"}}) {
		t.Errorf("looked up %q", w.store.looked)
	}
	for i, want := range []mail.Status{mail.Suppressed, mail.Scheduled, mail.Suppressed} {
		if out.Deliveries[i].Status != want {
			t.Errorf("delivery %d: %v", i, out.Deliveries[i].Status)
		}
	}
	d := w.store.accepted[0].Deliveries[0]
	if by := d.Suppression; by == nil || by.ID != s.ID || by.Public != s.ID.Text("sup") || by.Reason != "hard_bounce" || !by.Since.Equal(since) || d.Leased || !d.CompletedAt.Equal(noon) {
		t.Errorf("delivery: %+v", d)
	}
	if len(d.Events) != 2 || d.Events[0].Type != mail.EventQueued || d.Events[1].Type != mail.EventSuppressed || d.Events[1].Detail.Suppression.Reason != "hard_bounce" {
		t.Errorf("events: %+v", d.Events)
	}
	if len(w.dispatcher.works) != 0 || len(w.dispatcher.waiting) != 1 {
		t.Errorf("works %d, waiting %q", len(w.dispatcher.works), w.dispatcher.waiting)
	}
}

func TestAMessageAllOfWhoseRecipientsAreSuppressedIsSuppressed(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t), request()
	r.To[0].Text = "suppressed@sandbox.test"
	out, err := w.Submit(t.Context(), w.who, r)
	if err != nil || mail.Overall(out.Deliveries[0].Status) != mail.Suppressed || w.dispatcher.reserved > 0 || len(w.dispatcher.waiting) > 0 {
		t.Errorf("got %+v, %v", out, err)
	}
}

func TestAProjectMayHaveSuppressedRecipientsRejected(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t), request()
	w.who.Project.Settings.OnSuppressed = "reject"
	r.To = append(r.To, address("to[1]", "suppressed@sandbox.test"))
	if _, err := w.Submit(t.Context(), w.who, r); !reflect.DeepEqual(faultsOf(t, err), []string{"recipient_suppressed #/to/1"}) {
		t.Errorf("got %v", err)
	}
	if len(w.store.accepted) > 0 {
		t.Error("it was accepted")
	}
}

func TestAReplayGivesTheFirstAnswerAndAnotherRequestIsRefused(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t), request()
	r.Key, r.Fingerprint = "k", sha256.Sum256([]byte("body"))
	first, err := w.Submit(t.Context(), w.who, r)
	if err != nil || first.Replayed {
		t.Fatal(first, err)
	}
	again, err := w.Submit(t.Context(), w.who, r)
	if err != nil || !again.Replayed || !bytes.Equal(again.Answer.Body, first.Answer.Body) || again.Message != nil {
		t.Errorf("got %+v, %v", again, err)
	}
	r.Fingerprint = sha256.Sum256([]byte("another body"))
	var reused *mail.Error
	if _, err := w.Submit(t.Context(), w.who, r); !errors.As(err, &reused) || reused.Code != "idempotency_key_reused" || reused.Status != 422 {
		t.Errorf("got %v", err)
	}
	if d := w.dispatcher; d.reserved != 3 || d.released != 2 || len(d.works) != 1 || len(w.store.accepted) != 1 {
		t.Errorf("reserved %d, released %d, dispatched %d", d.reserved, d.released, len(d.works))
	}
}

func TestLargeContentIsSpooledAndDiscardedWhenItIsNotAccepted(t *testing.T) {
	t.Parallel()
	big := request()
	big.Text = text(strings.Repeat("line\n", 60_000))
	for name, c := range map[string]struct {
		break_    func(*world)
		discarded int
	}{
		"accepted":        {func(*world) {}, 0},
		"the store fails": {func(w *world) { w.store.acceptErr = errOurs }, 1},
		"no receipt":      {func(w *world) { w.store.noReceipt = true }, 1},
		"a replay":        {func(w *world) { w.store.once = map[string]mail.Answer{"k": {}} }, 1},
	} {
		w, r := newWorld(t), *big
		r.Key = "k"
		c.break_(w)
		_, err := w.Submit(t.Context(), w.who, &r)
		if len(w.store.spooled) != 1 || w.store.spooled[0].discarded != c.discarded {
			t.Errorf("%s: spooled %d, %v", name, len(w.store.spooled), err)
			continue
		}
		if _, parts := read(t, w.store.spooled[0]); strings.Count(parts.Text, "line") != 60_000 {
			t.Errorf("%s: %d lines", name, strings.Count(parts.Text, "line"))
		}
		if c.discarded > 0 && w.dispatcher.reserved != w.dispatcher.released {
			t.Errorf("%s: room was not given back", name)
		}
	}
	small := newWorld(t)
	if _, err := small.Submit(t.Context(), small.who, request()); err != nil || len(small.store.spooled) != 0 {
		t.Errorf("a small one was spooled: %v", err)
	}
}

func TestOurOwnFaultsAreNeitherTheCallersNorSwallowed(t *testing.T) {
	t.Parallel()
	for name, break_ := range map[string]func(*world, *submit.Request){
		"accept":       func(w *world, _ *submit.Request) { w.store.acceptErr = errOurs },
		"suppressions": func(w *world, _ *submit.Request) { w.store.suppressedErr = errOurs },
		"domains":      func(_ *world, r *submit.Request) { r.From.Text = "a@ill.test" },
		"spool": func(w *world, r *submit.Request) {
			w.store.spoolErr = errOurs
			r.Text = text(strings.Repeat("x ", 300_000))
		},
		"a file": func(_ *world, r *submit.Request) {
			r.Attachments = []submit.AttachmentIn{{Filename: "a", Raw: brokenContent{}, Field: "attachments[0]"}}
		},
	} {
		w, r := newWorld(t), request()
		break_(w, r)
		out, err := w.Submit(t.Context(), w.who, r)
		var fault *mail.Error
		var faults mail.Faults
		if out != nil || !errors.Is(err, errOurs) || errors.As(err, &fault) || errors.As(err, &faults) {
			t.Errorf("%s: got %+v, %v", name, out, err)
		}
		if d := w.dispatcher; d.reserved != d.released || len(d.works) > 0 {
			t.Errorf("%s: reserved %d, released %d, dispatched %d", name, d.reserved, d.released, len(d.works))
		}
	}
}

type brokenContent struct{}

func (brokenContent) Size() int64                  { return 10 }
func (brokenContent) Open() (io.ReadCloser, error) { return nil, errOurs }

func TestACallerWhoGoesAwayDuringTheCommitChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Submit(ctx, w.who, request()); err != nil || len(w.dispatcher.works) != 1 {
		t.Errorf("%v, dispatched %d", err, len(w.dispatcher.works))
	}
}

func TestADryRunDoesEverythingButTheCommit(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t), request()
	r.DryRun, r.Key, r.HTML, r.Text = true, "k", text("<p>Hi"), nil
	r.To = append(r.To, address("to[1]", "suppressed@sandbox.test"))
	out, err := w.Submit(t.Context(), w.who, r)
	if err != nil || out.Preview == nil {
		t.Fatal(out, err)
	}
	if p := out.Preview; p.Subject != "Your code" || p.HTML != "<p>Hi" || p.Text != "Hi\n" || p.Size < 300 || p.Size != out.Message.Size {
		t.Errorf("preview: %+v", p)
	}
	if out.Deliveries[0].Status != mail.Queued || out.Deliveries[1].Status != mail.Suppressed || len(out.Answer.Body) == 0 {
		t.Errorf("deliveries: %+v", out.Deliveries)
	}
	if len(w.store.accepted)+len(w.store.spooled)+w.dispatcher.reserved+len(w.dispatcher.waiting) > 0 {
		t.Error("it left traces")
	}
	r.Subject = nil
	if _, err := w.Submit(t.Context(), w.who, r); !reflect.DeepEqual(faultsOf(t, err), []string{"missing_required_field #/subject"}) {
		t.Errorf("got %v", err)
	}
}

func TestWithoutADispatcherEverythingWaits(t *testing.T) {
	t.Parallel()
	store := &fakeStore{}
	s := submit.NewService(submit.Options{Store: store, Domains: domains{"acme.test": "verified"}})
	out, err := s.Submit(t.Context(), project.Principal{Owner: mail.Owner{Project: 1}}, request())
	if err != nil || out.Deliveries[0].Wait != mail.WaitNew || store.accepted[0].Deliveries[0].Leased {
		t.Errorf("got %+v, %v", out, err)
	}
	if got := store.accepted[0].Deliveries[0].Events[0].Detail; got.KeyID != "" || !strings.HasPrefix(got.Summary, "Accepted by API (") {
		t.Errorf("detail: %+v", got)
	}
}

func TestManyCallersAreServedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := w.Submit(context.Background(), w.who, request()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	seen := map[mail.ID]bool{}
	for _, work := range w.dispatcher.works {
		seen[work.Delivery.ID] = true
	}
	if len(seen) != 50 {
		t.Errorf("%d deliveries", len(seen))
	}
}

func BenchmarkSubmitTwoKilobytes(b *testing.B) {
	w := newWorld(b)
	html := strings.Repeat("<p>Hello Ada, your code is <b>847291</b>. It is valid for five minutes.</p>\n", 19)
	plain := strings.Repeat("Hello Ada, your code is 847291. It is valid for five minutes.\n", 9)
	w.Service = submit.NewService(submit.Options{Store: nullStore{}, Dispatcher: nullDispatcher{}, Domains: domains{"acme.test": "verified"}})
	from := address("from", "Acme <hello@acme.test>")
	b.ReportAllocs()
	for b.Loop() {
		r := &submit.Request{Via: "api", From: &from, To: []submit.AddressIn{address("recipient", "ada@customer.io")}, Subject: text("Your code"), HTML: &html, Text: &plain,
			Arrived: time.Now(), Answer: func(*submit.Accepted) mail.Answer { return mail.Answer{} }}
		if _, err := w.Submit(b.Context(), w.who, r); err != nil {
			b.Fatal(err)
		}
	}
}

type nullStore struct{ submit.Store }

func (nullStore) Accept(_ context.Context, batch []*submit.Acceptance) ([]submit.Receipt, error) {
	r := submit.Receipt{Row: 1, Deliveries: []int64{1}, Leases: []mail.Lease{{}}}
	r.Answer = batch[0].Answer(r)
	return []submit.Receipt{r}, nil
}

func (nullStore) AcceptBatch(_ context.Context, b *submit.BatchAcceptance) (submit.BatchReceipt, error) {
	r := submit.BatchReceipt{Items: make([]submit.Receipt, len(b.Items))}
	for i := range r.Items {
		r.Items[i] = submit.Receipt{Row: 1, Deliveries: []int64{1}, Leases: []mail.Lease{{}}}
	}
	r.Answer = b.Answer(r.Items)
	return r, nil
}

func (nullStore) Suppressed(context.Context, mail.Owner, []string, string, time.Time) (map[string]mail.Suppression, error) {
	return nil, nil
}

func (nullStore) Spool(context.Context, func(io.Writer) error) (submit.Spooled, error) {
	return nil, errOurs
}

type nullDispatcher struct{}

func (nullDispatcher) Reserve(mail.Owner, string, mail.Tier) bool       { return true }
func (nullDispatcher) Release(mail.Owner, string, mail.Tier)            {}
func (nullDispatcher) Dispatch([]*mail.Work)                            {}
func (nullDispatcher) Waiting(mail.Owner, string, mail.Tier, time.Time) {}
func (nullDispatcher) Node() string                                     { return "n" }
func (nullDispatcher) LeaseTime() time.Duration                         { return time.Minute }
