package sqlite

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/audit"
	"github.com/postroad/postroad/internal/mail"
)

// auditFacts is audit.facts.
type auditFacts struct {
	ActorName string         `json:"actor_name,omitzero"`
	Session   string         `json:"session,omitzero"`
	IP        string         `json:"ip,omitzero"`
	Agent     string         `json:"agent,omitzero"`
	RequestID string         `json:"request_id,omitzero"`
	Changes   []audit.Change `json:"changes,omitzero"`
}

// writeNoted is an op that writes the note's entry beside what it writes. Where nothing is
// written, nothing was changed, and a later op may.
func (s *Store) writeNoted(ctx context.Context, n *audit.Note, run func(*tx) error) error {
	wrote := false
	err := s.writer.do(ctx, func(t *tx) error {
		err := run(t)
		if wrote = t.wrote; err != nil || !wrote {
			return err
		}
		e := n.Entry()
		return t.addAudit(&e)
	}, false)
	if err == nil && wrote {
		n.Written()
	}
	return err
}

func (t *tx) addAudit(e *audit.Entry) error {
	facts, err := json.Marshal(auditFacts{e.ActorName, e.Session, e.IP, e.Agent, e.RequestID, e.Changes})
	if err != nil {
		return fmt.Errorf("write an audit entry: %w", err)
	}
	b := bind(t.conn.Prep(`INSERT INTO audit (id, project, env, at, actor, action, target, facts) VALUES (?,?,?,?,?,?,?,?)`))
	b.id(mail.NewID(e.At))
	b.int(e.Owner.Project)
	b.int(int64(e.Owner.Env))
	b.int(micros(e.At))
	b.text(e.Actor)
	b.text(e.Action)
	b.text(e.Target)
	b.text(string(facts))
	return t.exec(b.s)
}

// AuditEntries lists by row: entries are in the order of their commits.
func (s *Store) AuditEntries(ctx context.Context, q audit.Query) (out []audit.Entry, err error) {
	where, args := auditWhere(q)
	order := "DESC"
	if q.Ascending {
		order = "ASC"
	}
	err = s.readLong(ctx, func(conn *sqlite.Conn) error {
		b := bind(conn.Prep(`SELECT row, id, project, env, at, actor, action, target, facts FROM audit` + where + ` ORDER BY row ` + order + ` LIMIT ?`))
		for _, arg := range append(args, int64(q.Limit)) {
			switch v := arg.(type) {
			case int64:
				b.int(v)
			case string:
				b.text(v)
			}
		}
		return each(b.s, func(q *sqlite.Stmt) error {
			e, err := scanAudit(q)
			out = append(out, e)
			return err
		})
	})
	return out, err
}

func auditWhere(q audit.Query) (where string, args []any) {
	add := func(condition string, arg any) {
		if where == "" {
			where = " WHERE "
		} else {
			where += " AND "
		}
		where += condition
		args = append(args, arg)
	}
	if q.Project != 0 {
		add("project = ?", q.Project)
	}
	if q.TestOnly {
		add("env = ?", int64(mail.Test))
	}
	if q.Actor != "" {
		add("actor = ?", q.Actor)
	}
	if prefix, any := strings.CutSuffix(q.Action, ".*"); any {
		add("substr(action, 1, ?) = ", int64(len(prefix)+1))
		where += "?"
		args = append(args, prefix+".")
	} else if q.Action != "" {
		add("action = ?", q.Action)
	}
	if q.Target != "" {
		add("target = ?", q.Target)
	}
	if !q.After.IsZero() {
		add("at >= ?", micros(q.After))
	}
	if !q.Before.IsZero() {
		add("at < ?", micros(q.Before))
	}
	if q.From != 0 {
		beyond := "row < ?"
		if q.Ascending {
			beyond = "row > ?"
		}
		add(beyond, q.From)
	}
	return where, args
}

func scanAudit(q *sqlite.Stmt) (audit.Entry, error) {
	e := audit.Entry{Row: q.ColumnInt64(0), ID: columnID(q, 1), Owner: mail.Owner{Project: q.ColumnInt64(2), Env: mail.Env(q.ColumnInt64(3))},
		At: columnTime(q, 4), Actor: q.ColumnText(5), Action: q.ColumnText(6), Target: q.ColumnText(7)}
	var f auditFacts
	err := read("audit facts", columnBlob(q, 8), &f)
	e.ActorName, e.Session, e.IP, e.Agent, e.RequestID, e.Changes = f.ActorName, f.Session, f.IP, f.Agent, f.RequestID, f.Changes
	return e, err
}

// auditStep bounds one op of ForgetAudit.
const auditStep = 500

// ForgetAudit goes from the oldest on and stops at the first that stays.
func (s *Store) ForgetAudit(ctx context.Context, before time.Time) (removed int, err error) {
	err = s.write(ctx, func(t *tx) error {
		removed = 0
		b := bind(t.conn.Prep(`DELETE FROM audit WHERE row IN (SELECT row FROM audit ORDER BY row LIMIT ?) AND at < ?`))
		b.int(auditStep)
		b.time(before)
		if err := t.exec(b.s); err != nil {
			return err
		}
		removed = t.conn.Changes()
		return nil
	})
	return removed, err
}
