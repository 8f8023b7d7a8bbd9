package eventlog

import (
	"context"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// Entry is an event with what its envelope tells besides.
type Entry struct {
	mail.Event
	Project mail.ID // public id of the owner's project
	// Message and Delivery are what a message.* event is about: nil for other events, and
	// for those whose message retention has removed.
	Message  *mail.Message  // without content; shared by the entries of one message
	Delivery *mail.Delivery // without what its attempts tell
}

// Store is what the log asks to be remembered.
type Store interface {
	// Log gives an owner's entries behind q.After in the order of their positions, and the
	// last position it looked at: where a reader goes on although nothing matched. It reads
	// a bounded number of rows; seen == q.After says that there is nothing behind it.
	// What it gives is committed for good, and nothing will ever commit before seen.
	Log(ctx context.Context, q Query) (entries []Entry, seen int64, err error)
	// LogEntry gives one entry; mail.ErrNotFound.
	LogEntry(ctx context.Context, owner mail.Owner, id mail.ID) (Entry, error)
	// LogBounds tells between which positions an owner's log is whole: retention has removed
	// nothing at oldest or behind it, and newest is the last committed one, of any owner.
	// Who reads on from before oldest-1 has missed events, and from behind newest is in
	// another log: an older copy was put back.
	LogBounds(ctx context.Context, owner mail.Owner) (oldest, newest int64, err error)
}

// Query selects entries. Zero fields select all.
type Query struct {
	Owner         mail.Owner
	All           bool // of every owner: what the relay reads
	After         int64
	Limit         int
	Types         []string // exact names, "message.*" or "*"; see MatchType
	Message       mail.ID
	Recipient     string // folded
	Tag           string
	CreatedAfter  time.Time
	CreatedBefore time.Time
}
