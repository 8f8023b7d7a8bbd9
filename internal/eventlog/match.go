package eventlog

import (
	"strings"

	"github.com/postroad/postroad/internal/mail"
)

// MatchType tells whether a type is among those asked for: by their names, by "message.*",
// or by "*". Nothing asked for is everything.
func MatchType(asked []string, t mail.EventType) bool {
	if len(asked) == 0 {
		return true
	}
	for _, a := range asked {
		if a == string(t) || a == "*" {
			return true
		}
		if noun, ok := strings.CutSuffix(a, ".*"); ok && strings.HasPrefix(string(t), noun+".") {
			return true
		}
	}
	return false
}

// Matches tells whether a query asks for an entry, its place in the log aside.
func (q *Query) Matches(e *Entry) bool {
	return (q.All || Seen(e, q.Owner)) && MatchType(q.Types, e.Type) && q.matchesMessage(e) &&
		(q.CreatedAfter.IsZero() || !e.At.Before(q.CreatedAfter)) && (q.CreatedBefore.IsZero() || e.At.Before(q.CreatedBefore))
}

func (q *Query) matchesMessage(e *Entry) bool {
	if !q.Message.IsZero() && q.Message != e.MessageID || q.Recipient != "" && mail.FoldAddress(e.Recipient) != q.Recipient {
		return false
	}
	if q.Tag == "" {
		return true
	}
	if e.Message == nil {
		return false
	}
	for _, tag := range e.Message.Tags {
		if tag == q.Tag {
			return true
		}
	}
	return false
}
