package app

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/postroad/postroad/internal/config"
	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/mail"
)

// ReportItem is what a report tells of one recipient.
type ReportItem = feedback.RecordItem

// LetterDays is how long a mail that nobody understood is kept.
const LetterDays = feedback.LetterDays

// Report is a mail that came back, as the operator is shown it.
type Report struct {
	ID       string       `json:"report_id"`
	Row      int64        `json:"row"` // what comes before it is asked for by this
	At       time.Time    `json:"at"`
	Kind     string       `json:"kind"`
	Feedback string       `json:"feedback_type,omitempty"`
	Message  string       `json:"message_id,omitempty"` // "" = it is about none of ours
	Why      string       `json:"why,omitempty"`        // not all of it was understood
	Size     int64        `json:"size_bytes"`
	Items    []ReportItem `json:"items"`
	Readable bool         `json:"readable"`         // its letter is kept
	Letter   []byte       `json:"letter,omitempty"` // of one that was asked for
}

// ListReports gives what came back by mail, newest first, those before a row (0: from the newest).
func ListReports(ctx context.Context, s *config.Settings, before int64, limit int) (all []Report, err error) {
	err = asOperator(ctx, s, false, func(op operator) error {
		all, err = op.reportList(ctx, before, limit)
		return err
	})
	return all, err
}

// ShowReport gives one, with its letter where that is kept.
func ShowReport(ctx context.Context, s *config.Settings, id string) (r Report, err error) {
	err = asOperator(ctx, s, false, func(op operator) error {
		r, err = op.report(ctx, id)
		return err
	})
	return r, err
}

func reportOf(r *feedback.Record) Report {
	return Report{ID: r.ID.Text(mail.PrefixReport), Row: r.Row, At: r.At, Kind: string(r.Kind), Feedback: r.Feedback, Message: r.MessageID.Text(mail.PrefixMessage),
		Why: r.Why, Size: r.Size, Items: r.Items, Readable: r.Readable, Letter: r.Letter}
}

func (l *local) reportList(ctx context.Context, before int64, limit int) ([]Report, error) {
	found, err := l.store.Reports(ctx, before, limit)
	if err != nil {
		return nil, fmt.Errorf("list what came back: %w", err)
	}
	all := make([]Report, len(found))
	for i := range found {
		all[i] = reportOf(&found[i])
	}
	return all, nil
}

func (l *local) report(ctx context.Context, id string) (Report, error) {
	parsed, err := mail.ParseID(mail.PrefixReport, id)
	if err != nil {
		return Report{}, fmt.Errorf("%q is not the id of a report", id)
	}
	r, err := l.store.ReportByID(ctx, parsed)
	if err != nil {
		return Report{}, fmt.Errorf("report %s: %w", id, err)
	}
	return reportOf(&r), nil
}

func (r *remote) reportList(ctx context.Context, before int64, limit int) (all []Report, err error) {
	q := url.Values{"before": {strconv.FormatInt(before, 10)}, "limit": {strconv.Itoa(limit)}}
	err = r.call(ctx, http.MethodGet, "/reports?"+q.Encode(), nil, &all)
	return all, err
}

func (r *remote) report(ctx context.Context, id string) (one Report, err error) {
	err = r.call(ctx, http.MethodGet, "/reports/"+url.PathEscape(id), nil, &one)
	return one, err
}
