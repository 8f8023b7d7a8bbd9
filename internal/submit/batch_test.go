package submit_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/submit"
)

// parcel is a batch of usual requests to these addresses.
func parcel(to ...string) *submit.BatchRequest {
	b := &submit.BatchRequest{Route: "POST /v1/messages/batch", Arrived: noon, Answer: func(a *submit.AcceptedBatch) mail.Answer {
		return mail.Answer{Status: 202, Body: fmt.Appendf(nil, "%d items", len(a.Items))}
	}}
	for _, address_ := range to {
		r := request()
		r.To[0].Text, r.Route = address_, "POST /v1/messages"
		b.Items = append(b.Items, r)
	}
	return b
}

func keyedItem(b *submit.BatchRequest, i int, key, content string) {
	b.Items[i].Key, b.Items[i].Fingerprint = key, sha256.Sum256([]byte(content))
}

// told is what each item of a batch was told, in one word.
func told(items []submit.BatchItem) (out []string) {
	for _, item := range items {
		var faults mail.Faults
		var fault *mail.Error
		switch {
		case errors.As(item.Err, &faults):
			out = append(out, faults[0].Code)
		case errors.As(item.Err, &fault):
			out = append(out, fault.Code)
		case item.Replayed:
			out = append(out, "replayed")
		default:
			out = append(out, item.Deliveries[0].Status.String())
		}
	}
	return out
}

func TestABatchLeavesOnTheFastPath(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.dispatcher.room = 2
	out, err := w.SubmitBatch(t.Context(), w.who, parcel("a@customer.io", "bad@", "suppressed@sandbox.test", "b@customer.io", "c@customer.io"))
	if err != nil {
		t.Fatal(err)
	}
	if got := told(out.Items); !reflect.DeepEqual(got, []string{"queued", "invalid_email", "suppressed", "queued", "queued"}) {
		t.Errorf("%q", got)
	}
	if len(w.store.batches) != 1 || len(w.store.accepted) != 4 || string(out.Answer.Body) != "5 items" {
		t.Errorf("%d batches, %d accepted, %q", len(w.store.batches), len(w.store.accepted), out.Answer.Body)
	}
	if len(w.dispatcher.works) != 2 || w.dispatcher.works[0].Lease.Token != 7 || w.dispatcher.works[0].Message.Row == 0 || len(w.dispatcher.waiting) != 1 {
		t.Errorf("%d works, waiting %q", len(w.dispatcher.works), w.dispatcher.waiting)
	}
	for _, a := range w.store.accepted {
		if a.Message.Batch != out.ID || out.ID.IsZero() || a.Answer != nil {
			t.Errorf("%+v", a.Message)
		}
	}
}

func TestWhatIsNotAcceptedGivesBackAllItTook(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("line\n", 60_000)
	for name, c := range map[string]struct {
		set     func(*world, *submit.BatchRequest)
		items   []string // nil: an error of ours
		spooled int
	}{
		"atomic and bad at the end": {func(_ *world, b *submit.BatchRequest) { b.Atomic = true; b.Items[2].To[0].Text = "bad@" }, []string{"", "", "invalid_email"}, 2},
		"atomic and bad at first":   {func(_ *world, b *submit.BatchRequest) { b.Atomic = true; b.Items[0].To[0].Text = "bad@" }, []string{"invalid_email", "", ""}, 0},
		"an atomic one's key is used meanwhile": {func(w *world, b *submit.BatchRequest) {
			b.Atomic = true
			keyedItem(b, 1, "k", "new")
			w.store.once = map[string]mail.Answer{"k": {Fingerprint: sha256.Sum256([]byte("old"))}}
		}, []string{"queued", "idempotency_key_reused", "queued"}, 3},
		"all keys are used": {func(w *world, b *submit.BatchRequest) {
			for i := range b.Items {
				keyedItem(b, i, "k", "new")
			}
			w.store.once = map[string]mail.Answer{"k": {Fingerprint: sha256.Sum256([]byte("old"))}}
		}, []string{"idempotency_key_reused", "idempotency_key_reused", "idempotency_key_reused"}, 3},
		"the store fails": {func(w *world, _ *submit.BatchRequest) { w.store.acceptErr = errOurs }, nil, 3},
		"no receipts":     {func(w *world, _ *submit.BatchRequest) { w.store.noReceipt = true }, nil, 3},
		"ours at the end": {func(_ *world, b *submit.BatchRequest) { b.Items[2].From.Text = "a@ill.test" }, nil, 2},
	} {
		w, b := newWorld(t), parcel("a@customer.io", "b@customer.io", "c@customer.io")
		for _, item := range b.Items {
			item.Text = &big
		}
		c.set(w, b)
		out, err := w.SubmitBatch(t.Context(), w.who, b)
		var refused *submit.RefusedBatch
		switch errors.As(err, &refused); {
		case err == nil || out != nil || (refused == nil) != (c.items == nil):
			t.Errorf("%s: %+v, %v", name, out, err)
		case refused != nil:
			for i, item := range refused.Items {
				if item.Err != nil && told(refused.Items[i : i+1])[0] != c.items[i] || item.Err == nil && c.items[i] != "" && c.items[i] != "queued" {
					t.Errorf("%s: %d: %v", name, i, item.Err)
				}
			}
		}
		if len(w.store.spooled) != c.spooled {
			t.Errorf("%s: %d spooled", name, len(w.store.spooled))
		}
		for _, s := range w.store.spooled {
			if s.discarded != 1 {
				t.Errorf("%s: discarded %d times", name, s.discarded)
			}
		}
		if d := w.dispatcher; d.reserved != d.released || len(d.works)+len(d.waiting) > 0 || len(w.store.accepted) > 0 {
			t.Errorf("%s: reserved %d, released %d", name, d.reserved, d.released)
		}
	}
}

func TestKeysOfItemsReplayBesideNewOnes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	single := request()
	single.Key, single.Fingerprint = "a", sha256.Sum256([]byte("A"))
	first, err := w.Submit(t.Context(), w.who, single)
	if err != nil {
		t.Fatal(err)
	}
	b := parcel("x@customer.io", "y@customer.io", "y@customer.io", "z@customer.io", "bad@")
	keyedItem(b, 0, "a", "A")
	keyedItem(b, 1, "b", "B")
	keyedItem(b, 2, "b", "B")
	keyedItem(b, 3, "b", "other")
	keyedItem(b, 4, "a", "A") // would be refused now, but was accepted once
	out, err := w.SubmitBatch(t.Context(), w.who, b)
	if err != nil {
		t.Fatal(err)
	}
	if got := told(out.Items); !reflect.DeepEqual(got, []string{"replayed", "queued", "replayed", "idempotency_key_reused", "replayed"}) {
		t.Errorf("%q", got)
	}
	if string(out.Items[0].Answer.Body) != string(first.Answer.Body) || len(w.store.accepted) != 2 {
		t.Errorf("%q, %d accepted", out.Items[0].Answer.Body, len(w.store.accepted))
	}
	if d := w.dispatcher; len(d.works) != 2 || d.reserved-d.released != 2 {
		t.Errorf("%d works, reserved %d, released %d", len(d.works), d.reserved, d.released)
	}
}

func TestABatchKeepsOnlySoMuchInMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Service = submit.NewService(submit.Options{Store: w.store, Domains: domains{"acme.test": "verified"}, Limits: submit.Limits{BatchMemory: 4 << 10, BatchBytes: 32 << 10, Batch: 20}})
	b := parcel(make([]string, 10)...)
	kb := strings.Repeat("x\n", 512)
	for i, item := range b.Items {
		item.To[0].Text, item.Text = fmt.Sprintf("u%d@customer.io", i), &kb
	}
	out, err := w.SubmitBatch(t.Context(), w.who, b)
	if err != nil || len(out.Items) != 10 || len(w.store.spooled) < 5 || len(w.store.spooled) > 9 {
		t.Errorf("%d spooled, %v", len(w.store.spooled), err)
	}
	var fault *mail.Error
	kb = strings.Repeat(kb, 5)
	if _, err := w.SubmitBatch(t.Context(), w.who, b); !errors.As(err, &fault) || fault.Status != 413 {
		t.Errorf("got %v", err)
	}
	if _, err := w.SubmitBatch(t.Context(), w.who, parcel(make([]string, 21)...)); !reflect.DeepEqual(faultsOf(t, err), []string{"too_many #/messages"}) {
		t.Errorf("got %v", err)
	}
	w.who.Project.Suspended = true
	if _, err := w.SubmitBatch(t.Context(), w.who, b); !errors.As(err, &fault) || fault.Code != "project_suspended" {
		t.Errorf("got %v", err)
	}
}

func BenchmarkSubmitBatch(b *testing.B) {
	w := newWorld(b)
	w.Service = submit.NewService(submit.Options{Store: nullStore{}, Dispatcher: nullDispatcher{}, Domains: domains{"acme.test": "verified"}})
	to := make([]string, 1000)
	for i := range to {
		to[i] = fmt.Sprintf("u%d@customer.io", i)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.SubmitBatch(b.Context(), w.who, parcel(to...)); err != nil {
			b.Fatal(err)
		}
	}
}
