package v1

import (
	"context"
	"slices"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/submit"
)

// Resender sends an old message again, as a new one: submit.Service.
type Resender interface {
	Resend(ctx context.Context, who project.Principal, r *submit.ResendRequest) (*submit.Accepted, error)
}

// resendForm is {"recipients":["rcp_…"],"to":"other@x.test"}.
type resendForm struct {
	recipients []string
	to         *submit.AddressIn
}

// resend is POST /v1/messages/{message}/resend.
func (a *API) resend(c *httpapi.Call) {
	in := &resendForm{}
	f, ok := a.readForm(c, []string{"recipients", "to", "recipient", "latest_template"}, in.field)
	if !ok {
		return
	}
	turn, ok := f.start()
	if !ok {
		return
	}
	defer turn.Leave()
	record, ok := a.find(c)
	if !ok {
		return
	}
	r, err := a.resendRequest(c, f, in, turn, record)
	if err != nil {
		c.Fail(err)
		return
	}
	out, err := a.o.Resender.Resend(c.Context(), c.Who, r)
	if err != nil {
		c.Fail(err)
		return
	}
	if out.Replayed {
		c.Excuse()
	}
	c.Answer(out.Answer, f.key, out.Replayed)
}

func (in *resendForm) field(f *form, name string, v value) {
	switch {
	case v.isNull():
	case name == "recipients":
		in.recipients = f.texts(name, v)
	case name == "latest_template":
		if is, _ := f.flag(name, v); is {
			f.warn("not_supported", name, "The bytes are sent as they were: rendering again needs the data, which is not kept.")
		}
	case in.to != nil:
		f.fault(name, "mutually_exclusive", "Give one new recipient.")
	default:
		s := sendBody{r: &submit.Request{}}
		to, ok := s.address(name, v)
		f.faults, f.unknown = append(f.faults, s.faults...), append(f.unknown, s.unknown...)
		if ok {
			in.to = &to
		}
	}
	if in.to != nil && in.recipients != nil && (name == "recipients" || name == "to" || name == "recipient") {
		f.fault(name, "mutually_exclusive", "Give 'recipients' of the message or another address as 'to', not both.")
	}
}

func (a *API) resendRequest(c *httpapi.Call, f *form, in *resendForm, turn httpapi.Turn, record *archive.Record) (*submit.ResendRequest, error) {
	content, err := a.o.Archive.Content(c.Context(), record)
	if err != nil {
		return nil, err
	}
	t := &teller{requestID: c.RequestID, console: a.consoleLink(c), warnings: f.allWarnings()}
	r := &submit.ResendRequest{Key: f.key, Route: c.R.Method + " " + c.R.URL.Path, RequestID: c.RequestID, Via: via(c), Arrived: c.Arrived,
		Original: &record.Message, Content: content, To: in.to, Answer: t.answer}
	if turn.Once != nil {
		r.Fingerprint = turn.Once.Fingerprint
		t.fingerprint = r.Fingerprint
	}
	r.Again, err = again(record.Deliveries, in.recipients)
	return r, err
}

// again picks the recipients a resend names; none means all.
func again(deliveries []mail.Delivery, named []string) ([]submit.Again, error) {
	var faults mail.Faults
	for i, name := range named {
		if !slices.ContainsFunc(deliveries, func(d mail.Delivery) bool { return d.ID.Text(mail.PrefixRecipient) == name }) {
			field := indexed("recipients", i)
			faults = append(faults, &mail.Error{Code: "invalid_value", Field: field, Pointer: mail.PointerTo(field), Message: "The message has no such recipient."})
		}
	}
	if faults != nil {
		return nil, faults
	}
	var out []submit.Again
	for i := range deliveries {
		d := &deliveries[i]
		if len(named) == 0 || slices.Contains(named, d.ID.Text(mail.PrefixRecipient)) {
			out = append(out, submit.Again{Address: mail.Address{Name: d.Name, Email: d.Address}, Type: d.Type})
		}
	}
	return out, nil
}
