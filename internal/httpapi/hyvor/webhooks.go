package hyvor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/webhook"
)

// Webhooks keeps the endpoints of hooks: webhook.Service.
type Webhooks interface {
	Create(ctx context.Context, owner mail.Owner, n webhook.NewEndpoint, once *mail.Once, answer func(webhook.Endpoint) mail.Answer) (webhook.Endpoint, string, error)
	List(ctx context.Context, owner mail.Owner) ([]webhook.Endpoint, error)
	Update(ctx context.Context, owner mail.Owner, id mail.ID, d webhook.Edit) (webhook.Endpoint, error)
	Delete(ctx context.Context, owner mail.Owner, id mail.ID, ifVersion int64, by string) error
	SecretOf(e *webhook.Endpoint) (webhook.Secrets, error)
	Deliveries(ctx context.Context, q webhook.DeliveryQuery) ([]webhook.Delivery, error)
}

type webhookOut struct {
	ID          int64    `json:"id"`
	URL         string   `json:"url"`
	Description *string  `json:"description"`
	Events      []string `json:"events"`
	Secret      *string  `json:"secret"`
}

type hookDeliveryOut struct {
	ID        int64   `json:"id"`
	CreatedAt int64   `json:"created_at"`
	URL       string  `json:"url"`
	Event     string  `json:"event"`
	Status    string  `json:"status"`
	Response  *string `json:"response"`
	Code      *int    `json:"response_code"`
	Tries     int     `json:"try_count"`
	Body      string  `json:"request_body"`
}

const maxURL = 255

func webhookOf(e *webhook.Endpoint) webhookOut {
	return webhookOut{ID: e.Row, URL: e.URL, Description: orNull(e.Description), Events: namesOf(e)}
}

// listWebhooks shows secrets to those who could change them.
func (a *API) listWebhooks(c *httpapi.Call) (any, error) {
	all, err := a.o.Webhooks.List(c.Context(), c.Who.Owner)
	if err != nil {
		return nil, err
	}
	newestFirst(all, func(e *webhook.Endpoint) int64 { return e.Row })
	out := make([]webhookOut, len(all))
	for i := range all {
		out[i] = webhookOf(&all[i])
		if !c.Who.Key.Has("webhooks.write") {
			continue
		}
		s, err := a.o.Webhooks.SecretOf(&all[i])
		if err != nil {
			return nil, err
		}
		out[i].Secret = &s.Secret
	}
	return out, nil
}

// webhookInput is what a body says of a webhook; nil: nothing.
type webhookInput struct {
	url, description *string
	events           []string
}

func readWebhook(c *httpapi.Call) (in webhookInput, wrong faults, err error) {
	f, err := readFields(c)
	if err != nil {
		return in, nil, err
	}
	if url, ok := f.textOf("url", &wrong); ok {
		in.url = &url
		switch {
		case url == "":
			wrong.add("url", textBlank)
		case utf8.RuneCountInString(url) > maxURL:
			wrong.add("url", textTooLong(maxURL))
		}
	}
	if _, there := f["description"]; there { // null takes it away
		said, _ := f.textOf("description", &wrong)
		in.description = &said
	}
	var given bool
	if in.events, given = f.textsOf("events", &wrong); given && len(in.events) == 0 && wrong == nil {
		wrong.add("events", textBlank)
	}
	for i, name := range in.events {
		if !isHookEvent(name) {
			wrong.add(fmt.Sprintf("events[%d]", i), textChoice)
		}
	}
	return in, wrong, nil
}

func (a *API) createWebhook(c *httpapi.Call) (any, error) {
	in, wrong, err := readWebhook(c)
	if err != nil {
		return nil, err
	}
	if in.url == nil && !wrong.about("url") {
		wrong.add("url", textBlank)
	}
	if in.events == nil && !wrong.about("events") {
		wrong.add("events", textBlank)
	}
	if wrong != nil {
		return nil, wrong.refusal()
	}
	n := webhook.NewEndpoint{URL: *in.url, Events: typesOf(in.events), Names: distinct(in.events), Format: webhook.FormatHyvor, By: c.Who.By()}
	if in.description != nil {
		n.Description = *in.description
	}
	e, secret, err := a.o.Webhooks.Create(c.Context(), c.Who.Owner, n, nil, nil)
	if err != nil {
		return nil, webhookFault(err)
	}
	out := webhookOf(&e)
	out.Secret = &secret
	return out, nil
}

// webhookFault puts the core's faults of an endpoint into this dialect's words.
func webhookFault(err error) error {
	var found mail.Faults
	if !errors.As(err, &found) {
		return err
	}
	var wrong faults
	for _, e := range found {
		switch {
		case e.Field == "" || e.Code == "too_many" && e.Field != "events":
			return bad("%s", e.Message) // of the project, not of a field
		case e.Field == "url" && e.Code == "invalid_value":
			wrong.add("url", textURL)
		default:
			wrong.add(e.Field, e.Message)
		}
	}
	return wrong.err()
}

// webhookByRow gives the endpoint a path names by number.
func (a *API) webhookByRow(c *httpapi.Call, written string) (webhook.Endpoint, error) {
	row, err := number(written)
	if err != nil {
		return webhook.Endpoint{}, err
	}
	all, err := a.o.Webhooks.List(c.Context(), c.Who.Owner)
	if err != nil {
		return webhook.Endpoint{}, err
	}
	if i := slices.IndexFunc(all, func(e webhook.Endpoint) bool { return e.Row == row }); i >= 0 {
		return all[i], nil
	}
	return webhook.Endpoint{}, a.entity(c, ThingWebhook, row)
}

func (a *API) patchWebhook(c *httpapi.Call) (any, error) {
	e, err := a.webhookByRow(c, c.Param(0))
	if err != nil {
		return nil, err
	}
	in, wrong, err := readWebhook(c)
	if err != nil {
		return nil, err
	}
	if wrong != nil {
		return nil, wrong.refusal()
	}
	d := webhook.Edit{URL: in.url, Description: in.description, By: c.Who.By()}
	if in.events != nil {
		types := typesOf(in.events)
		d.Events, d.Names = &types, distinct(in.events)
	}
	if e, err = a.o.Webhooks.Update(c.Context(), c.Who.Owner, e.ID, d); err != nil {
		return nil, webhookFault(err)
	}
	return webhookOf(&e), nil
}

func (a *API) deleteWebhook(c *httpapi.Call) (any, error) {
	e, err := a.webhookByRow(c, c.Param(0))
	if err != nil {
		return nil, err
	}
	return []int{}, a.o.Webhooks.Delete(c.Context(), c.Who.Owner, e.ID, 0, c.Who.By())
}

// A delivery's number is the place of its event in the log and its endpoint's number: the
// same two have the same for ever, and it grows with the log. It stays below 2^53, which
// JavaScript can count to, for 10^11 events.
const endpointBits = 14

func deliveryNumber(d *webhook.Delivery) int64 {
	endpoint, _ := webhook.SplitHookID(d.ID)
	return d.Position<<endpointBits | endpoint&(1<<endpointBits-1)
}

// keptResponse is how much of a response is shown, in bytes.
const keptResponse = 1024

func (a *API) listHookDeliveries(c *httpapi.Call) (any, error) {
	q := c.R.URL.Query()
	limit, _, err := page(q)
	if err != nil {
		return nil, err
	}
	find := webhook.DeliveryQuery{Owner: c.Who.Owner, Limit: limit, Last: true, Bodies: true}
	if v := q.Get("webhook_id"); v != "" {
		e, err := a.webhookByRow(c, v)
		if err != nil {
			return nil, err
		}
		find.Endpoint = e.ID
	}
	before := int64(0)
	if v := q.Get("before_id"); v != "" {
		if before, err = strconv.ParseInt(v, 10, 64); err != nil || before <= 0 {
			return nil, invalid("before_id", textInt)
		}
		find.After = before>>endpointBits + 1     // of the same event there may be more
		find.Limit = limit + webhook.MaxEndpoints // so that the page is full when they are left out
	}
	out := []hookDeliveryOut{}
	if limit == 0 {
		return out, nil
	}
	all, err := a.o.Webhooks.Deliveries(c.Context(), find)
	if err != nil {
		return nil, err
	}
	newestFirst(all, func(d *webhook.Delivery) int64 { return deliveryNumber(d) })
	for i := range all {
		if n := deliveryNumber(&all[i]); before > 0 && n >= before || len(out) == limit {
			continue
		}
		out = append(out, hookDeliveryOf(&all[i]))
	}
	return out, nil
}

func hookDeliveryOf(d *webhook.Delivery) hookDeliveryOut {
	out := hookDeliveryOut{ID: deliveryNumber(d), CreatedAt: d.CreatedAt.Unix(), URL: d.URL, Event: eventOfBody(d), Status: d.Status, Tries: d.Attempts, Body: string(d.Body)}
	if d.Status == webhook.Parked {
		out.Status = webhook.Pending
	}
	if len(d.Tries) > 0 {
		last := d.Tries[len(d.Tries)-1]
		said := last.Response
		if last.Status == 0 {
			said = last.Error // a network error is a response's text with code 0
		}
		said, code := cutText(said, keptResponse), last.Status
		out.Response, out.Code = &said, &code
	}
	return out
}

// eventOfBody is the event's name as it was sent; that of an endpoint of another format is
// what this dialect would call it.
func eventOfBody(d *webhook.Delivery) string {
	if f, err := readValue(d.Body); err == nil && f.Kind() == '{' {
		name := ""
		_ = members(f, func(member string, v jsontext.Value) error {
			if member == "event" && v.Kind() == '"' {
				name = text(v)
			}
			return nil
		})
		if name != "" {
			return name
		}
	}
	if name := nameOf(&mail.Event{Type: d.Type}); name != "" {
		return name
	}
	return string(d.Type)
}

// cutText shortens to at most n bytes, not within a character.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func distinct(list []string) (out []string) {
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
