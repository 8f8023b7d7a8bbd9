package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/submit"
)

// parcel makes a batch of these letters, with a key when one is named.
func (w *world) parcel(key string, items ...*submit.Acceptance) *submit.BatchAcceptance {
	b := &submit.BatchAcceptance{Items: items, Answer: func(r []submit.Receipt) mail.Answer {
		return mail.Answer{Status: 202, Location: "/v1/messages?batch_id=x", Body: fmt.Appendf(nil, `{"items":%d}`, len(r))}
	}}
	if key != "" {
		b.Once = w.once(key)
		b.Once.Route = "POST /v1/messages/batch"
	}
	return b
}

func (w *world) acceptBatch(b *submit.BatchAcceptance) submit.BatchReceipt {
	w.Helper()
	r, err := w.s.AcceptBatch(w.ctx, b)
	w.must(err)
	return r
}

var batchClauses = []clause{
	{"a batch is accepted as its letters would be", func(w *world) {
		id := mail.NewID(w.now)
		items := []*submit.Acceptance{w.letter("ada@example.com", "bob@example.com"), leased(w.letter("cy@example.com"))}
		items[0].Message.Batch, items[1].Message.Batch = id, id
		r := w.acceptBatch(w.parcel("", items...))
		equal(w, "receipts", len(r.Items), 2)
		equal(w, "answer", string(r.Answer.Body), `{"items":2}`)
		equal(w, "leases", r.Items[1].Leases[0].Delivery, r.Items[1].Deliveries[0])
		for i, a := range items {
			got := w.record(a.Message.ID)
			equal(w, "row", got.Message.Row, r.Items[i].Row)
			equal(w, "batch", got.Message.Batch, id)
		}
		equalList(w, "claimed", addresses(w.claim(10)), []string{"ada@example.com", "bob@example.com"})
	}},
	{"a batch is replayed by its own key", func(w *world) {
		a := w.letter("ada@example.com")
		w.acceptBatch(w.parcel("k", a))
		again := w.letter("bob@example.com")
		r := w.acceptBatch(w.parcel("k", again))
		equal(w, "replayed", string(r.Replayed.Body), `{"items":1}`)
		equal(w, "location", r.Replayed.Location, "/v1/messages?batch_id=x")
		equal(w, "receipts", len(r.Items), 0)
		_, err := w.s.Message(w.ctx, w.owner, again.Message.ID)
		w.wantErr(err, mail.ErrNotFound)
	}},
	{"a batch and single letters share the keys of letters", func(w *world) {
		single := keyed(w, w.letter("ada@example.com"), "a")
		w.accept(single)
		r := w.acceptBatch(w.parcel("", keyed(w, w.letter("x@example.com"), "a"), keyed(w, w.letter("bob@example.com"), "b"), keyed(w, w.letter("y@example.com"), "b")))
		equal(w, "of the single letter", r.Items[0].Replayed.Location, "/v1/messages/"+single.Message.ID.Text("msg"))
		equal(w, "of its own", r.Items[1].Replayed == nil, true)
		equal(w, "of the batch itself", r.Items[2].Replayed.Location, r.Items[1].Answer.Location)
		again := w.accept(keyed(w, w.letter("z@example.com"), "b"))
		equal(w, "of the batch", again.Replayed.Location, r.Items[1].Answer.Location)
		equalList(w, "claimed", addresses(w.claim(10)), []string{"ada@example.com", "bob@example.com"})
	}},
	{"as many used keys as are named refuse a batch, fewer do not", func(w *world) {
		w.accept(keyed(w, w.letter("ada@example.com"), "a"))
		other := func(to string) *submit.Acceptance {
			a := keyed(w, w.letter(to), "a")
			a.Once.Fingerprint = [32]byte{9}
			return a
		}
		b := w.parcel("k", w.letter("bob@example.com"), other("x@example.com"))
		b.RefuseAt = 1
		r := w.acceptBatch(b)
		equal(w, "refused", r.Refused, true)
		equal(w, "by the second", r.Items[0].Replayed == nil && r.Items[1].Replayed != nil, true)
		equal(w, "claimed", len(w.claim(10)), 1)
		b.RefuseAt = 2
		r = w.acceptBatch(b) // nothing was kept under its key
		equal(w, "refused", r.Refused, false)
		equalList(w, "claimed", addresses(w.claim(10)), []string{"bob@example.com"})
	}},
	{"a batch that cannot be written leaves nothing", func(w *world) {
		first := w.letter("ada@example.com")
		w.accept(first)
		good, twin := w.letter("bob@example.com"), w.letter("cy@example.com")
		twin.Message.ID = first.Message.ID
		if _, err := w.s.AcceptBatch(w.ctx, w.parcel("k", good, twin)); err == nil {
			w.Fatal("an ID that was used before was accepted")
		}
		_, err := w.s.Message(w.ctx, w.owner, good.Message.ID)
		w.wantErr(err, mail.ErrNotFound)
		_, err = w.s.Remembered(w.ctx, w.owner, "POST /v1/messages/batch", "k", w.now)
		w.wantErr(err, mail.ErrNotFound)
		equal(w, "claimed", len(w.claim(10)), 1)
	}},
}

// file spools a hosted file for a letter.
func (w *world) file(a *submit.Acceptance, content string, until time.Time) mail.ID {
	w.Helper()
	spooled, err := w.s.SpoolFile(w.ctx, func(to io.Writer) error {
		_, err := io.WriteString(to, content)
		return err
	})
	w.must(err)
	equal(w, "size", spooled.Size(), int64(len(content)))
	f := mail.File{ID: mail.NewID(w.now), Owner: w.owner, Filename: "a.txt", ContentType: "text/plain", Size: int64(len(content)), SHA256: [32]byte{1, 2}, CreatedAt: w.now, ExpiresAt: until}
	a.Files = append(a.Files, submit.NewFile{File: f, Content: spooled})
	return f.ID
}

func (w *world) fileContent(id mail.ID) string {
	w.Helper()
	_, r, err := w.s.OpenFile(w.ctx, id)
	w.must(err)
	defer r.Close()
	b, err := io.ReadAll(r)
	w.must(err)
	return string(b)
}

var fileClauses = []clause{
	{"a hosted file belongs to its message and is read at any place", func(w *world) {
		a := w.letter("ada@example.com")
		id := w.file(a, "hello world", w.now.Add(time.Hour))
		row := w.accept(a).Row
		w.must(a.Files[0].Content.Discard()) // too late: it is the message's
		f, r, err := w.s.OpenFile(w.ctx, id)
		w.must(err)
		defer r.Close()
		want := a.Files[0].File
		want.Message = row
		equal(w, "file", f, want)
		_, err = r.Seek(6, io.SeekStart)
		w.must(err)
		b, err := io.ReadAll(r)
		w.must(err)
		equal(w, "the end", string(b), "world")
	}},
	{"a file whose message is a replay can be discarded", func(w *world) {
		w.accept(keyed(w, w.letter("ada@example.com"), "a"))
		twin := keyed(w, w.letter("ada@example.com"), "a")
		id := w.file(twin, "x", w.now.Add(time.Hour))
		equal(w, "replayed", w.accept(twin).Replayed != nil, true)
		w.must(twin.Files[0].Content.Discard())
		_, _, err := w.s.OpenFile(w.ctx, id)
		w.wantErr(err, mail.ErrNotFound)
		_, err = twin.Files[0].Content.Open()
		w.wantErr(err, mail.ErrNoContent)
	}},
	{"files go when they expire, and not before", func(w *world) {
		a, b := w.letter("ada@example.com"), w.letter("bob@example.com")
		soon, late := w.file(a, "soon", w.now.Add(time.Hour)), w.file(b, "late", w.now.Add(time.Hour+time.Second))
		w.acceptBatch(w.parcel("", a, b))
		for _, c := range []struct {
			after time.Duration
			gone  int
		}{{time.Hour - time.Microsecond, 0}, {time.Hour, 1}, {time.Hour, 0}} {
			n, err := w.s.SweepFiles(w.ctx, w.now.Add(c.after))
			w.must(err)
			equal(w, "swept", n, c.gone)
		}
		_, _, err := w.s.OpenFile(w.ctx, soon)
		w.wantErr(err, mail.ErrNotFound)
		equal(w, "the other", w.fileContent(late), "late")
	}},
	{"the files of one message are deleted without those of others", func(w *world) {
		a, b := w.letter("ada@example.com"), w.letter("bob@example.com")
		one, two, other := w.file(a, "1", w.now.Add(time.Hour)), w.file(a, "2", w.now.Add(time.Hour)), w.file(b, "3", w.now.Add(time.Hour))
		row := w.accept(a).Row
		w.accept(b)
		for _, want := range []int{2, 0} {
			n, err := w.s.DeleteFiles(w.ctx, row)
			w.must(err)
			equal(w, "deleted", n, want)
		}
		for _, id := range []mail.ID{one, two} {
			_, _, err := w.s.OpenFile(w.ctx, id)
			w.wantErr(err, mail.ErrNotFound)
		}
		equal(w, "the other's", w.fileContent(other), "3")
	}},
	{"erasing a recipient removes the files of the message, retention of contents does not", func(w *world) {
		w.keeps(0, 1)
		a, b := w.letter("ada@example.com", "bob@example.com"), w.letter("cy@example.com")
		erased, kept := w.file(a, "1", w.now.Add(100*day)), w.file(b, "2", w.now.Add(100*day))
		w.accept(a) // still waits for both
		w.arrived(b)
		w.forget()
		w.now = w.now.Add(11 * time.Second) // no longer held up by the one before it
		w.forget()
		w.hasContent(b.Message.ID, false)
		equal(w, "a link outlives the content", w.fileContent(kept), "2")
		w.order("ada@example.com", false)
		w.erase()
		_, _, err := w.s.OpenFile(w.ctx, erased)
		w.wantErr(err, mail.ErrNotFound)
		equal(w, "the other's", w.fileContent(kept), "2")
	}},
	{"a file that cannot be written leaves nothing, and content of another kind is no file", func(w *world) {
		broken := errors.New("the source broke")
		_, err := w.s.SpoolFile(w.ctx, func(to io.Writer) error {
			_, _ = to.Write(bytes.Repeat([]byte("x"), 1000))
			return broken
		})
		w.wantErr(err, broken)
		a := w.letter("ada@example.com")
		id := w.file(a, "x", w.now)
		body, err := w.s.Spool(w.ctx, func(to io.Writer) error { _, err := to.Write([]byte("x")); return err })
		w.must(err)
		a.Files[0].Content = body
		if _, err := w.s.Accept(w.ctx, []*submit.Acceptance{a}); err == nil {
			w.Fatal("a body was taken for a file")
		}
		_, _, err = w.s.OpenFile(w.ctx, id)
		w.wantErr(err, mail.ErrNotFound)
	}},
}
