package v1

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/job"
	"github.com/postroad/postroad/internal/mail"
)

// Jobs are what outlives a request: job.Service.
type Jobs interface {
	Spool(r io.Reader) (*job.Input, error)
	Start(ctx context.Context, in *job.Input, owner mail.Owner, f job.Facts, once *mail.Once, answer func(job.Job) mail.Answer) (job.Job, error)
	Job(ctx context.Context, owner mail.Owner, id mail.ID) (job.Job, error)
	Cancel(ctx context.Context, owner mail.Owner, id mail.ID) (job.Job, error)
}

type jobOut struct {
	ID         string      `json:"job_id"`
	Object     string      `json:"object"`
	Type       string      `json:"type"`
	Status     string      `json:"status"`
	Progress   progressOut `json:"progress"`
	Errors     []job.Fault `json:"errors"`
	Result     resultOut   `json:"result"`
	Error      *string     `json:"error"`
	CreatedAt  time.Time   `json:"created_at"`
	StartedAt  time.Time   `json:"started_at"`
	FinishedAt time.Time   `json:"finished_at"`
}

type progressOut struct {
	Done  int64 `json:"done"`
	Total int64 `json:"total"` // about, until the job is done
}

type resultOut struct {
	Created  int64 `json:"created"`
	Existing int64 `json:"existing"`
	Invalid  int64 `json:"invalid"`
}

func jobShape(j *job.Job) jobOut {
	f := &j.Facts
	out := jobOut{ID: j.ID.Text(mail.PrefixJob), Object: "job", Type: j.Type, Status: j.Status, Progress: progressOut{f.Done, max(f.Total, f.Done)}, Errors: f.Faults,
		Result: resultOut{f.Created, f.Existing, f.Invalid}, Error: orNull(f.Error), CreatedAt: j.CreatedAt, StartedAt: f.StartedAt, FinishedAt: f.FinishedAt}
	if out.Errors == nil {
		out.Errors = []job.Fault{}
	}
	return out
}

// importSuppressions takes a CSV of any size to disk and answers with the job that reads it.
func (a *API) importSuppressions(c *httpapi.Call) {
	q := c.R.URL.Query()
	o := feedback.ImportOptions{Preset: q.Get("preset"), Reason: q.Get("reason"), Topic: q.Get("topic"), Owner: c.Who.Owner, Now: a.now()}
	keys := httpapi.KeysOf(c.R.Header)
	key, fault := keys.Key()
	switch faults := feedback.CheckImport(o); {
	case fault != nil:
		c.Refuse(fault)
		return
	case faults != nil:
		c.Refuse(faults)
		return
	case !csvContent(c.R.Header):
		c.Problem(httpapi.Problem{Code: "unsupported_media_type", Detail: "Send the list as 'Content-Type: text/csv' in UTF-8."})
		return
	}
	in, ok := a.spool(c)
	if !ok {
		return
	}
	print := sha256.New()
	print.Write(in.Sum[:])
	print.Write([]byte(o.Preset + "\x00" + o.Reason + "\x00" + o.Topic))
	turn, ok := c.Begin("POST /v1/suppressions/import", key, [32]byte(print.Sum(nil)))
	if !ok {
		in.Discard()
		return
	}
	defer turn.Leave()
	if err := checkList(in, o); err != nil {
		in.Discard()
		c.Fail(err)
		return
	}
	tell := func(j job.Job) mail.Answer {
		out := jobShape(&j)
		answer := mail.Answer{Status: http.StatusAccepted, Location: "/v1/jobs/" + out.ID, Body: encode(out), RequestID: c.RequestID}
		if turn.Once != nil {
			answer.Fingerprint, answer.Expires = turn.Once.Fingerprint, turn.Once.Expires
		}
		return answer
	}
	j, err := a.o.Jobs.Start(c.Context(), in, c.Who.Owner, job.Facts{Preset: o.Preset, Reason: o.Reason, Topic: o.Topic, By: c.Who.By()}, turn.Once, tell)
	if err != nil {
		in.Discard()
	}
	c.Finish(turn, tell(j), err)
}

func csvContent(h http.Header) bool {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return h.Get("Content-Type") == "" || err == nil && (kind == "text/csv" || kind == "application/csv" || kind == "text/plain" || kind == "application/octet-stream")
}

// spool takes the body to disk. False: it has answered.
func (a *API) spool(c *httpapi.Call) (*job.Input, bool) {
	body := c.Upload()
	in, err := a.o.Jobs.Spool(body)
	switch {
	case err == nil:
		return in, true
	case body.Broken(c):
	case errors.Is(err, job.ErrTooLarge):
		c.TooLarge(job.MaxInput)
	default:
		c.Fail(err)
	}
	return nil, false
}

// checkList looks at the first line now, so that a file of another kind is refused and not
// a job that fails.
func checkList(in *job.Input, o feedback.ImportOptions) error {
	file, err := in.Open()
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	_, err = feedback.NewImport(file, o)
	if errors.Is(err, feedback.ErrTooLong) {
		return &mail.Error{Code: "invalid_value", Status: 422, Pointer: "#", Message: "The first line has more than 64 KB: this is no CSV."}
	}
	return err
}

// jobAt finds the job a path names, for who may do what it does. False: it has answered.
func (a *API) jobAt(c *httpapi.Call, right string) (job.Job, bool) {
	id, err := mail.ParseID(mail.PrefixJob, c.Param(0))
	if err != nil {
		c.Fail(mail.ErrNotFound)
		return job.Job{}, false
	}
	j, err := a.o.Jobs.Job(c.Context(), c.Who.Owner, id)
	if err != nil && !errors.Is(err, mail.ErrNotFound) {
		c.Fail(err)
		return j, false
	}
	scope := "suppressions" // also of jobs there are not: who may see none is not told which there are
	if j.Type == job.ReplayWebhook {
		scope = "webhooks"
	}
	if fault := a.o.Access.Authorize(c.Who, scope+right, c.IP); fault != nil {
		c.Fail(fault)
		return j, false
	}
	if err != nil {
		c.Fail(err)
		return j, false
	}
	return j, true
}

func (a *API) getJob(c *httpapi.Call) {
	if j, ok := a.jobAt(c, ".read"); ok {
		give(c, http.StatusOK, jobShape(&j))
	}
}

// cancelJob stops a job; what it has done stays.
func (a *API) cancelJob(c *httpapi.Call) {
	j, ok := a.jobAt(c, ".write")
	if !ok {
		return
	}
	j, err := a.o.Jobs.Cancel(c.Context(), c.Who.Owner, j.ID)
	if errors.Is(err, mail.ErrStale) {
		c.Problem(httpapi.Problem{Code: "state_conflict", Detail: "The job is over.", Extra: []httpapi.Extra{{Name: "current_state", Value: j.Status}}})
		return
	}
	if err != nil {
		c.Fail(err)
		return
	}
	give(c, http.StatusOK, jobShape(&j))
}

const exportPage = 1000 // rows read at a time

// exportSuppressions streams the list as it is while it is read.
func (a *API) exportSuppressions(c *httpapi.Call) {
	l := a.list(c, append([]string{"format"}, suppressionFilters...)...)
	q := l.suppressions(c.Who.Owner, "")
	q.Limit, q.Ascending = exportPage, true
	e := &exported{next: func() ([]mail.Suppression, error) {
		page, err := a.o.Suppressions.List(c.Context(), q)
		if len(page) > 0 {
			q.After = page[len(page)-1].Row
		}
		return page, err
	}}
	kind := "text/csv; charset=utf-8"
	switch format := l.text("format"); format {
	case "", "csv":
		e.csv = csv.NewWriter(&e.buf)
		_ = e.csv.Write(exportColumns)
	case "ndjson":
		kind = "application/x-ndjson"
	default:
		l.invalid("format", "'format' is 'csv' or 'ndjson'.")
	}
	if l.failed() {
		return
	}
	// The first page is read before the first byte goes out: a store that fails is a 5xx.
	if err := e.fill(); err != nil && err != io.EOF {
		c.Fail(err)
		return
	}
	name := map[bool]string{true: "suppressions.csv", false: "suppressions.ndjson"}[e.csv != nil]
	c.Stream(kind, `attachment; filename="`+name+`"`, -1, e)
}

var exportColumns = []string{"recipient", "reason", "kind", "topic", "source", "message_id", "detail", "note", "created_at", "expires_at"}

// exported is the text of an export, made page by page.
type exported struct {
	next func() ([]mail.Suppression, error)
	csv  *csv.Writer
	buf  bytes.Buffer
	err  error
}

// Read implements [io.Reader].
func (e *exported) Read(p []byte) (int, error) {
	for e.buf.Len() == 0 {
		if e.err != nil {
			return 0, e.err
		}
		e.err = e.fill()
	}
	return e.buf.Read(p)
}

func (e *exported) fill() error {
	page, err := e.next()
	if err != nil {
		return err
	}
	for i := range page {
		s := &page[i]
		if e.csv == nil {
			e.buf.Write(append(encode(suppressionShape(s)), '\n'))
			continue
		}
		_ = e.csv.Write([]string{s.Address, s.Reason, s.Kind, s.Topic, s.Source, s.Message.Text(mail.PrefixMessage), s.Detail, s.Note, stampText(s.CreatedAt), stampText(s.ExpiresAt)})
	}
	if e.csv != nil {
		e.csv.Flush()
	}
	if len(page) < exportPage {
		e.err = io.EOF
		return io.EOF
	}
	return nil
}

func stampText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(stampLayout)
}
