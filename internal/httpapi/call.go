package httpapi

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// Call is one request on its way through a door. It and its Body are gone when the
// handler returns: nothing may keep them.
type Call struct {
	W         http.ResponseWriter
	R         *http.Request
	Who       project.Principal
	IP        netip.Addr
	RequestID string
	Arrived   time.Time
	Body      []byte // whole, unpacked; nil when there was none

	door     *Door
	dialect  *Dialect // nil: /v1
	route    *Route
	params   [maxParams]string
	allow    []string
	known    bool // Who is
	standing project.Standing
	drawn    bool // standing is set
	entered  bool // it counts among the key's requests at this moment
	wrote    bool
	timing   timing
	buffer   *[]byte // pooled, backs Body
	stream   stream
	weight   int64 // held in the gate
}

var errNoAnswer = errors.New("a handler gave no answer")

// Context is the request's: it ends when the client goes away.
func (c *Call) Context() context.Context { return c.R.Context() }

// Param is the i-th {name} of the route's pattern, unescaped.
func (c *Call) Param(i int) string { return c.params[i] }

// enter lets the caller in: authentication, then scope, then address.
func (c *Call) enter() bool {
	if c.route.Public {
		return c.drawAddress()
	}
	if c.dialect != nil {
		return c.enterDialect()
	}
	fault := c.authenticate()
	c.timing.mark("auth", c.door.now().Sub(c.Arrived))
	if fault != nil {
		if fault.Status != http.StatusServiceUnavailable && !c.drawAddress() {
			return false
		}
		c.Fail(fault)
		return false
	}
	if !c.door.limits.Enter(c.Who) {
		return c.refuseCrowd()
	}
	c.entered = true
	if fault := c.door.access.Authorize(c.Who, c.route.Scope, c.IP); fault != nil {
		if c.Admit() {
			c.Fail(fault)
		}
		return false
	}
	return true
}

// refuseCrowd answers a key that has as many requests running as it may; false, for brevity.
func (c *Call) refuseCrowd() bool {
	c.door.counts.crowded.Add(1)
	c.Problem(Problem{Code: "concurrency_limited", RetryAfter: 1, Detail: "This API key has too many requests running at the same time. Wait for some of them to end.",
		Extra: []Extra{{"violated_policies", []string{"concurrency"}}, {"retry_after_seconds", 1}}})
	return false
}

// roomy tells whether what the route takes in has room here. False: it has answered, and
// the body was not read.
func (c *Call) roomy() bool {
	if !c.route.Intake || c.door.pressure == nil {
		return true
	}
	fault := c.door.pressure(c.Arrived)
	if fault == nil {
		return true
	}
	c.door.counts.pressed.Add(1)
	if c.R.ContentLength != 0 {
		c.W.Header()["Connection"] = connectionClose // what is still coming is not read
	}
	c.Fail(fault)
	return false
}

func (c *Call) authenticate() *mail.Error {
	now := c.Arrived
	if c.door.sessions != nil && len(c.R.Header["Authorization"]) == 0 {
		if secret := c.SessionSecret(); secret != "" {
			who, fault := c.authenticateSession(secret)
			if fault == nil {
				c.Who, c.known = who, true
			}
			return fault
		}
	}
	who, fault := c.door.access.Authenticate(c.R.Context(), bearer(c.R.Header), c.IP, now)
	if fault != nil {
		return fault
	}
	c.Who, c.known = who, true
	c.door.access.Note(who, c.R.UserAgent(), now)
	return nil
}

// identify finds out whose limits an answer's headers tell of, where nobody asks for
// more: unknown routes and methods.
func (c *Call) identify() {
	if c.authenticate() == nil {
		c.standing, c.drawn = c.take(), true
		return
	}
	c.standing, c.drawn = c.door.limits.TakeAddress(c.IP, c.Arrived), true
}

// bearer is the secret of an Authorization header, "" when there is none.
func bearer(h http.Header) string {
	v := h["Authorization"]
	if len(v) == 0 {
		return ""
	}
	scheme, secret, ok := strings.Cut(v[0], " ")
	if !ok || len(scheme) != 6 || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(secret)
}

// Admit draws one request from the caller's limits. When they refuse, it has answered
// and gives false.
func (c *Call) Admit() bool { return c.Draw() || c.RefuseRate() }

// Draw is Admit without the answer.
func (c *Call) Draw() bool {
	c.standing, c.drawn = c.take(), true
	return c.standing.OK
}

// Refuse answers a request that cannot be understood, drawing for it like for any
// other unless that was done; false, for brevity.
func (c *Call) Refuse(err error) bool {
	if !c.route.Once || c.Admit() {
		c.Fail(err)
	}
	return false
}

// Excuse gives back what Admit drew: the answer was a replay.
func (c *Call) Excuse() {
	c.giveBack()
	c.standing = c.look()
}

func (c *Call) drawAddress() bool {
	c.standing, c.drawn = c.door.limits.TakeAddress(c.IP, c.Arrived), true
	return c.standing.OK || c.RefuseRate()
}

// RefuseRate answers 429; false, for brevity.
func (c *Call) RefuseRate() bool {
	c.door.counts.limited.Add(1)
	wait := max(c.standing.Reset, 1)
	c.Problem(Problem{Code: "rate_limited", RetryAfter: wait,
		Detail: "Too many requests. Try again after the time in Retry-After.",
		Extra:  []Extra{{"violated_policies", c.standing.Violated}, {"violated-policies", c.standing.Violated}, {"retry_after_seconds", wait}}})
	return false
}

func (c *Call) refuseRoute() {
	if c.allow != nil {
		c.W.Header()["Allow"] = c.allow
		c.Problem(Problem{Code: "method_not_allowed", Detail: "This path takes " + c.allow[0] + "."})
		return
	}
	c.Problem(Problem{Code: "not_found", Detail: "There is nothing at this path. The API is under /v1."})
}

// release gives back what the call held.
func (c *Call) release() {
	if c.entered {
		c.door.limits.Leave(c.Who)
	}
	if c.weight > 0 {
		c.door.gate.leave(c.weight)
		c.weight = 0
	}
	if c.buffer != nil {
		recycle(c.buffer)
		c.buffer = nil
	}
}
