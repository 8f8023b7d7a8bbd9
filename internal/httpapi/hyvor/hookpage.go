package hyvor

import (
	"context"
	"strings"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/webhook"
)

// hookPage is what the events of one page tell of, read at once. What is not in it is not
// there.
type hookPage struct {
	records      map[mail.ID]*archive.Record
	attempts     map[int64][]archive.AttemptOf
	domains      map[string]project.Domain // by public id
	suppressions map[mail.ID]mail.Suppression
}

var _ webhook.Pager = (*Format)(nil)

// Page reads all that these entries of one owner tell of: in four reads at most, however many
// they are.
func (f *Format) Page(ctx context.Context, owner mail.Owner, entries []*eventlog.Entry) (webhook.Format, error) {
	page := &hookPage{records: map[mail.ID]*archive.Record{}, domains: map[string]project.Domain{}, suppressions: map[mail.ID]mail.Suppression{}}
	of := whatTold(entries)
	if len(of.messages) > 0 {
		if err := page.readMessages(ctx, f, owner, of.messages); err != nil {
			return nil, err
		}
	}
	if of.domains {
		all, err := f.Domains.List(ctx, owner.Project)
		if err != nil {
			return nil, err
		}
		for _, d := range all {
			page.domains[d.ID.Text(mail.PrefixDomain)] = d
		}
	}
	if len(of.suppressions) > 0 {
		all, err := f.Suppressions.SuppressionsByID(ctx, owner, of.suppressions)
		if err != nil {
			return nil, err
		}
		for _, s := range all {
			page.suppressions[s.ID] = s
		}
	}
	with := *f
	with.page = page
	return &with, nil
}

func (p *hookPage) readMessages(ctx context.Context, f *Format, owner mail.Owner, ids []mail.ID) error {
	records, err := f.Archive.FindAll(ctx, owner, ids)
	if err != nil {
		return err
	}
	rows := make([]int64, len(records))
	for i := range records {
		p.records[records[i].Message.ID], rows[i] = &records[i], records[i].Message.Row
	}
	p.attempts, err = f.Archive.AttemptsOf(ctx, owner, rows)
	return err
}

// told is what entries tell of, each once.
type told struct {
	messages, suppressions []mail.ID
	domains                bool
}

func whatTold(entries []*eventlog.Entry) (of told) {
	seen := map[mail.ID]bool{}
	once := func(list []mail.ID, id mail.ID) []mail.ID {
		if seen[id] {
			return list
		}
		seen[id] = true
		return append(list, id)
	}
	for _, n := range entries {
		if n.Message != nil {
			of.messages = once(of.messages, n.Message.ID)
		}
		if d := n.Detail.Suppression; n.Type == mail.EventSuppressed && d != nil {
			if id, err := mail.ParseID(mail.PrefixSuppression, d.Public); err == nil {
				of.suppressions = once(of.suppressions, id)
			}
		}
		of.domains = of.domains || strings.HasPrefix(nameOf(&n.Event), "domain.")
	}
	return of
}

// record gives the message of an entry that has one.
func (f *Format) record(ctx context.Context, n *eventlog.Entry) (*archive.Record, error) {
	if f.page == nil {
		return f.Archive.Find(ctx, n.Owner, n.Message.ID.Text(mail.PrefixMessage))
	}
	r := f.page.records[n.Message.ID]
	if r == nil {
		return nil, mail.ErrNotFound
	}
	return r, nil
}

func (f *Format) attempts(ctx context.Context, r *archive.Record) ([]archive.AttemptOf, error) {
	if f.page == nil {
		return f.Archive.Attempts(ctx, r)
	}
	return f.page.attempts[r.Message.Row], nil
}

// domain gives the domain an entry is about.
func (f *Format) domain(ctx context.Context, n *eventlog.Entry) (project.Domain, error) {
	if f.page == nil {
		return f.Domains.Find(ctx, n.Owner.Project, n.Detail.Object)
	}
	d, there := f.page.domains[n.Detail.Object]
	if !there {
		return d, mail.ErrNotFound
	}
	return d, nil
}

func (f *Format) suppression(ctx context.Context, owner mail.Owner, id mail.ID) (mail.Suppression, error) {
	if f.page == nil {
		return f.Suppressions.Suppression(ctx, owner, id)
	}
	s, there := f.page.suppressions[id]
	if !there {
		return s, mail.ErrNotFound
	}
	return s, nil
}
