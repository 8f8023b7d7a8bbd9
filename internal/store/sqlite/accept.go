package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/submit"
)

// Accept makes acceptances true. Each is an op of its own, so one's failure is not
// another's; handed in together, they stand in one commit as a rule. When some fail,
// their receipts are zero and the errors come joined.
func (s *Store) Accept(ctx context.Context, batch []*submit.Acceptance) ([]submit.Receipt, error) {
	if !s.ready.Load() {
		return nil, errSchema
	}
	if len(batch) == 1 {
		r, err := s.acceptOne(ctx, batch[0])
		return []submit.Receipt{r}, err
	}
	entries := make([]*entry, 0, len(batch))
	defer func() {
		for _, e := range entries {
			e.drop()
		}
	}()
	for _, a := range batch {
		e, err := s.prepareEntry(ctx, a)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	ops := make([]*op, len(entries))
	for i, e := range entries {
		ops[i] = newOp(e.write, false)
	}
	if err := s.writer.add(ops...); err != nil {
		return nil, err
	}
	receipts := make([]submit.Receipt, len(batch))
	var errs []error
	for i, o := range ops {
		if err := o.wait(ctx); err != nil {
			errs = append(errs, err)
			continue
		}
		receipts[i] = entries[i].receipt
	}
	return receipts, errors.Join(errs...)
}

func (s *Store) acceptOne(ctx context.Context, a *submit.Acceptance) (submit.Receipt, error) {
	e, err := s.prepareEntry(ctx, a)
	if err != nil {
		return submit.Receipt{}, err
	}
	defer e.drop()
	if err := s.write(ctx, e.write); err != nil {
		return submit.Receipt{}, err
	}
	return e.receipt, nil
}

// entry is an acceptance made ready outside of the writer: all that is to be written
// is encoded, so that the transaction only binds.
type entry struct {
	a          *submit.Acceptance
	body       body
	facts      string
	rfcID      string
	deliveries []entryDelivery
	receipt    submit.Receipt
	inBatch    bool // its quota was looked at with the others'
}

type entryDelivery struct {
	address string // folded
	queue   string // where it waits; "" when it does not
	facts   string
	state   string
	details []string // of its events
}

func (s *Store) prepareEntry(ctx context.Context, a *submit.Acceptance) (*entry, error) {
	body, err := s.prepareBody(ctx, a.Content)
	if err != nil {
		return nil, fmt.Errorf("store the content: %w", err)
	}
	m := a.Message
	e := &entry{a: a, body: body, deliveries: make([]entryDelivery, len(a.Deliveries))}
	buf := make([]byte, 0, 512+len(a.Deliveries)*256)
	// Texts that were cut from buf stay good when it grows: it is only appended to.
	cut := func(from int) string { return unsafe.String(unsafe.SliceData(buf[from:]), len(buf)-from) }
	buf = appendMessageFacts(buf, m)
	e.facts = cut(0)
	if !isDerivedRFCID(m) {
		e.rfcID = m.RFCID
	}
	for i := range a.Deliveries {
		d, out := &a.Deliveries[i], &e.deliveries[i]
		out.address = mail.FoldAddress(d.Address)
		from := len(buf)
		if buf = appendDeliveryFacts(buf, &d.Delivery, out.address); len(buf) > from {
			out.facts = cut(from)
		}
		if d.Suppression != nil || d.Bounce != nil || d.Site != "" {
			from = len(buf)
			buf = appendState(buf, &state{Site: d.Site, Bounce: d.Bounce, Suppression: d.Suppression})
			out.state = cut(from)
		}
		if !d.Status.Final() && !d.Leased {
			out.queue = queueOf(m, &d.Delivery)
		}
		if len(d.Events) > 0 {
			out.details = make([]string, len(d.Events))
		}
		for j := range d.Events {
			from = len(buf)
			buf = appendDetail(buf, &d.Events[j].Detail)
			out.details[j] = cut(from)
		}
	}
	return e, nil
}

func queueOf(m *mail.Message, d *mail.Delivery) string {
	destination := d.Destination
	if destination == "" {
		destination = mail.Address{Email: d.Address}.Domain()
	}
	return queueKey(m.Owner, d.Tier, mail.FoldAddress(destination))
}

func isDerivedRFCID(m *mail.Message) bool {
	if m.RFCID == "" {
		return true
	}
	domain := m.SendingDomain()
	if len(m.RFCID) != 37+len(domain) || m.RFCID[37:] != domain || m.RFCID[36] != '@' {
		return false
	}
	var uuid [36]byte
	return string(appendUUID(uuid[:0], m.ID)) == m.RFCID[:36]
}

func (e *entry) drop() {
	if e.body.file != nil && !e.body.file.adopted.Load() {
		e.body.dropOwn()
	}
}

// write is the op.
func (e *entry) write(t *tx) error {
	a := e.a
	e.receipt = submit.Receipt{}
	before, err := t.once(a.Once)
	if err != nil {
		return err
	}
	if before != nil {
		e.receipt.Replayed = before
		return nil
	}
	if !e.inBatch {
		if err := t.within([]*submit.Acceptance{a}); err != nil {
			return err
		}
	}
	if err := e.admit(t); err != nil {
		return err
	}
	if err := e.supersede(t); err != nil {
		return err
	}
	if err := e.writeMessage(t); err != nil {
		return err
	}
	for i := range a.Files {
		if err := e.writeFile(t, &a.Files[i]); err != nil {
			return err
		}
	}
	for i := range a.Deliveries {
		if err := e.writeDelivery(t, i); err != nil {
			return err
		}
	}
	if keep := a.Message.ContentSeconds; keep != nil {
		from := max(micros(a.Message.CreatedAt), micros(a.Message.ScheduledAt))
		if err := t.revisit(from+*keep*time.Second.Microseconds(), forgetContent, e.receipt.Row); err != nil {
			return err
		}
	}
	if a.Answer != nil {
		e.receipt.Answer = a.Answer(e.receipt)
	}
	return t.remember(a.Once, e.receipt.Answer)
}

// admit gives out the numbers and looks whether the message can enter at all.
func (e *entry) admit(t *tx) error {
	a := e.a
	if len(a.Deliveries) == 0 {
		return errors.New("a message without deliveries")
	}
	e.receipt.Row = t.now.message
	t.now.message++
	e.receipt.Deliveries = make([]int64, len(a.Deliveries))
	for i := range a.Deliveries {
		e.receipt.Deliveries[i] = t.now.delivery
		t.now.delivery++
	}
	return nil
}

func (e *entry) writeMessage(t *tx) error {
	m := e.a.Message
	b := bind(t.s.message)
	b.int(e.receipt.Row)
	b.id(m.ID)
	b.int(ownerKey(m.Owner))
	created := micros(m.CreatedAt)
	b.int(created)
	b.int(e.receipt.Deliveries[0])
	b.int(int64(len(e.receipt.Deliveries)))
	b.textOrNull(e.rfcID)
	b.textOrNull(m.IdempotencyKey)
	b.textOrNull(m.Supersedes)
	b.idOrNull(m.Batch)
	b.text(e.facts)
	if err := t.exec(b.s); err != nil {
		return fmt.Errorf("insert a message: %w", err)
	}
	t.now.tail.extend(e.receipt.Row, created)
	if err := t.use(m, len(e.receipt.Deliveries)); err != nil {
		return err
	}

	b = bind(t.s.body)
	b.int(e.receipt.Row)
	b.int(e.body.kind)
	b.int(e.body.size)
	b.bytes(e.body.bytes)
	if e.body.file != nil {
		t.files = append(t.files, e.body.file)
	}
	if err := t.exec(b.s); err != nil {
		return fmt.Errorf("insert a content: %w", err)
	}
	return t.keepKey(e.receipt.Row, &e.body.key)
}

func (e *entry) writeDelivery(t *tx, i int) error {
	a, d, out := e.a, &e.a.Deliveries[i], &e.deliveries[i]
	m := a.Message
	row := e.receipt.Deliveries[i]
	chain := eventChain{message: e.receipt.Row, delivery: row, owner: ownerKey(m.Owner)}
	for j := 0; j < i; j++ {
		chain.sequence += int64(len(a.Deliveries[j].Events))
	}
	for j := range d.Events {
		if err := t.addEvent(&chain, &d.Events[j], out.details[j]); err != nil {
			return err
		}
	}

	p := place{wait: d.Wait, due: micros(d.Due)}
	if p.due == 0 {
		p.due = micros(m.CreatedAt)
	}
	switch {
	case d.Status.Final():
		p.wait = mail.NoWait
		p.done = micros(m.CreatedAt)
	case d.Leased:
		if err := e.lease(t, i, &p); err != nil {
			return err
		}
	default:
		p.enter(d.Status, out.queue)
		t.heads = append(t.heads, headChange{key: out.queue, due: p.due})
		t.now.depth.add(d.Tier, p.wait, 1)
	}
	if err := e.insertDelivery(t, i, &p, &chain); err != nil {
		return err
	}
	if d.Status == mail.Suppressed && d.Suppression != nil {
		return t.countBlocked(m.Owner, d.Suppression.ID, micros(m.CreatedAt))
	}
	return nil
}

// place is where a new delivery stands.
type place struct {
	wait             mail.Wait
	due, done        int64
	queue            string
	until, token, by int64
}

func (p *place) enter(status mail.Status, queue string) {
	p.queue = queue
	if p.wait == mail.NoWait {
		p.wait = mail.WaitNew
		if status == mail.Scheduled {
			p.wait = mail.WaitScheduled
		}
	}
}

// lease takes the delivery's lease for the node that accepts it.
func (e *entry) lease(t *tx, i int, p *place) (err error) {
	if e.receipt.Leases == nil {
		e.receipt.Leases = make([]mail.Lease, len(e.receipt.Deliveries))
	}
	if p.by, err = t.node(e.a.Lease.Node); err != nil {
		return err
	}
	p.wait, p.until, p.token = mail.NoWait, micros(e.a.Lease.Until), t.nextToken()
	e.receipt.Leases[i] = mail.Lease{Delivery: e.receipt.Deliveries[i], Token: p.token, Until: e.a.Lease.Until}
	t.now.depth.add(e.a.Deliveries[i].Tier, mail.NoWait, 1)
	return nil
}

func (e *entry) insertDelivery(t *tx, i int, p *place, chain *eventChain) error {
	m, d, out := e.a.Message, &e.a.Deliveries[i], &e.deliveries[i]
	b := bind(t.s.delivery)
	b.int(chain.delivery)
	b.id(d.ID)
	b.int(chain.message)
	b.int(chain.owner)
	b.text(out.address)
	b.int(int64(len(e.deliveries)))
	b.int(int64(d.Tier))
	b.int(int64(d.Status))
	b.int(int64(p.wait))
	b.int(p.due)
	b.textOrNull(p.queue)
	b.intOrNull(p.until)
	b.intOrNull(p.token)
	b.intOrNull(p.by)
	b.int(chain.count)
	b.intOrNull(chain.last)
	b.intOrNull(p.done)
	if d.Status.Final() {
		b.textOrNull("")
	} else {
		b.textOrNull(m.Supersedes)
	}
	b.textOrNull(out.facts)
	b.textOrNull(out.state)
	if err := t.exec(b.s); err != nil {
		return fmt.Errorf("insert a delivery: %w", err)
	}
	return nil
}
