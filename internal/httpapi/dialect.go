package httpapi

import (
	"net/http"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// Dialect is what a contract says in its own way where a Door otherwise speaks /v1: who
// is let in, what is counted, and how a refusal is put. The steps and their order
// (doc.go) are the same for all.
type Dialect struct {
	// Authenticate tells who calls. The fault has a status of its own.
	Authenticate func(c *Call) (project.Principal, *mail.Error)
	// Authorize tells whether Who may use the route from the call's address.
	Authorize func(c *Call) *mail.Error
	// Limits count the requests of callers that are known; of others the Door does.
	Limits Limiter
	// Problem answers whatever is refused or went wrong, with Call.JSON.
	Problem func(c *Call, p Problem)
}

// Limiter counts the requests of a dialect's callers.
type Limiter interface {
	Take(c *Call) project.Standing
	Look(c *Call) project.Standing
	GiveBack(c *Call)
}

// DialectHandler is Handler for a contract with words of its own.
func (d *Door) DialectHandler(routes []Route, in *Dialect) http.Handler {
	r := newRouter(routes)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { d.serve(r, in, w, req) })
}

// enterDialect is enter in the dialect's words.
func (c *Call) enterDialect() bool {
	if fault := c.authenticateDialect(); fault != nil {
		if fault.Status == http.StatusServiceUnavailable || c.drawAddress() {
			c.Fail(fault)
		}
		return false
	}
	if !c.door.limits.Enter(c.Who) {
		return c.refuseCrowd()
	}
	c.entered = true
	if fault := c.dialect.Authorize(c); fault != nil {
		if c.Admit() {
			c.Fail(fault)
		}
		return false
	}
	return true
}

func (c *Call) authenticateDialect() *mail.Error {
	who, fault := c.dialect.Authenticate(c)
	c.timing.mark("auth", c.door.now().Sub(c.Arrived))
	if fault == nil {
		c.Who, c.known = who, true
		c.door.access.Note(who, c.R.UserAgent(), c.Arrived)
	}
	return fault
}

// take, look and giveBack count a known caller's request.
func (c *Call) take() project.Standing {
	if c.dialect != nil {
		return c.dialect.Limits.Take(c)
	}
	return c.door.limits.Take(c.Who, c.Arrived)
}

func (c *Call) look() project.Standing {
	if c.dialect != nil {
		return c.dialect.Limits.Look(c)
	}
	return c.door.limits.Look(c.Who, c.Arrived)
}

func (c *Call) giveBack() {
	if c.dialect != nil {
		c.dialect.Limits.GiveBack(c)
		return
	}
	c.door.limits.GiveBack(c.Who)
}

// Route is what the call was matched with; nil: nothing here has that path and method.
func (c *Call) Route() *Route { return c.route }

// Allowed are the methods of a known path that was asked with another; "" else.
func (c *Call) Allowed() string {
	if c.allow == nil {
		return ""
	}
	return c.allow[0]
}

// StatusOf is the status a problem has unless it says another.
func StatusOf(p Problem) int {
	if p.Status != 0 {
		return p.Status
	}
	if k, known := kinds[p.Code]; known {
		return k.status
	}
	return http.StatusUnprocessableEntity
}

// RetryAfter is how many seconds a problem's client should wait, at least until limits
// that refused are there again; 0: none is said.
func (c *Call) RetryAfter(p Problem) int {
	if p.RetryAfter == 0 {
		return 0
	}
	return max(p.RetryAfter, c.retryFloor())
}
