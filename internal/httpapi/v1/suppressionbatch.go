package v1

import (
	"errors"
	"net/http"

	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
)

// listChanged tells what became of each line of a batch.
type listChanged struct {
	Object   string         `json:"object"`
	Summary  listSummary    `json:"summary"`
	Data     []listLine     `json:"data"`
	Warnings []mail.Warning `json:"warnings,omitempty"`
}

type listSummary struct {
	Total   int `json:"total"`
	Created int `json:"created"`
	Removed int `json:"removed"`
	Failed  int `json:"failed"`
}

type listLine struct {
	Op          string          `json:"op"` // "add" or "remove"
	Index       int             `json:"index"`
	Recipient   string          `json:"recipient,omitempty"`
	Suppression *suppressionOut `json:"suppression,omitempty"`
	Error       *lineFault      `json:"error,omitempty"`
}

type lineFault struct {
	Code   string      `json:"code"`
	Detail string      `json:"message"`
	Errors []lineField `json:"errors,omitempty"`
}

type lineField struct {
	Field   string `json:"field"`
	Pointer string `json:"pointer"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// batchSuppressions adds and removes up to 1000 together, in one commit; a line that is
// wrong is told of and stops no other.
func (a *API) batchSuppressions(c *httpapi.Call) {
	var add, remove []feedback.Item
	f, ok := a.readForm(c, []string{"add", "remove"}, func(f *form, name string, v value) {
		if v.isNull() {
			return
		}
		if v.kind() != '[' {
			f.wrongType(name, v, "an array")
			return
		}
		if name == "add" {
			add = readItems(name, v, func(l *findings, path string, item value) feedback.Item { return a.readAdd(c, l, path, item) })
		} else {
			remove = readItems(name, v, func(l *findings, path string, item value) feedback.Item { return readRemove(c, l, path, item) })
		}
	})
	if !ok {
		return
	}
	turn, ok := f.begin()
	if !ok {
		return
	}
	defer turn.Leave()
	switch n := len(add) + len(remove); {
	case n > feedback.MaxBatch:
		f.fault("add", "too_many", "At most 1000 lines, 'add' and 'remove' together.")
	case n == 0 && len(f.faults) == 0:
		f.fault("add", "missing_required_field", "Give 'add', 'remove' or both.")
	}
	if f.failed() {
		return
	}
	requestID, warnings := c.RequestID, f.allWarnings()
	answer, err := a.o.Suppressions.Change(c.Context(), c.Who.Owner, add, remove, c.Who.By(), turn.Once, func() mail.Answer {
		out := mail.Answer{Status: http.StatusOK, Body: encode(listChangedOf(add, remove, warnings)), RequestID: requestID}
		if turn.Once != nil {
			out.Fingerprint, out.Expires = turn.Once.Fingerprint, turn.Once.Expires
		}
		return out
	})
	c.Finish(turn, answer, err)
}

// readItems reads a list line by line, each with faults of its own. One line more than may
// be is enough to know that they are too many.
func readItems(name string, v value, read func(l *findings, path string, item value) feedback.Item) (items []feedback.Item) {
	for w := v.walk(); len(items) <= feedback.MaxBatch; {
		_, line, ok := w.next()
		if !ok {
			break
		}
		var l findings
		item := read(&l, indexed(name, len(items)), line)
		if len(l.faults) > 0 {
			item.Err = l.faults
		}
		items = append(items, item)
	}
	return items
}

// readAdd reads {"recipient":…,"reason":…} or a bare address.
func (a *API) readAdd(c *httpapi.Call, l *findings, path string, v value) feedback.Item {
	now := a.now()
	s := mail.Suppression{ID: mail.NewID(now), Owner: c.Who.Owner, Reason: mail.KindManual, Source: "api", CreatedAt: now}
	in := suppressionIn{s: &s}
	switch v.kind() {
	case '"':
		in.given, s.Address = "recipient", l.address(path, v)
	case '{':
		for w := v.walk(); ; {
			name, item, ok := w.next()
			if !ok {
				break
			}
			in.field(l, path+".", string(name), item)
		}
	default:
		l.wrongType(path, v, "an address, or an object with 'recipient'")
		return feedback.Item{}
	}
	in.judge(l, path+".", now)
	return feedback.Item{Suppression: s}
}

// readRemove reads an id, an address, or {"recipient":…,"reason":…,"topic":…,"force":…}.
func readRemove(c *httpapi.Call, l *findings, path string, v value) feedback.Item {
	item := feedback.Item{Removal: feedback.Removal{By: c.Who.By()}}
	if v.kind() == '"' {
		item.Ref, _ = l.text(path, v)
		return item
	}
	if v.kind() != '{' {
		l.wrongType(path, v, "an id, an address, or an object with 'recipient'")
		return item
	}
	for w := v.walk(); ; {
		name, x, ok := w.next()
		if !ok {
			break
		}
		switch n := string(name); {
		case x.isNull():
		case n == "recipient" || n == "email" || n == "suppression_id":
			item.Ref, _ = l.text(path+"."+n, x)
		case n == "reason":
			item.Removal.Reason, _ = l.text(path+"."+n, x)
		case n == "topic":
			topic, _ := l.text(path+"."+n, x)
			item.Removal.Topic = &topic
		case n == "force":
			item.Removal.Force, _ = l.flag(path+"."+n, x)
		}
	}
	if item.Ref == "" && len(l.faults) == 0 {
		l.fault(path+".recipient", "missing_required_field", "Say whose suppression to remove.")
	}
	return item
}

func listChangedOf(add, remove []feedback.Item, warnings []mail.Warning) listChanged {
	out := listChanged{Object: "batch", Data: make([]listLine, 0, len(add)+len(remove)), Warnings: warnings}
	for i := range add {
		line := listLine{Op: "add", Index: i, Recipient: add[i].Suppression.Address}
		if x := &add[i]; x.Done != nil {
			shape := suppressionShape(x.Done)
			shape.Created = &x.Created
			if line.Suppression = &shape; x.Created {
				out.Summary.Created++
			}
		}
		line.Error = lineFaultOf(add[i].Err)
		out.Data = append(out.Data, line)
	}
	for i := range remove {
		line := listLine{Op: "remove", Index: i, Recipient: clip(remove[i].Ref, 300)}
		if x := &remove[i]; x.Done != nil {
			shape := suppressionShape(x.Done)
			line.Suppression = &shape
			out.Summary.Removed++
		}
		line.Error = lineFaultOf(remove[i].Err)
		out.Data = append(out.Data, line)
	}
	for i := range out.Data {
		if out.Data[i].Error != nil {
			out.Summary.Failed++
		}
	}
	out.Summary.Total = len(out.Data)
	return out
}

func lineFaultOf(err error) *lineFault {
	var faults mail.Faults
	var several *feedback.SeveralError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &faults):
		out := &lineFault{Code: "validation_failed", Detail: "The line has invalid fields."}
		for _, e := range faults {
			out.Errors = append(out.Errors, lineField{e.Field, e.Pointer, e.Code, e.Message})
		}
		return out
	case errors.As(err, &several):
		return &lineFault{Code: "state_conflict", Detail: "This address is suppressed for several reasons. Say which to lift with 'reason' (and 'topic')."}
	case errors.Is(err, feedback.ErrComplaint):
		return &lineFault{Code: "state_conflict", Detail: "The recipient reported mail as spam. To write again all the same, say 'force': true."}
	}
	return &lineFault{Code: "not_found", Detail: "There is no such suppression."}
}
