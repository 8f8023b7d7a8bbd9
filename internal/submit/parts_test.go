package submit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/submit"
)

var noon = time.Date(2026, 4, 19, 12, 0, 0, 0, time.UTC)

// fakeStore keeps what it is given in memory and fails where it is told to.
type fakeStore struct {
	mu         sync.Mutex
	accepted   []*submit.Acceptance
	once       map[string]mail.Answer
	suppressed map[string]mail.Suppression
	looked     [][]string // addresses of each suppression look-up
	spooled    []*spooled
	files      []*spooled
	batches    []*submit.BatchAcceptance
	superseded []mail.ID
	rows       int64

	acceptErr, suppressedErr, spoolErr error
	noReceipt                          bool
}

type spooled struct {
	mail.Bytes
	discarded int
}

func (s *spooled) Discard() error { s.discarded++; return nil }

func (f *fakeStore) Accept(_ context.Context, batch []*submit.Acceptance) ([]submit.Receipt, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.acceptErr != nil || f.noReceipt {
		return nil, f.acceptErr
	}
	var receipts []submit.Receipt
	for _, a := range batch {
		if a.Once != nil {
			if first, ok := f.once[a.Once.Key]; ok {
				receipts = append(receipts, submit.Receipt{Replayed: &first})
				continue
			}
		}
		f.rows++
		r := submit.Receipt{Row: f.rows, Superseded: f.superseded, Leases: make([]mail.Lease, len(a.Deliveries))}
		for i, d := range a.Deliveries {
			row := f.rows*100 + int64(i)
			r.Deliveries = append(r.Deliveries, row)
			if d.Leased {
				r.Leases[i] = mail.Lease{Delivery: row, Token: 7, Until: a.Lease.Until}
			}
		}
		if a.Answer != nil {
			r.Answer = a.Answer(r)
		}
		if a.Once != nil {
			if f.once == nil {
				f.once = map[string]mail.Answer{}
			}
			r.Answer.Fingerprint = a.Once.Fingerprint
			f.once[a.Once.Key] = r.Answer
		}
		f.accepted = append(f.accepted, a)
		receipts = append(receipts, r)
	}
	return receipts, nil
}

func (f *fakeStore) AcceptBatch(ctx context.Context, b *submit.BatchAcceptance) (r submit.BatchReceipt, err error) {
	f.batches = append(f.batches, b)
	if b.Once != nil {
		if first, ok := f.once[b.Once.Key]; ok {
			return submit.BatchReceipt{Replayed: &first}, nil
		}
	}
	reused := 0
	r.Items = make([]submit.Receipt, len(b.Items))
	for i, a := range b.Items {
		if a.Once == nil {
			continue
		}
		if first, ok := f.once[a.Once.Key]; ok && first.Fingerprint != a.Once.Fingerprint {
			r.Items[i].Replayed = &first
			reused++
		}
	}
	if b.RefuseAt > 0 && reused >= b.RefuseAt {
		r.Refused = true
		return r, nil
	}
	if r.Items, err = f.Accept(ctx, b.Items); err == nil && b.Answer != nil && len(r.Items) == len(b.Items) {
		r.Answer = b.Answer(r.Items)
	}
	return r, err
}

func (f *fakeStore) Remembered(_ context.Context, _ mail.Owner, _, key string, _ time.Time) (mail.Answer, error) {
	if a, ok := f.once[key]; ok {
		return a, nil
	}
	return mail.Answer{}, mail.ErrNotFound
}

func (f *fakeStore) SpoolFile(ctx context.Context, write func(io.Writer) error) (submit.Spooled, error) {
	s, err := f.Spool(ctx, write)
	if err == nil {
		f.files = append(f.files, s.(*spooled))
	}
	return s, err
}

func (*fakeStore) DeleteFiles(context.Context, int64) (int, error)    { return 0, nil }
func (*fakeStore) SweepFiles(context.Context, time.Time) (int, error) { return 0, nil }

func (f *fakeStore) Spool(_ context.Context, write func(io.Writer) error) (submit.Spooled, error) {
	if f.spoolErr != nil {
		return nil, f.spoolErr
	}
	var b bytes.Buffer
	if err := write(struct{ io.Writer }{&b}); err != nil {
		return nil, err
	}
	s := &spooled{Bytes: b.Bytes()}
	f.spooled = append(f.spooled, s)
	return s, nil
}

func (f *fakeStore) Suppressed(_ context.Context, _ mail.Owner, addresses []string, topic string, _ time.Time) (map[string]mail.Suppression, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looked = append(f.looked, addresses)
	if f.suppressedErr != nil {
		return nil, f.suppressedErr
	}
	found := map[string]mail.Suppression{}
	for _, a := range addresses {
		if s, ok := f.suppressed[a]; ok && (s.Topic == "" || s.Topic == topic) {
			found[a] = s
		}
	}
	return found, nil
}

// fakeDispatcher has room for so many, and keeps count of what it is told.
type fakeDispatcher struct {
	mu                 sync.Mutex
	room               int
	reserved, released int
	works              []*mail.Work
	waiting            []string
}

func (f *fakeDispatcher) Reserve(mail.Owner, string, mail.Tier) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.room == 0 {
		return false
	}
	f.room--
	f.reserved++
	return true
}

func (f *fakeDispatcher) Release(mail.Owner, string, mail.Tier) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.room++
	f.released++
}

func (f *fakeDispatcher) Dispatch(works []*mail.Work) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.works = append(f.works, works...)
}

func (f *fakeDispatcher) Waiting(owner mail.Owner, destination string, tier mail.Tier, due time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = append(f.waiting, fmt.Sprintf("%s %s %s +%s", owner.Env, destination, tier, due.Sub(noon)))
}

func (*fakeDispatcher) Node() string             { return "node-a" }
func (*fakeDispatcher) LeaseTime() time.Duration { return time.Minute }

// domains are those of the project, by name, with their status.
type domains map[string]string

var errOurs = errors.New("the disk is on fire")

func (d domains) Domain(_ context.Context, _ int64, name string) (project.Domain, error) {
	status, ok := d[name]
	switch {
	case !ok:
		return project.Domain{}, mail.ErrNotFound
	case status == "error":
		return project.Domain{}, errOurs
	}
	return project.Domain{Name: name, Status: status}, nil
}

// world is a service with its parts.
type world struct {
	*submit.Service
	store      *fakeStore
	dispatcher *fakeDispatcher
	who        project.Principal
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{store: &fakeStore{}, dispatcher: &fakeDispatcher{room: 1000}, who: project.Principal{
		Owner: mail.Owner{Project: 1, Env: mail.Live}, Project: &project.Project{Row: 1, Name: "acme"}, Key: &project.Key{ID: "k7f2q9xm"},
	}}
	w.Service = submit.NewService(submit.Options{
		Store: w.store, Dispatcher: w.dispatcher, Now: func() time.Time { return noon }, Links: submit.NewLinks("https://mail.acme.test", [32]byte{1}),
		Domains: domains{"acme.test": "verified", "new.test": "pending", "old.test": "degraded", "dead.test": "failed", "bad.test": "suspended", "ill.test": "error"},
	})
	return w
}

func text(s string) *string { return &s }

func address(field, s string) submit.AddressIn { return submit.AddressIn{Text: s, Field: field} }

// request is the usual one, and complete.
func request() *submit.Request {
	from := address("from", "Acme <hello@acme.test>")
	return &submit.Request{
		Via: "api", Arrived: noon, From: &from, To: []submit.AddressIn{address("recipient", "ada@customer.io")},
		Subject: text("Your code"), Text: text("Your code is 847291."),
		Answer: func(a *submit.Accepted) mail.Answer {
			return mail.Answer{Status: 202, Body: fmt.Appendf(nil, "%s row %d", a.Message.ID.Text("msg"), a.Message.Row)}
		},
	}
}

// faultsOf gives "code pointer" of each fault of an error.
func faultsOf(t *testing.T, err error) []string {
	t.Helper()
	var faults mail.Faults
	if !errors.As(err, &faults) {
		var one *mail.Error
		if !errors.As(err, &one) {
			t.Fatalf("got %v, want faults", err)
		}
		faults = mail.Faults{one}
	}
	var out []string
	for _, f := range faults {
		if f.Message == "" {
			t.Errorf("%s at %s says nothing", f.Code, f.Pointer)
		}
		out = append(out, f.Code+" "+f.Pointer)
	}
	return out
}

func warningsOf(a *submit.Accepted) []string {
	var out []string
	for _, w := range a.Warnings {
		if w.Message == "" {
			out = append(out, "silent")
		}
		out = append(out, w.Code+" "+w.Pointer)
	}
	return out
}
