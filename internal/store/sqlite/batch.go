package sqlite

import (
	"context"

	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/submit"
)

// AcceptBatch is one op, and so one commit, however many messages it has.
func (s *Store) AcceptBatch(ctx context.Context, b *submit.BatchAcceptance) (submit.BatchReceipt, error) {
	if !s.ready.Load() {
		return submit.BatchReceipt{}, errSchema
	}
	w := &batchEntry{b: b, entries: make([]*entry, 0, len(b.Items))}
	defer w.drop()
	for _, a := range b.Items {
		e, err := s.prepareEntry(ctx, a)
		if err != nil {
			return submit.BatchReceipt{}, err
		}
		e.inBatch = true
		w.entries = append(w.entries, e)
	}
	if err := s.write(ctx, w.write); err != nil {
		return submit.BatchReceipt{}, err
	}
	return w.receipt, nil
}

// batchEntry is a batch made ready outside of the writer.
type batchEntry struct {
	b       *submit.BatchAcceptance
	entries []*entry
	receipt submit.BatchReceipt
}

func (w *batchEntry) drop() {
	for _, e := range w.entries {
		e.drop()
	}
}

// write is the op. An error of one item undoes them all.
func (w *batchEntry) write(t *tx) error {
	w.receipt = submit.BatchReceipt{}
	before, err := t.once(w.b.Once)
	if err != nil {
		return err
	}
	if before != nil {
		w.receipt.Replayed = before
		return nil
	}
	w.receipt.Items = make([]submit.Receipt, len(w.entries))
	if w.receipt.Refused, err = w.refuse(t); err != nil || w.receipt.Refused {
		return err
	}
	if err := w.within(t); err != nil {
		return err
	}
	for i, e := range w.entries {
		if err := e.write(t); err != nil {
			return err
		}
		w.receipt.Items[i] = e.receipt
	}
	if w.b.Answer != nil {
		w.receipt.Answer = w.b.Answer(w.receipt.Items)
	}
	return t.remember(w.b.Once, w.receipt.Answer)
}

// within looks, before anything is written, whether the new ones fit into the day's quota.
func (w *batchEntry) within(t *tx) error {
	if len(w.b.Items) == 0 || w.b.Items[0].Quotas == (project.Quotas{}) {
		return nil
	}
	fresh := make([]*submit.Acceptance, 0, len(w.b.Items))
	for _, a := range w.b.Items {
		before, err := t.once(a.Once)
		if err != nil {
			return err
		}
		if before == nil {
			fresh = append(fresh, a)
		}
	}
	return t.within(fresh)
}

// refuse looks, before anything is written, for items whose key was used for another
// request.
func (w *batchEntry) refuse(t *tx) (bool, error) {
	reused := 0
	for i, e := range w.entries {
		before, err := t.once(e.a.Once)
		if err != nil {
			return false, err
		}
		if before != nil && before.Fingerprint != e.a.Once.Fingerprint {
			w.receipt.Items[i].Replayed = before
			reused++
		}
	}
	return w.b.RefuseAt > 0 && reused >= w.b.RefuseAt, nil
}
