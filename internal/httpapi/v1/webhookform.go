package v1

import (
	"errors"
	"slices"
	"strings"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/webhook"
)

// webhookFields are what may be said of an endpoint.
var webhookFields = []string{"url", "events", "description", "filters", "redact", "payload_version", "format", "ordering", "max_per_second", "custom_headers"}

// readNewWebhook reads one member of a new endpoint; null is as if it were not there.
func readNewWebhook(f *form, name string, v value, n *webhook.NewEndpoint) {
	if v.isNull() {
		return
	}
	switch name {
	case "events":
		n.Events = f.texts(name, v)
	case "redact":
		n.Redact = f.texts(name, v)
	case "filters":
		n.Filters = readHookFilters(f, v)
	case "max_per_second":
		n.MaxPerSecond = readPace(f, v)
	case "custom_headers":
		n.Headers = readHookHeaders(f, v)
	case "status":
		s, ok := f.text(name, v)
		if ok && s != webhook.Enabled && s != webhook.Disabled {
			f.fault(name, "invalid_value", "'status' is 'enabled' or 'disabled'.")
		}
		n.Disabled = s == webhook.Disabled
	default:
		*map[string]*string{"url": &n.URL, "description": &n.Description, "payload_version": &n.Payload, "format": &n.Format, "ordering": &n.Ordering}[name], _ = f.text(name, v)
	}
}

// readWebhookEdit reads one change; null gives a field back its default.
func readWebhookEdit(f *form, name string, v value, d *webhook.Edit) {
	null := v.isNull()
	switch name {
	case "events", "redact":
		list := []string{}
		if !null {
			list = f.texts(name, v)
		}
		*map[string]**[]string{"events": &d.Events, "redact": &d.Redact}[name] = &list
	case "filters":
		var filters webhook.Filters
		if !null {
			filters = readHookFilters(f, v)
		}
		d.Filters = &filters
	case "max_per_second":
		pace := 0
		if !null {
			pace = readPace(f, v)
		}
		d.MaxPerSecond = &pace
	case "custom_headers":
		headers := map[string]string{}
		if !null {
			headers = readHookHeaders(f, v)
		}
		d.Headers = &headers
	case "status":
		f.fault(name, "invalid_value", "Change the status with POST …/enable and POST …/disable: enabling asks what is to become of the events that were missed.")
	default:
		text := ""
		if !null {
			text, _ = f.text(name, v)
		}
		*map[string]**string{"url": &d.URL, "description": &d.Description, "payload_version": &d.Payload, "format": &d.Format, "ordering": &d.Ordering}[name] = &text
	}
}

// readPace reads max_per_second. 0 would be the default to the service, and is none to a
// caller who writes it.
func readPace(f *form, v value) int {
	n, ok := f.integer("max_per_second", v)
	if ok && n == 0 {
		return -1
	}
	return int(max(min(n, 1<<31-1), -1<<31))
}

func readHookFilters(f *form, v value) (out webhook.Filters) {
	if v.kind() != '{' {
		f.wrongType("filters", v, `an object: {"tags":[],"domains":[]}`)
		return out
	}
	for w := v.walk(); ; {
		name, item, ok := w.next()
		switch {
		case !ok:
			return out
		case item.isNull():
		case string(name) == "tags":
			out.Tags = f.texts("filters.tags", item)
		case string(name) == "domains":
			out.Domains = f.texts("filters.domains", item)
		default:
			f.unknownField("filters", name, []string{"tags", "domains"})
		}
	}
}

func readHookHeaders(f *form, v value) map[string]string {
	out := map[string]string{}
	for _, h := range f.pairs("custom_headers", v) {
		out[h.Name] = h.Value
	}
	return out
}

// judgeWebhook answers every fault of a form, those of its types and those of what was said
// together. False: it has answered.
func (a *API) judgeWebhook(f *form, n *webhook.NewEndpoint) bool {
	if len(f.faults) == 0 {
		return true // the service judges when it makes it
	}
	var more mail.Faults
	if err := a.o.Webhooks.Judge(f.c.Context(), *n); err != nil && !errors.As(err, &more) {
		f.c.Fail(err)
		return false
	}
	found := f.faults
	for _, m := range more {
		if !slices.ContainsFunc(found, func(e *mail.Error) bool {
			return e.Field == m.Field || strings.HasPrefix(e.Field, m.Field+".") || strings.HasPrefix(e.Field, m.Field+"[")
		}) {
			f.faults = append(f.faults, m)
		}
	}
	return !f.failed()
}
