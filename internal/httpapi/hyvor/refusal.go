package hyvor

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/postroad/postroad/internal/httpapi"
)

// refusal is an answer that says what is wrong, as an error.
type refusal struct {
	Message    string      `json:"message"`
	Status     int         `json:"status"`
	Violations []violation `json:"violations,omitempty"`
	Data       any         `json:"data,omitempty"`
}

// violation is one fault of a field.
type violation struct {
	Property string `json:"property"` // "to", "attachments[0][content]"
	Message  string `json:"message"`
}

func (r *refusal) Error() string { return r.Message }

func (r *refusal) body() []byte {
	b, err := json.Marshal(r)
	if err != nil { // texts and numbers: it cannot fail
		return fmt.Appendf(nil, `{"message":"Internal Server Error.","status":%d}`, r.Status)
	}
	return b
}

func bad(format string, args ...any) *refusal {
	return &refusal{Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...)}
}

func forbidden(message string) *refusal {
	return &refusal{Status: http.StatusForbidden, Message: message}
}

// The standard texts.
const (
	textBlank      = "This value should not be blank."
	textEmail      = "This value is not a valid email address."
	textString     = "This value should be of type string."
	textInt        = "This value should be of type int."
	textBool       = "This value should be of type bool."
	textArray      = "This value should be of type array."
	textMissing    = "This field is missing."
	textUnexpected = "This field was not expected."
	textChoice     = "The value you selected is not a valid choice."
	textURL        = "This value is not a valid URL."

	textNotFound = "Entity not found"
	textForeign  = "Entity does not belong to the project"
	textBadID    = "Invalid ID"
	textOurs     = "Internal Server Error. Our team has been notified."
	textLater    = "The service is unavailable at the moment. Please try again later."
)

func textTooLong(most int) string {
	return fmt.Sprintf("This value is too long. It should have %d characters or less.", most)
}

// faults gathers what is wrong with a request.
type faults []violation

const faultsMost = 200 // told of one request

func (f *faults) add(property, message string) {
	if len(*f) < faultsMost {
		*f = append(*f, violation{property, message})
	}
}

// about tells whether something is wrong with a field or a part of it.
func (f faults) about(property string) bool {
	return slices.ContainsFunc(f, func(v violation) bool { return v.Property == property || strings.HasPrefix(v.Property, property+"[") })
}

// err is nil when nothing is wrong.
func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return f.refusal()
}

func (f faults) refusal() *refusal {
	return &refusal{Status: http.StatusUnprocessableEntity, Message: f[0].Property + ": " + f[0].Message, Violations: f}
}

// invalid is a refusal for one field.
func invalid(property, message string) *refusal { return faults{{property, message}}.refusal() }

// problem puts into this dialect's words what the door or the core refused.
func (a *API) problem(c *httpapi.Call, p httpapi.Problem) {
	r := refusal{Status: httpapi.StatusOf(p), Message: p.Detail}
	wait := c.RetryAfter(p)
	switch {
	case c.Route() == nil:
		r = a.unrouted(c)
	case r.Status == http.StatusUnauthorized:
		r.Message, r.Data = "Unauthorized", map[string]string{"login_url": a.o.Door.PublicURL() + "/", "signup_url": a.o.Door.PublicURL() + "/"}
	case p.Code == "rate_limited":
		r.Message = "Rate limit exceeded. Please try again later in " + strconv.Itoa(wait) + " seconds."
	case p.Code == "idempotency_in_progress": // for its clients a 4xx would be the end of it
		r.Status, wait = http.StatusServiceUnavailable, max(wait, 1)
		r.Message = "A request with this idempotency key is being worked on. Please try again later."
	case p.Code == "internal_error":
		r.Message = textOurs
	case p.Code == "storage_unavailable" && c.Route().Once:
		r.Message = "Failed to store email content. Please try again later."
	case p.Code == "storage_unavailable":
		r.Message = textLater
	}
	if r.Message == "" {
		r.Message = http.StatusText(r.Status)
	}
	if wait > 0 {
		c.W.Header().Set("Retry-After", strconv.Itoa(wait))
	}
	give(c, &r)
}

// give answers a refusal, with the hint whether the same request may help later.
func give(c *httpapi.Call, r *refusal) {
	if r.Status >= 500 || r.Status == http.StatusTooManyRequests {
		c.W.Header().Set("X-Should-Retry", "true")
	}
	c.JSON(r.Status, r.body())
}

// unrouted answers paths and methods there are not.
func (a *API) unrouted(c *httpapi.Call) refusal {
	if allowed := c.Allowed(); allowed != "" {
		c.W.Header().Set("Allow", allowed)
		return refusal{Status: http.StatusMethodNotAllowed, Message: "Method " + c.R.Method + " is not allowed here: this path takes " + allowed + "."}
	}
	return refusal{Status: http.StatusNotFound, Message: "There is nothing at this path."}
}
