package project

import (
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// Day is a day of UTC, counted from 1 January 1970.
type Day int32

// DayOf is the day a time lies in.
func DayOf(t time.Time) Day { return Day(t.Unix() / 86400) }

// Start is the day's first moment; that of the next day is its end.
func (d Day) Start() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

func (d Day) String() string { return d.Start().Format(time.DateOnly) }

// Usage is what was accepted on a day with one key.
type Usage struct {
	Day        Day
	KeyID      string // "" = without a key: from the console
	Messages   int64
	Recipients int64
	Bytes      int64
}

// Quota is a daily limit of messages, where there is one.
type Quota struct {
	On    bool
	Limit int64
}

// Quotas are those that hold for what a caller hands in.
type Quotas struct{ Project, Key Quota }

// QuotasOf tells a caller's daily limits.
func QuotasOf(p Principal) (q Quotas) {
	if p.Project != nil {
		q.Project = quotaOf(p.Project.Settings.DailyMessages)
	}
	if p.Key != nil {
		q.Key = quotaOf(p.Key.DailyMessages)
	}
	return q
}

func quotaOf(limit *int) Quota {
	if limit == nil {
		return Quota{}
	}
	return Quota{true, int64(*limit)}
}

// QuotaError is what the commit says of messages that do not fit into a day's quota. Nothing
// of them was kept.
type QuotaError struct {
	Policy string // "project" or "key"
	Limit  int64
	Used   int64
	Owner  mail.Owner
	Resets time.Time
}

func (e *QuotaError) Error() string { return "the daily quota of the " + e.Policy + " is used up" }
