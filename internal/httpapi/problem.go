package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// Problem is an answer that says what is wrong (RFC 9457), with our code.
type Problem struct {
	Code       string
	Status     int    // 0: that of the code
	Detail     string // prose for the caller; "" = the title
	Faults     mail.Faults
	RetryAfter int // seconds; 0: none is said
	Extra      []Extra
}

// Extra is one more member of a problem: a string, an int or a list of strings.
type Extra struct {
	Name  string
	Value any
}

// kind is what a code always means.
type kind struct {
	status int
	title  string
	retry  bool // the same request may help, later
}

// kinds are the codes of answers; api-v1.md §1.5. Codes of single fields stand in
// errors[] and need no entry.
var kinds = map[string]kind{
	"invalid_json":             {400, "The body is not valid JSON", false},
	"invalid_parameter":        {400, "A parameter is invalid", false},
	"invalid_cursor":           {400, "The cursor is invalid or has expired", false},
	"cursor_filter_mismatch":   {400, "The cursor belongs to another filter", false},
	"invalid_idempotency_key":  {400, "The idempotency key is invalid", false},
	"idempotency_key_conflict": {400, "The request has two different idempotency keys", false},
	"invalid_header":           {400, "A header is invalid", false},
	"missing_api_key":          {401, "An API key is needed", false},
	"invalid_api_key":          {401, "The API key is not valid", false},
	"api_key_expired":          {401, "The API key has expired", false},
	"api_key_revoked":          {401, "The API key was revoked", false},
	"api_key_disabled":         {401, "The API key is disabled", false},
	"session_expired":          {401, "The session is over", false},
	"invalid_credentials":      {401, "The user or the password is wrong", false},
	"cross_origin_request":     {403, "The request comes from another origin", false},
	"insufficient_scope":       {403, "The API key lacks a scope", false},
	"ip_not_allowed":           {403, "The API key may not be used from this address", false},
	"from_not_allowed":         {403, "The API key may not send as this address", false},
	"project_suspended":        {403, "The project is suspended", false},
	"live_not_enabled":         {403, "The live environment is not enabled", false},
	"not_found":                {404, "Not found", false},
	"message_not_found":        {404, "There is no such message", false},
	"message_not_cancellable":  {404, "The message can no longer be cancelled", false},
	"content_expired":          {404, "The content is no longer kept", false},
	"method_not_allowed":       {405, "The method is not allowed here", false},
	"not_acceptable":           {406, "The answer cannot be given in the form asked for", false},
	"request_timeout":          {408, "The request arrived too slowly", true},
	"idempotency_in_progress":  {409, "A request with this idempotency key is being worked on", true},
	"state_conflict":           {409, "The state does not allow it", false},
	"already_exists":           {409, "It exists already", false},
	"version_conflict":         {409, "It was changed meanwhile", false},
	"length_required":          {411, "A length is required", false},
	"link_expired":             {410, "The link has expired", false},
	"precondition_failed":      {412, "It was changed since you read it", false},
	"payload_too_large":        {413, "The request is too large", false},
	"unsupported_media_type":   {415, "The media type is not supported", false},
	"validation_failed":        {422, "The request has invalid fields", false},
	"idempotency_key_reused":   {422, "The idempotency key was used with another request", false},
	"all_recipients_invalid":   {422, "No recipient is valid", false},
	"precondition_required":    {428, "If-Match is required", false},
	"rate_limited":             {429, "Too many requests", true},
	"quota_exceeded":           {429, "A quota is used up", true},
	"concurrency_limited":      {429, "Too many requests at the same time", true},
	"internal_error":           {500, "Something went wrong on our side", true},
	"overloaded":               {503, "The server has too much to do", true},
	"storage_unavailable":      {503, "The server cannot store anything at the moment", true},
	"maintenance":              {503, "The server is being maintained", true},
}

// retryAfter is how soon, in seconds, it is worth to ask again.
var retryAfter = map[string]int{"idempotency_in_progress": 1, "overloaded": 2, "storage_unavailable": 5, "maintenance": 30}

// Fail answers with what an error means to the caller. Errors that are not the
// caller's are logged here, once, and shown without their text.
func (c *Call) Fail(err error) {
	var faults mail.Faults
	var fault *mail.Error
	var quota *project.QuotaError
	switch {
	case errors.As(err, &quota):
		c.failQuota(quota)
	case errors.As(err, &faults):
		c.failFields(faults)
	case errors.As(err, &fault):
		c.failOne(fault)
	case errors.Is(err, mail.ErrNotFound):
		c.Problem(Problem{Code: "not_found", Detail: "There is nothing with this name or id here."})
	case errors.Is(err, mail.ErrNoContent):
		c.Problem(Problem{Code: "content_expired", Detail: "The bytes of this message are no longer kept."})
	case errors.Is(err, mail.ErrExists):
		c.Problem(Problem{Code: "already_exists", Detail: "Something with this name exists already."})
	case errors.Is(err, mail.ErrStale):
		c.Problem(Problem{Code: "precondition_failed", Detail: "It was changed since you read it. Read it again, then repeat your change."})
	case errors.Is(err, context.Canceled) && c.R.Context().Err() != nil:
		c.Problem(Problem{Code: "request_timeout", Detail: "The request was given up."}) // nobody reads this
	case errors.Is(err, context.DeadlineExceeded):
		c.door.log.Warn("a request took too long", "request_id", c.RequestID, "path", c.R.URL.Path, "error", err)
		c.Problem(Problem{Code: "storage_unavailable", RetryAfter: 1})
	default:
		c.failOurs(err)
	}
}

// failQuota answers that a day's quota does not hold what was handed in.
func (c *Call) failQuota(q *project.QuotaError) {
	c.door.counts.limited.Add(1)
	wait := max(int(q.Resets.Sub(c.Arrived).Seconds()+1), 1)
	c.Problem(Problem{Code: "quota_exceeded", RetryAfter: wait,
		Detail: "The " + q.Policy + " may hand in " + strconv.FormatInt(q.Limit, 10) + " messages a day (UTC); " + strconv.FormatInt(q.Used, 10) + " are used. Nothing of this request was accepted.",
		Extra: []Extra{{"quota", q.Policy + ".daily_messages"}, {"limit", int(q.Limit)}, {"used", int(q.Used)}, {"resets_at", q.Resets.UTC().Format("2006-01-02T15:04:05.000Z")},
			{"violated_policies", []string{q.Policy + ".daily_messages"}}, {"violated-policies", []string{q.Policy + ".daily_messages"}}, {"retry_after_seconds", wait}}})
}

// Unavailable is met by errors of a store that cannot work now but may later.
type Unavailable interface{ Unavailable() bool }

func (c *Call) failOurs(err error) {
	c.door.log.Error("a request failed", "request_id", c.RequestID, "method", c.R.Method, "path", c.R.URL.Path, "project", c.Who.Owner.Project, "error", err)
	var u Unavailable
	if errors.As(err, &u) && u.Unavailable() {
		c.Problem(Problem{Code: "storage_unavailable", RetryAfter: 1})
		return
	}
	c.Problem(Problem{Code: "internal_error"})
}

// failOne answers a fault that has a status of its own; any other is a field's.
func (c *Call) failOne(e *mail.Error) {
	k, known := kinds[e.Code]
	if !known && (e.Status == 0 || e.Status == http.StatusUnprocessableEntity) || k.status == 422 && e.Pointer != "" {
		c.failFields(mail.Faults{e})
		return
	}
	p := Problem{Code: e.Code, Status: e.Status, Detail: e.Message}
	if e.Pointer != "" || e.Field != "" {
		p.Faults = mail.Faults{e}
	}
	if e.Code == "insufficient_scope" {
		p.Extra = append(p.Extra, Extra{"required_scope", e.Suggestion})
	}
	if k.status == http.StatusServiceUnavailable || k.status == http.StatusTooManyRequests || e.Code == "idempotency_in_progress" {
		p.RetryAfter = max(retryAfter[e.Code], 1)
	}
	c.Problem(p)
}

func (c *Call) failFields(f mail.Faults) {
	names := make([]string, 0, 5)
	for i, e := range f {
		if i == 5 {
			names = append(names, "…")
			break
		}
		if e.Field != "" {
			names = append(names, e.Field)
		}
	}
	detail := strconv.Itoa(len(f)) + " fields are invalid: "
	if len(f) == 1 {
		detail = "1 field is invalid: "
	}
	detail += strings.Join(names, ", ")
	if len(names) == 0 {
		detail = f[0].Message // of the whole body
	}
	c.Problem(Problem{Code: "validation_failed", Detail: detail, Faults: f})
}

// Problem answers with a problem.
func (c *Call) Problem(p Problem) {
	if c.dialect != nil {
		c.dialect.Problem(c, p)
		return
	}
	k, known := kinds[p.Code]
	if !known {
		k = kind{status: 422, title: p.Code}
	}
	if p.Status == 0 {
		p.Status = k.status
	}
	if p.Detail == "" {
		p.Detail = k.title + "."
	}
	h := c.W.Header()
	if p.RetryAfter > 0 {
		h["Retry-After"] = []string{strconv.Itoa(max(p.RetryAfter, c.retryFloor()))}
	}
	if p.Status == http.StatusUnauthorized {
		h["Www-Authenticate"] = wwwAuthenticate
	}
	if k.retry {
		h["X-Should-Retry"] = shouldRetry
	}
	c.write(p.Status, contentProblem, c.appendProblem(make([]byte, 0, 768), p, k))
}

// retryFloor: Retry-After is never less than X-RateLimit-Reset where limits refused.
func (c *Call) retryFloor() int {
	if c.drawn && !c.standing.OK {
		return c.standing.Reset
	}
	return 0
}

func (c *Call) appendProblem(b []byte, p Problem, k kind) []byte {
	kindURL := c.door.publicURL + "/docs/errors#" + p.Code
	if p.Code == "rate_limited" { // draft-ietf-httpapi-ratelimit-headers
		kindURL = "https://iana.org/assignments/http-problem-types#quota-exceeded"
	}
	b = member(append(b, '{'), "type", kindURL)
	b = member(b, "title", k.title)
	b = append(b, `"status":`...)
	b = append(strconv.AppendInt(b, int64(p.Status), 10), ',')
	b = member(b, "code", p.Code)
	b = member(b, "detail", p.Detail)
	b = member(b, "message", p.Detail)
	b = member(b, "request_id", c.RequestID)
	b = member(b, "instance", "/v1/logs/"+c.RequestID)
	for _, x := range p.Extra {
		b = appendExtra(b, x)
	}
	if len(p.Faults) > 0 {
		b = append(AppendFaults(append(b, `"errors":`...), p.Faults), ',')
	}
	b[len(b)-1] = '}'
	return b
}

func appendExtra(b []byte, x Extra) []byte {
	switch v := x.Value.(type) {
	case string:
		return member(b, x.Name, v)
	case int:
		b = append(AppendString(b, x.Name), ':')
		return append(strconv.AppendInt(b, int64(v), 10), ',')
	case []string:
		b = append(append(AppendString(b, x.Name), ':'), '[')
		for i, s := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = AppendString(b, s)
		}
		return append(b, ']', ',')
	}
	return b
}

// AppendFaults appends faults as the errors[] of a problem has them.
func AppendFaults(b []byte, faults mail.Faults) []byte {
	b = append(b, '[')
	for i, e := range faults {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		if e.Field != "" {
			b = member(b, "field", e.Field)
		}
		if e.Pointer != "" {
			b = member(b, "pointer", e.Pointer)
		}
		b = member(b, "code", e.Code)
		b = member(b, "message", e.Message)
		if e.Suggestion != "" {
			b = member(b, "suggestion", e.Suggestion)
		}
		if e.Line > 0 {
			b = append(strconv.AppendInt(append(b, `"line":`...), int64(e.Line), 10), ',')
			b = append(strconv.AppendInt(append(b, `"column":`...), int64(e.Column), 10), ',')
		}
		b[len(b)-1] = '}'
	}
	return append(b, ']')
}

// member appends "name":"value", and a comma.
func member(b []byte, name, value string) []byte {
	b = append(AppendString(b, name), ':')
	return append(AppendString(b, value), ',')
}

// AppendString appends a JSON string. Bytes that are not UTF-8 become U+FFFD.
func AppendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			out, err := jsontext.AppendQuote(b, s)
			if err != nil { // not UTF-8: AppendQuote has written the replacement already
				out, _ = jsontext.AppendQuote(b, strings.ToValidUTF8(s, "\uFFFD"))
			}
			return out
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
