package submit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// BatchRequest is several messages handed in together. The Items are complete: what the
// caller said once for all of them is in each. An item may have a key of its own, under
// the Route of a single message: then it and a message sent by itself with that key are
// the same.
type BatchRequest struct {
	Key         string // as in [Request]
	Route       string
	Fingerprint [32]byte
	RequestID   string
	Arrived     time.Time

	Items  []*Request
	Atomic bool // one bad item refuses them all
	DryRun bool

	// Answer is called once, in the commit, like that of a Request.
	Answer func(*AcceptedBatch) mail.Answer
}

// BatchItem is what became of one message of a batch: it was accepted, or was before
// (Accepted.Replayed), or is refused.
type BatchItem struct {
	*Accepted
	Err error // mail.Faults or *mail.Error; then Accepted is nil
}

// AcceptedBatch is a batch of which at least one message was accepted.
type AcceptedBatch struct {
	ID       mail.ID
	Items    []BatchItem // in the order of the request
	DryRun   bool        // nothing was stored
	Answer   mail.Answer
	Replayed bool // Answer is that of the first request; all else is zero
}

// RefusedBatch is the error of a batch nothing of which was accepted: it was atomic and
// one item bad, or all were.
type RefusedBatch struct {
	Items []BatchItem
	All   bool
}

func (r *RefusedBatch) Error() string { return "the batch was refused" }

// SubmitBatch accepts several messages in one commit. Errors are *RefusedBatch, those of
// [Service.Submit] when they concern the batch as a whole, or ours: then nothing was
// accepted.
func (s *Service) SubmitBatch(ctx context.Context, who project.Principal, r *BatchRequest) (*AcceptedBatch, error) {
	if err := s.refused(who); err != nil {
		return nil, err
	}
	if err := s.checkBatch(r); err != nil {
		return nil, err
	}
	b := &batch{s: s, who: who, r: r, id: mail.NewID(s.stamp()), items: make([]BatchItem, len(r.Items)), keys: map[string][32]byte{}}
	if err := b.prepare(ctx); err != nil {
		b.undo()
		return nil, err
	}
	if refused := b.refused(b.items); refused != nil {
		b.undo()
		return nil, refused
	}
	if r.DryRun {
		return b.preview(), nil
	}
	return b.accept(ctx)
}

func (s *Service) checkBatch(r *BatchRequest) error {
	e := &mail.Error{Field: "messages", Pointer: "#/messages"}
	switch n := len(r.Items); {
	case s.growth(r) > s.limits.BatchBytes:
		return s.tooLarge()
	case n == 0:
		e.Code, e.Message = "missing_required_field", "Give the 'messages', at least one."
	case n > s.limits.Batch:
		e.Code, e.Message = "too_many", fmt.Sprintf("At most %d messages in a batch.", s.limits.Batch)
	default:
		return nil
	}
	return mail.Faults{e}
}

// growth is what the messages have at least once the defaults are in each of them.
func (s *Service) growth(r *BatchRequest) (total int64) {
	for _, item := range r.Items {
		for _, text := range [...]*string{item.HTML, item.Text} {
			if text != nil {
				total += int64(len(*text))
			}
		}
		for i := range item.Attachments {
			total += int64(len(item.Attachments[i].Base64)) * 3 / 4
		}
	}
	return total
}

func (s *Service) tooLarge() error {
	return &mail.Error{Code: "payload_too_large", Status: 413,
		Message: fmt.Sprintf("The messages of the batch have more than %d MB together once the defaults are in each. Send several batches.", s.limits.BatchBytes>>20)}
}

// batch is one on its way to being accepted.
type batch struct {
	s   *Service
	who project.Principal
	r   *BatchRequest
	id  mail.ID

	items   []BatchItem         // what is known before the commit
	keys    map[string][32]byte // of the items so far, with their fingerprints
	bad     int
	kept    int64 // bytes of what was written
	inPlace int64 // those of them in memory

	places  []int // of what follows, in the request
	entries []*entry
	outs    []*Accepted
	accs    []*Acceptance
	leased  []int
}

// prepare judges the messages one after another and writes each that is good to where it
// is kept until the commit, so that no more than one is held besides. What is wrong is
// in items. An error is not about one message.
func (b *batch) prepare(ctx context.Context) error {
	for i := range b.r.Items {
		d, err := b.judge(ctx, i)
		switch {
		case err != nil:
			return err
		case d == nil:
		case b.r.DryRun:
			err = b.look(i, d)
		case b.bad == 0 || !b.r.Atomic:
			err = b.write(ctx, i, d)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// judge looks at one message; nil: it is refused, or was accepted before.
func (b *batch) judge(ctx context.Context, i int) (*draft, error) {
	r := b.r.Items[i]
	d := b.s.newDraft(b.who, r)
	d.message.Batch = b.id
	err := d.judge(ctx)
	if err == nil {
		err = d.screen(ctx)
	}
	if before, twin := b.keys[r.Key]; err == nil && r.Key != "" && twin && before != r.Fingerprint {
		err = keyReused()
	}
	if r.Key != "" {
		b.keys[r.Key] = r.Fingerprint
	}
	if err == nil {
		return d, nil
	}
	if !isCallers(err) {
		return nil, err
	}
	if b.items[i], err = b.s.remembered(ctx, b.who, r, err); b.items[i].Err != nil {
		b.bad++
	}
	return nil, err
}

// remembered finds out whether a message that would be refused now was accepted before
// under its key: then that answer goes before any fault.
func (s *Service) remembered(ctx context.Context, who project.Principal, r *Request, fault error) (BatchItem, error) {
	if r.Key == "" {
		return BatchItem{Err: fault}, nil
	}
	first, err := s.store.Remembered(ctx, who.Owner, r.Route, r.Key, s.now())
	switch {
	case errors.Is(err, mail.ErrNotFound):
		return BatchItem{Err: fault}, nil
	case err != nil:
		return BatchItem{}, fmt.Errorf("look up an idempotency key: %w", err)
	}
	return replayItem(&first, r.Fingerprint), nil
}

func replayItem(first *mail.Answer, fingerprint [32]byte) BatchItem {
	out, err := replay(first, fingerprint)
	return BatchItem{Accepted: out, Err: err}
}

// isCallers tells whether an error is the caller's to mend.
func isCallers(err error) bool {
	var faults mail.Faults
	var fault *mail.Error
	return errors.As(err, &faults) || errors.As(err, &fault)
}

// refused tells whether nothing of the batch may be accepted.
func (b *batch) refused(items []BatchItem) error {
	bad := 0
	for i := range items {
		if items[i].Err != nil {
			bad++
		}
	}
	if bad == 0 || bad < len(items) && !b.r.Atomic {
		return nil
	}
	return &RefusedBatch{Items: items, All: bad == len(items)}
}

// write puts a message where it is kept until the commit: in memory as long as they are
// few, then on disk.
func (b *batch) write(ctx context.Context, i int, d *draft) error {
	size := d.estimate()
	if b.kept += size; b.kept > b.s.limits.BatchBytes {
		return b.s.tooLarge()
	}
	if d.toDisk = b.inPlace+size > b.s.limits.BatchMemory; !d.toDisk {
		b.inPlace += size
	}
	e, err := d.finish(ctx)
	if err != nil {
		return err
	}
	b.places, b.entries = append(b.places, i), append(b.entries, e)
	return nil
}

// estimate is about how many bytes keeping the message takes.
func (d *draft) estimate() int64 {
	size := d.compose().EstimateSize()
	for i := range d.hosted {
		size += d.hosted[i].Size
	}
	return size
}

// accept commits what was written and hands on what it leased.
func (b *batch) accept(ctx context.Context) (*AcceptedBatch, error) {
	for _, e := range b.entries {
		out := e.accepted()
		if e.key == "" && e.same == nil {
			e.answer = nil // nobody will ask for the answer of this one alone
		}
		a := b.s.acceptance(e, out)
		b.outs, b.accs, b.leased = append(b.outs, out), append(b.accs, a), append(b.leased, b.s.reserve(a))
	}
	receipt, err := b.s.store.AcceptBatch(context.WithoutCancel(ctx), b.acceptance())
	if err == nil && receipt.Replayed == nil && len(receipt.Items) != len(b.accs) {
		err = errors.New("the store gave too few receipts")
	}
	switch {
	case err != nil:
		b.undo()
		return nil, fmt.Errorf("accept a batch: %w", err)
	case receipt.Replayed != nil:
		b.undo()
		item := replayItem(receipt.Replayed, b.r.Fingerprint)
		if item.Err != nil {
			return nil, item.Err
		}
		return &AcceptedBatch{Answer: item.Answer, Replayed: true}, nil
	}
	result := b.settle(receipt.Items)
	if receipt.Refused {
		b.undo()
		return nil, b.refused(result.Items)
	}
	result.Answer = receipt.Answer
	for i := range b.accs {
		if r := &receipt.Items[i]; r.Replayed != nil {
			b.s.undo(b.accs[i], b.leased[i])
		} else {
			b.s.handOn(b.accs[i], b.outs[i], r, b.leased[i])
		}
	}
	return result, nil
}

func (b *batch) acceptance() *BatchAcceptance {
	out := &BatchAcceptance{Items: b.accs, RefuseAt: b.refuseAt()}
	if b.r.Key != "" {
		now := b.s.stamp()
		out.Once = &mail.Once{Owner: b.who.Owner, Route: b.r.Route, Key: b.r.Key, Fingerprint: b.r.Fingerprint, RequestID: b.r.RequestID, Created: now, Expires: now.Add(replayTime)}
		for _, e := range b.entries {
			if until := e.forgottenAt(); until.After(out.Once.Expires) {
				out.Once.Expires = until
			}
		}
	}
	if b.r.Answer != nil {
		out.Answer = func(receipts []Receipt) mail.Answer { return b.r.Answer(b.settle(receipts)) }
	}
	return out
}

// refuseAt is how many more bad items would leave nothing to accept.
func (b *batch) refuseAt() int {
	if b.r.Atomic {
		return 1
	}
	for i := range b.items {
		if b.items[i].Accepted != nil {
			return 0 // one was accepted before: that is told in any case
		}
	}
	return len(b.accs)
}

// settle puts what the commit tells beside what was known before. A commit that was
// rolled back may call it again.
func (b *batch) settle(receipts []Receipt) *AcceptedBatch {
	result := &AcceptedBatch{ID: b.id, Items: append([]BatchItem(nil), b.items...)}
	for i, place := range b.places {
		r := &receipts[i]
		if r.Replayed != nil {
			again, err := b.entries[i].replay(r.Replayed)
			result.Items[place] = BatchItem{Accepted: again, Err: err}
			continue
		}
		if r.Row != 0 { // zero: the batch was refused
			b.outs[i].take(r)
			b.outs[i].Answer = r.Answer
		}
		result.Items[place] = BatchItem{Accepted: b.outs[i]}
	}
	return result
}

// undo gives back all that the batch had taken.
func (b *batch) undo() {
	for i, e := range b.entries {
		if i < len(b.accs) {
			b.s.undo(b.accs[i], b.leased[i])
			continue
		}
		b.s.discard(e.content)
		b.s.discardFiles(e.files)
	}
}

// look is what a dry run does instead of write.
func (b *batch) look(i int, d *draft) error {
	d.r.Answer = nil
	shown, err := d.preview()
	if err != nil {
		return err
	}
	shown.Preview = &Preview{Size: shown.Preview.Size} // a thousand bodies are not shown
	b.items[i] = BatchItem{Accepted: shown}
	return nil
}

// preview is the answer of a dry run.
func (b *batch) preview() *AcceptedBatch {
	out := &AcceptedBatch{ID: b.id, Items: b.items, DryRun: true}
	if b.r.Answer != nil {
		out.Answer = b.r.Answer(out)
	}
	return out
}
