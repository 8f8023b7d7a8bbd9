package report

import (
	"errors"
	"sync"
	"time"
)

// ErrTooMany asks the sender to come again later with a letter that nobody would understand.
var ErrTooMany = errors.New("too many mails came that nobody understands")

const (
	keptAtOnce = 100         // letters without a token of ours, after a quiet time
	keptEach   = time.Second // between them after that
)

// allowance bounds what strangers can have us write: letters without a token cost a commit,
// up to feedback.LetterKept on disk and a line in the log each, and push out older ones.
type allowance struct {
	mu   sync.Mutex
	used time.Time // up to then
	told time.Time
}

// take tells whether one more may be kept; tell is true once a minute while none may.
func (a *allowance) take(now time.Time) (ok, tell bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if least := now.Add(-keptAtOnce * keptEach); a.used.Before(least) || a.used.After(now) {
		a.used = least
	}
	if used := a.used.Add(keptEach); !used.After(now) {
		a.used = used
		return true, false
	}
	if tell = now.Sub(a.told).Abs() >= time.Minute; tell {
		a.told = now
	}
	return false, tell
}
