package httpapi

import (
	"net/http"
	"time"
)

// Flow is an answer that goes on: Server-Sent Events, written piece by piece until the
// handler returns.
type Flow struct {
	c   *Call
	rc  *http.ResponseController
	age time.Time // since when the caller is known to be allowed
}

// recheck is how long an open answer may go on before the caller's key is looked at again:
// who is revoked is out within a second.
const recheck = time.Second

// Flow begins one, for a GET that lasts at most so long. A HEAD gets the headers only: then
// it is nil.
func (c *Call) Flow(contentType string, lasts time.Duration) *Flow {
	f := &Flow{c: c, rc: http.NewResponseController(c.W), age: c.door.now()}
	c.Patience(lasts)
	c.W.Header()["X-Accel-Buffering"] = unbuffered
	c.head(http.StatusOK, []string{contentType})
	if c.R.Method == http.MethodHead {
		return nil
	}
	_ = f.rc.Flush()
	return f
}

var unbuffered = []string{"no"} // of X-Accel-Buffering: a proxy passes on what comes as it comes

// Patience gives a call that waits more time than others have: the server's deadlines
// would end it. It counts no longer as one of the requests a key may have running: whoever
// lets calls wait bounds how many.
func (c *Call) Patience(d time.Duration) {
	if c.entered {
		c.entered = false
		c.door.limits.Leave(c.Who)
	}
	rc, until := http.NewResponseController(c.W), time.Now().Add(d+paceTimeout)
	_ = rc.SetReadDeadline(until) // not every writer has one
	_ = rc.SetWriteDeadline(until)
}

// Write sends a piece, at the client's pace as long as it keeps one. After an error there
// is nobody left to write to.
func (f *Flow) Write(b []byte) error {
	_ = f.rc.SetWriteDeadline(time.Now().Add(paceTimeout))
	if _, err := f.c.W.Write(b); err != nil {
		return err
	}
	return f.rc.Flush()
}

// Allowed tells whether the caller still may do what it was let in for. It looks again no
// more often than once a second.
func (f *Flow) Allowed() bool {
	c := f.c
	if now := c.door.now(); now.Sub(f.age) >= recheck {
		f.age, c.Arrived = now, now
		return c.authenticate() == nil && c.door.access.Authorize(c.Who, c.route.Scope, c.IP) == nil
	}
	return true
}
