package sqlite

import (
	"context"
	"fmt"

	"github.com/go-json-experiment/json"
	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/job"
	"github.com/postroad/postroad/internal/mail"
)

const jobColumns = `id, owner, type, status, node, created_at, facts`

func scanJob(q *sqlite.Stmt) (job.Job, error) {
	j := job.Job{ID: columnID(q, 0), Owner: ownerOf(q.ColumnInt64(1)), Type: q.ColumnText(2), Status: q.ColumnText(3), Node: q.ColumnText(4), CreatedAt: columnTime(q, 5)}
	return j, read("job facts", columnBlob(q, 6), &j.Facts)
}

// CreateJob keeps a job.
func (s *Store) CreateJob(ctx context.Context, j job.Job, once *mail.Once, answer func(job.Job) mail.Answer) error {
	facts, err := json.Marshal(j.Facts)
	if err != nil {
		return fmt.Errorf("write job facts: %w", err)
	}
	return s.write(ctx, func(t *tx) error {
		if err := t.unused(once); err != nil {
			return err
		}
		if err := t.insertJob(&j, facts); err != nil || answer == nil {
			return err
		}
		return t.remember(once, answer(j))
	})
}

func (t *tx) insertJob(j *job.Job, facts []byte) error {
	b := bind(t.conn.Prep(`INSERT INTO jobs (` + jobColumns + `) VALUES (?,?,?,?,?,?,?)`))
	b.id(j.ID)
	b.int(ownerKey(j.Owner))
	b.text(j.Type)
	b.text(j.Status)
	b.text(j.Node)
	b.int(micros(j.CreatedAt))
	b.text(string(facts))
	return t.exec(b.s)
}

// Job gives one of an owner's.
func (s *Store) Job(ctx context.Context, owner mail.Owner, id mail.ID) (out job.Job, err error) {
	all, err := s.jobs(ctx, ` WHERE id = ? AND owner = ?`, func(b *binder) {
		b.id(id)
		b.int(ownerKey(owner))
	})
	if err == nil && len(all) == 0 {
		err = mail.ErrNotFound
	}
	if err != nil {
		return out, err
	}
	return all[0], nil
}

// OpenJobs gives those that are not over.
func (s *Store) OpenJobs(ctx context.Context) ([]job.Job, error) {
	return s.jobs(ctx, ` WHERE status IN ('queued', 'running') ORDER BY row LIMIT 1000`, func(*binder) {})
}

func (s *Store) jobs(ctx context.Context, rest string, args func(*binder)) (out []job.Job, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		b := bind(conn.Prep(`SELECT ` + jobColumns + ` FROM jobs` + rest))
		args(&b)
		return each(b.s, func(q *sqlite.Stmt) error {
			j, err := scanJob(q)
			out = append(out, j)
			return err
		})
	})
	return out, err
}

// SaveJob keeps status and facts of a job that is not over.
func (s *Store) SaveJob(ctx context.Context, j job.Job) error {
	facts, err := json.Marshal(j.Facts)
	if err != nil {
		return fmt.Errorf("write job facts: %w", err)
	}
	return s.write(ctx, func(t *tx) error {
		open, err := t.jobOpen(j.ID)
		if err == nil && !open {
			err = mail.ErrStale
		}
		if err != nil {
			return err
		}
		return t.saveJob(&j, facts)
	})
}

func (t *tx) jobOpen(id mail.ID) (bool, error) {
	return t.exists(`SELECT 1 FROM jobs WHERE id = ? AND status IN ('queued', 'running')`, id[:])
}

func (t *tx) saveJob(j *job.Job, facts []byte) error {
	b := bind(t.conn.Prep(`UPDATE jobs SET status = ?, facts = ? WHERE id = ?`))
	b.text(j.Status)
	b.text(string(facts))
	b.id(j.ID)
	return t.exec(b.s)
}

// ImportSuppressions enters a batch together with how far its job is.
func (s *Store) ImportSuppressions(ctx context.Context, j job.Job, batch []mail.Suppression) (kept job.Job, err error) {
	err = s.write(ctx, func(t *tx) error {
		open, err := t.jobOpen(j.ID)
		if err == nil && !open {
			err = mail.ErrStale
		}
		if err != nil {
			return err
		}
		kept = j
		for i := range batch {
			created, err := t.importSuppression(&batch[i])
			if err != nil {
				return fmt.Errorf("import a suppression: %w", err)
			}
			if created {
				kept.Facts.Created++
			} else {
				kept.Facts.Existing++
			}
		}
		facts, err := json.Marshal(kept.Facts)
		if err != nil {
			return err
		}
		return t.saveJob(&kept, facts)
	})
	if err == nil {
		err = s.growFilter(ctx)
	}
	return kept, err
}

// importSuppression enters one unless it stands. The insert that does nothing spares the
// look-up: most of what is imported is new.
func (t *tx) importSuppression(x *mail.Suppression) (created bool, err error) {
	t.w.store.suppressing(ownerKey(x.Owner), x.Address) // before the commit: see filter
	x.Row = t.now.suppression
	if created, err = t.insertIfNew(x); err != nil || created {
		return created, err
	}
	b := bind(t.conn.Prep(`SELECT ` + suppressionColumns + ` FROM suppressions WHERE owner = ? AND address = ? AND kind = ? AND topic = ?`))
	b.int(ownerKey(x.Owner))
	b.text(x.Address)
	b.text(x.Kind)
	b.text(x.Topic)
	var standing mail.Suppression
	if found, err := first(b.s, func(q *sqlite.Stmt) { standing = scanSuppression(q) }); err != nil || !found || !expired(&standing, x.CreatedAt) {
		return false, err
	}
	if err := t.endSuppression(standing.Row, standing.ExpiresAt, ""); err != nil {
		return false, err
	}
	return t.insertIfNew(x)
}

func (t *tx) insertIfNew(x *mail.Suppression) (bool, error) {
	b := bind(t.conn.Prep(`INSERT INTO suppressions (` + suppressionColumns + `) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
		ON CONFLICT (owner, address, kind, topic) DO NOTHING`))
	b.suppression(x)
	if err := t.exec(b.s); err != nil || t.conn.Changes() == 0 {
		return false, err
	}
	t.now.suppression++
	return true, nil
}
