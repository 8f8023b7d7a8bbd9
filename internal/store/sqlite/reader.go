package sqlite

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"zombiezen.com/go/sqlite"
)

// readers is a pool of connections that cannot write, opened as they are needed. A
// read sees every commit that was answered before it began (WAL).
type readers struct {
	path string
	free chan *sqlite.Conn // nil entries: not opened yet
	once sync.Once
}

func (p *readers) open(path string, n int) {
	p.path, p.free = path, make(chan *sqlite.Conn, n)
	for range n {
		p.free <- nil
	}
}

// close waits for the reads that run.
func (p *readers) close() {
	p.once.Do(func() {
		for range cap(p.free) {
			if conn := <-p.free; conn != nil {
				_ = conn.Close()
			}
		}
		close(p.free)
	})
}

func (p *readers) take(ctx context.Context) (*sqlite.Conn, error) {
	select {
	case conn, ok := <-p.free:
		switch {
		case !ok:
			return nil, errClosed
		case conn != nil:
			return conn, nil
		}
		conn, err := openReading(p.path)
		if err != nil {
			p.free <- nil
		}
		return conn, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func openReading(path string) (*sqlite.Conn, error) {
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadOnly)
	if err != nil {
		return nil, fmt.Errorf("open for reading: %w", err)
	}
	if err := setPragmas(conn, "query_only = on", "cache_size = -4096", "temp_store = memory"); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// read runs short queries on a connection of the pool.
func (s *Store) read(ctx context.Context, query func(*sqlite.Conn) error) error {
	if !s.ready.Load() {
		return errSchema
	}
	conn, err := s.readers.take(ctx)
	if err != nil {
		return err
	}
	defer func() { s.readers.free <- conn }()
	return query(conn)
}

// readLong runs queries that may take long: they see one state of the database, and
// end when ctx does.
func (s *Store) readLong(ctx context.Context, query func(*sqlite.Conn) error) error {
	return s.read(ctx, func(conn *sqlite.Conn) error {
		old := conn.SetInterrupt(ctx.Done())
		err := snapshot(conn, query)
		conn.SetInterrupt(old)
		if !conn.AutocommitEnabled() {
			_ = step(conn.Prep("ROLLBACK")) // snapshot's own was interrupted
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	})
}

// snapshot lets several queries see one state of the database.
func snapshot(conn *sqlite.Conn, query func(*sqlite.Conn) error) error {
	if err := step(conn.Prep("BEGIN")); err != nil {
		return err
	}
	if err := query(conn); err != nil {
		_ = step(conn.Prep("ROLLBACK"))
		return err
	}
	return step(conn.Prep("COMMIT"))
}

// step runs a statement that gives no rows.
func step(s *sqlite.Stmt) error {
	_, err := s.Step()
	_ = s.Reset()
	return err
}

// queries counts what each and first ran.
var queries atomic.Int64

// Queries tells how many queries this process has run, in all its stores: what tests that a
// page costs a fixed number of them look at. Those that read nothing are not counted.
func Queries() int64 { return queries.Load() }

// each runs a query and calls row for every row of it.
func each(s *sqlite.Stmt, row func(*sqlite.Stmt) error) error {
	queries.Add(1)
	defer s.Reset()
	for {
		more, err := s.Step()
		if err != nil || !more {
			return err
		}
		if err := row(s); err != nil {
			return err
		}
	}
}

// first runs a query and calls row for its first row; it tells whether there was one.
func first(s *sqlite.Stmt, row func(*sqlite.Stmt)) (bool, error) {
	queries.Add(1)
	defer s.Reset()
	found, err := s.Step()
	if found && err == nil {
		row(s)
	}
	return found, err
}
