package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/submit"
)

var schemaClauses = []clause{
	{"a second Migrate does nothing", func(w *world) {
		a := w.letter("ada@example.com")
		w.accept(a)
		have, want, err := w.s.Schema(w.ctx)
		w.must(err)
		equal(w, "schema", have, want)
		w.must(w.s.Migrate(w.ctx))
		again, _, err := w.s.Schema(w.ctx)
		w.must(err)
		equal(w, "schema after", again, have)
		w.record(a.Message.ID)
	}},
	{"Ping writes and Wake tells of events", func(w *world) {
		w.must(w.s.Ping(w.ctx))
		wake := w.s.Wake()
		select {
		case <-wake:
			w.Fatal("woken without an event")
		default:
		}
		w.accept(w.letter("ada@example.com"))
		select {
		case <-wake:
		case <-time.After(5 * time.Second):
			w.Fatal("not woken by an event")
		}
	}},
}

var acceptClauses = []clause{
	{"what was accepted is read back as it was", acceptReadsBack},
	{"each recipient has a delivery, in order", func(w *world) {
		a := w.letter("Ada@Example.com", "bob@example.org", "cy@example.net")
		a.Deliveries[1].Type, a.Deliveries[2].Type = mail.Cc, mail.Bcc
		a.Deliveries[1].Name = "Bob"
		r := w.accept(a)
		equal(w, "delivery rows", len(r.Deliveries), 3)
		got := w.record(a.Message.ID)
		for i, d := range got.Deliveries {
			equal(w, "row", d.Row, r.Deliveries[i])
			equal(w, "id", d.ID, a.Deliveries[i].ID)
			equal(w, "address", d.Address, a.Deliveries[i].Address)
			equal(w, "type", d.Type, a.Deliveries[i].Type)
			equal(w, "name", d.Name, a.Deliveries[i].Name)
		}
		w.story(r.Row, mail.EventQueued, mail.EventQueued, mail.EventQueued)
	}},
	{"one acceptance's failure is not another's", func(w *world) {
		first := w.letter("ada@example.com")
		w.accept(first)
		twin, good := w.letter("bob@example.com"), w.letter("cy@example.com")
		twin.Message.ID = first.Message.ID // breaks the rule that IDs are unique, after something was written
		before := w.letter("di@example.com")
		if _, err := w.s.Accept(w.ctx, []*submit.Acceptance{before, twin, good}); err == nil {
			w.Fatal("an ID that was used before was accepted")
		}
		w.record(before.Message.ID)
		w.record(good.Message.ID)
		equalList(w, "claimed", addresses(w.claim(10)), []string{"ada@example.com", "di@example.com", "cy@example.com"})
	}},
	{"a panic in Answer undoes that acceptance only", func(w *world) {
		bad, good := w.letter("ada@example.com"), w.letter("bob@example.com")
		bad.Answer = func(submit.Receipt) mail.Answer { panic("no answer") }
		_, err := w.s.Accept(w.ctx, []*submit.Acceptance{bad, good})
		if err == nil {
			w.Fatal("the panic was swallowed")
		}
		_, err = w.s.Message(w.ctx, w.owner, bad.Message.ID)
		w.wantErr(err, mail.ErrNotFound)
		w.record(good.Message.ID)
	}},
	{"a leased delivery is not claimed, its lease holds", func(w *world) {
		a := leased(w.letter("ada@example.com", "bob@example.com"))
		a.Deliveries[1].Leased = false
		r := w.accept(a)
		equal(w, "leases", len(r.Leases), 2)
		equal(w, "no lease", r.Leases[1], mail.Lease{})
		equalList(w, "claimed", addresses(w.claim(10)), []string{"bob@example.com"})
		work := &mail.Work{Lease: r.Leases[0], Message: a.Message, Delivery: a.Deliveries[0].Delivery}
		w.goes(work)
		w.settle(w.delivered(work))
		equal(w, "status", w.record(a.Message.ID).Deliveries[0].Status, mail.Delivered)
	}},
	{"a delivery suppressed at acceptance is done and counted on its suppression", func(w *world) {
		s := w.suppress("ada@example.com", "hard_bounce", "")
		a := w.letter("ada@example.com")
		d := &a.Deliveries[0]
		d.Status, d.Wait = mail.Suppressed, mail.NoWait
		d.Suppression = &mail.SuppressedBy{ID: s.ID, Public: s.ID.Text("sup"), Reason: s.Reason, Kind: s.Kind, Since: s.CreatedAt}
		d.Events = append(d.Events, w.event(mail.EventSuppressed))
		r := w.accept(a)
		equal(w, "claimed", len(w.claim(10)), 0)
		w.story(r.Row, mail.EventQueued, mail.EventSuppressed)
		got := w.delivery(a.Message.ID)
		equal(w, "status", got.Status, mail.Suppressed)
		equal(w, "suppression", got.Suppression.ID, s.ID)
		again, err := w.s.Suppression(w.ctx, w.owner, s.ID)
		w.must(err)
		equal(w, "blocked", again.BlockedCount, 1)
		equal(w, "last blocked", again.LastBlockedAt, w.now)
	}},
	{"content of every size is read back", func(w *world) {
		random := rand.NewChaCha8([32]byte{1})
		for _, size := range []int{0, 1, 4096, 4097, 100_000, 256 << 10, 256<<10 + 1, 1 << 20} {
			for _, plain := range []bool{true, false} {
				content := bytes.Repeat([]byte("postroad "), size/9+1)[:size]
				if !plain {
					_, _ = random.Read(content)
				}
				a := w.letter("ada@example.com")
				a.Content = mail.Bytes(content)
				if r := w.accept(a); !bytes.Equal(w.content(r.Row), content) {
					w.Fatalf("%d bytes (plain %v) came back changed", size, plain)
				}
			}
		}
	}},
	{"spooled content belongs to its message", func(w *world) {
		content := make([]byte, 5<<20)
		random := rand.NewChaCha8([32]byte{2})
		_, _ = random.Read(content[:len(content)/2])
		spooled, err := w.s.Spool(w.ctx, func(to io.Writer) error {
			_, err := to.Write(content)
			return err
		})
		w.must(err)
		equal(w, "size", spooled.Size(), int64(len(content)))
		a := w.letter("ada@example.com")
		a.Content = spooled
		r := w.accept(a)
		w.must(spooled.Discard()) // too late: it is the message's
		for range 2 {
			if !bytes.Equal(w.content(r.Row), content) {
				w.Fatal("5 MB came back changed")
			}
		}
	}},
	{"discarded content is gone, and a failed spool leaves nothing", func(w *world) {
		spooled, err := w.s.Spool(w.ctx, func(to io.Writer) error {
			_, err := to.Write([]byte("gone"))
			return err
		})
		w.must(err)
		w.must(spooled.Discard())
		_, err = spooled.Open()
		w.wantErr(err, mail.ErrNoContent)
		broken := errors.New("broken")
		_, err = w.s.Spool(w.ctx, func(io.Writer) error { return broken })
		w.wantErr(err, broken)
		_, err = w.s.Content(w.ctx, 4711)
		w.wantErr(err, mail.ErrNoContent)
	}},
}

func acceptReadsBack(w *world) {
	a := w.letter("ada@example.com")
	m := a.Message
	m.From.Name = "Ärger & Söhne \"GmbH\""
	m.ReplyTo = []mail.Address{{Name: "Help", Email: "help@acme.test"}}
	m.Subject = "Grüße <>&'\"\\ \u2028 🎉"
	m.RFCID = "their.own.id@elsewhere.test"
	m.Headers = []mail.Header{{Name: "X-A", Value: "1"}, {Name: "X-A", Value: "2"}}
	m.Attachments = []mail.Attachment{{Filename: "a.pdf", ContentType: "application/pdf", ContentID: "c", Inline: true, Size: 7, SHA256: [32]byte{9, 8}}}
	m.Tier, m.Topic, m.Tags = mail.Bulk, "news", []string{"a", "b"}
	m.Metadata = map[string]string{"order id": "42", "x": "y\n"}
	m.Template = mail.TemplateRef{ID: mail.NewID(w.now), Alias: "welcome", Version: 7}
	m.IdempotencyKey, m.Supersedes = "k1", "otp/1"
	m.Batch, m.ResentFrom = mail.NewID(w.now), mail.NewID(w.now)
	m.ExpiresAt, m.AcceptTime = w.now.Add(time.Hour), 3*time.Millisecond
	r := w.accept(a)
	got := w.record(m.ID)
	want := *m
	want.Row = r.Row
	equal(w, "message", fmt.Sprintf("%+v", got.Message), fmt.Sprintf("%+v", want))
	equal(w, "has content", got.HasContent, true)
	equal(w, "last event", got.LastEvent.Type, mail.EventQueued)
	equal(w, "last event's recipient", got.LastEvent.Recipient, "ada@example.com")
	byRFC, err := w.s.MessageByRFCID(w.ctx, w.owner, "<their.own.id@elsewhere.test>")
	w.must(err)
	equal(w, "by Message-ID", byRFC.Message.ID, m.ID)
	derived := w.letter("bob@example.com")
	w.accept(derived)
	byRFC, err = w.s.MessageByRFCID(w.ctx, w.owner, derived.Message.RFCID)
	w.must(err)
	equal(w, "by our Message-ID", byRFC.Message.ID, derived.Message.ID)
	equal(w, "our Message-ID", byRFC.Message.RFCID, derived.Message.RFCID)
}

var onceClauses = []clause{
	{"a used key writes nothing and gives the first answer", func(w *world) {
		a := keyed(w, w.letter("ada@example.com"), "k")
		r := w.accept(a)
		b := keyed(w, w.letter("bob@example.com"), "k")
		b.Once.Fingerprint[0] = 99
		replay := w.accept(b)
		if replay.Replayed == nil {
			w.Fatal("not replayed")
		}
		equal(w, "row", replay.Row, 0)
		equal(w, "status", replay.Replayed.Status, 202)
		equal(w, "location", replay.Replayed.Location, r.Answer.Location)
		equal(w, "body", string(replay.Replayed.Body), string(r.Answer.Body))
		equal(w, "request", replay.Replayed.RequestID, "req_k")
		equal(w, "fingerprint", replay.Replayed.Fingerprint, a.Once.Fingerprint)
		_, err := w.s.Message(w.ctx, w.owner, b.Message.ID)
		w.wantErr(err, mail.ErrNotFound)
		remembered, err := w.s.Remembered(w.ctx, w.owner, a.Once.Route, "k", w.now)
		w.must(err)
		equal(w, "remembered", string(remembered.Body), string(r.Answer.Body))
		equal(w, "claimed", len(w.claim(10)), 1)
	}},
	{"twins in one call: the second replays the first", func(w *world) {
		a, b := keyed(w, w.letter("ada@example.com"), "k"), keyed(w, w.letter("ada@example.com"), "k")
		r, err := w.s.Accept(w.ctx, []*submit.Acceptance{a, b})
		w.must(err)
		if r[0].Replayed != nil || r[1].Replayed == nil {
			w.Fatalf("got %+v", r)
		}
		equal(w, "answer", string(r[1].Replayed.Body), string(r[0].Answer.Body))
	}},
	{"a hundred twins at once are one message", func(w *world) {
		var wg sync.WaitGroup
		receipts := make([]submit.Receipt, 100)
		for i := range receipts {
			a := keyed(w, w.letter("ada@example.com"), "k")
			wg.Go(func() {
				r, err := w.s.Accept(w.ctx, []*submit.Acceptance{a})
				if err != nil {
					w.Error(err)
					return
				}
				receipts[i] = r[0]
			})
		}
		wg.Wait()
		fresh, bodies := 0, map[string]int{}
		for _, r := range receipts {
			if r.Replayed == nil {
				fresh++
				bodies[string(r.Answer.Body)]++
			} else {
				bodies[string(r.Replayed.Body)]++
			}
		}
		equal(w, "messages", fresh, 1)
		equal(w, "different answers", len(bodies), 1)
		equal(w, "claimed", len(w.claim(200)), 1)
	}},
	{"owner and route part keys; an expired key is new", func(w *world) {
		w.accept(keyed(w, w.letter("ada@example.com"), "k"))
		other := keyed(w, w.letter("ada@example.com"), "k")
		other.Once.Owner.Env = mail.Test
		route := keyed(w, w.letter("ada@example.com"), "k")
		route.Once.Route = "POST /v1/other"
		w.now = w.now.Add(24*time.Hour - time.Millisecond)
		late := keyed(w, w.letter("ada@example.com"), "k")
		for _, a := range []*submit.Acceptance{other, route} {
			if w.accept(a).Replayed != nil {
				w.Fatal("a key of another owner or route counted")
			}
		}
		if w.accept(late).Replayed == nil {
			w.Fatal("the key went before its time")
		}
		w.now = w.now.Add(time.Millisecond)
		_, err := w.s.Remembered(w.ctx, w.owner, "POST /v1/messages", "k", w.now)
		w.wantErr(err, mail.ErrNotFound)
		renewed := keyed(w, w.letter("ada@example.com"), "k")
		if w.accept(renewed).Replayed != nil {
			w.Fatal("the key outlived its time")
		}
		if w.accept(keyed(w, w.letter("ada@example.com"), "k")).Replayed == nil {
			w.Fatal("the new key does not count")
		}
	}},
	{"a key whose write failed is free", func(w *world) {
		a := keyed(w, w.letter("ada@example.com"), "k")
		a.Answer = func(submit.Receipt) mail.Answer { panic("no answer") }
		if _, err := w.s.Accept(w.ctx, []*submit.Acceptance{a}); err == nil {
			w.Fatal("accepted")
		}
		if w.accept(keyed(w, w.letter("ada@example.com"), "k")).Replayed != nil {
			w.Fatal("the key was used up")
		}
	}},
}
