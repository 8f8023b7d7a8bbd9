package sqlite

import "zombiezen.com/go/sqlite"

// nodes gives the names of nodes numbers, so that a lease does not carry a text. Only
// the writer uses it.
type nodes struct {
	byName map[string]int64
}

func (t *tx) loadNodes(s *Store) error {
	s.nodes.byName = make(map[string]int64)
	return each(t.conn.Prep(`SELECT row, name FROM nodes`), func(q *sqlite.Stmt) error {
		s.nodes.byName[q.ColumnText(1)] = q.ColumnInt64(0)
		return nil
	})
}

// node gives the number of a node, making one for a new name.
func (t *tx) node(name string) (int64, error) {
	n := &t.w.store.nodes
	if row, ok := n.byName[name]; ok {
		return row, nil
	}
	// Not kept in memory until it was found committed: this transaction may be undone.
	q := t.conn.Prep(`SELECT row FROM nodes WHERE name = ?`)
	q.BindText(1, name)
	var row int64
	found, err := first(q, func(q *sqlite.Stmt) { row = q.ColumnInt64(0) })
	if err != nil {
		return 0, err
	}
	if found && !t.nodeMade {
		n.byName[name] = row
	}
	if found {
		return row, nil
	}
	insert := t.conn.Prep(`INSERT INTO nodes (name) VALUES (?)`)
	insert.BindText(1, name)
	err = t.exec(insert)
	t.nodeMade = true
	return t.conn.LastInsertRowID(), err
}
