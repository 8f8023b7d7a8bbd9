package audit

import (
	"context"
	"time"
)

// Store keeps entries. Engines write them by themselves, see [Begin].
type Store interface {
	AuditEntries(ctx context.Context, q Query) ([]Entry, error)
	// ForgetAudit removes entries made before a time, a bounded number of them, and tells
	// how many.
	ForgetAudit(ctx context.Context, before time.Time) (int, error)
}

// Query selects entries, newest first unless Ascending. Zero fields select all.
type Query struct {
	Project   int64 // 0: of every project
	TestOnly  bool  // only what keys of the test environment did
	Actor     string
	Action    string // exact, or "api_keys.*"
	Target    string
	After     time.Time // made at or after it
	Before    time.Time // made before it
	Ascending bool
	Limit     int
	From      int64 // row of the last one seen: goes on behind it in the order asked
}
