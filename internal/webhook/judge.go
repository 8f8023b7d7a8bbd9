package webhook

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/postroad/postroad/internal/mail"
)

const (
	maxDescription = 500
	maxEvents      = 100
	maxFilter      = 50
	maxHeaders     = 20
	maxHeaderValue = 1024
	maxPace        = 10_000 // a second

	defaultPace = 50 // requests a second
)

// redactable are what an endpoint may want left out.
var redactable = []string{"subject", "recipient", "metadata"}

func fault(field, code, message string) *mail.Error {
	return &mail.Error{Code: code, Field: field, Pointer: "#/" + strings.NewReplacer(".", "/", "[", "/", "]", "").Replace(field), Message: message}
}

// tooMany makes the store's refusal one of the caller's faults.
func tooMany(err error) error {
	if errors.Is(err, mail.ErrExists) {
		return mail.Faults{fault("", "too_many", fmt.Sprintf("A project has at most %d webhooks: delete one that is not used any more.", MaxEndpoints))}
	}
	return err
}

// complete fills in the defaults.
func (e *Endpoint) complete() {
	for _, f := range []struct {
		to     *string
		preset string
	}{{&e.Payload, PayloadV1}, {&e.Format, FormatStandard}, {&e.Ordering, OrderNone}} {
		if *f.to == "" {
			*f.to = f.preset
		}
	}
	if e.MaxPerSecond == 0 {
		e.MaxPerSecond = defaultPace
	}
	for i, d := range e.Filters.Domains {
		e.Filters.Domains[i] = strings.ToLower(strings.TrimSpace(d))
	}
}

// Judge tells every fault of an endpoint that is not made; nil, or mail.Faults.
func (s *Service) Judge(ctx context.Context, n NewEndpoint) error {
	e := Endpoint{URL: n.URL, Description: n.Description, Events: n.Events, Filters: n.Filters, Redact: n.Redact,
		Payload: n.Payload, Format: n.Format, Ordering: n.Ordering, MaxPerSecond: n.MaxPerSecond, Headers: n.Headers}
	e.complete()
	return s.judge(ctx, &e, true)
}

// judge tells every fault of an endpoint at once. The URL is checked as the guard would
// when it is new.
func (s *Service) judge(ctx context.Context, e *Endpoint, newURL bool) error {
	var faults mail.Faults
	add := func(field, code, format string, args ...any) {
		faults = append(faults, fault(field, code, fmt.Sprintf(format, args...)))
	}
	if e.URL == "" {
		add("url", "missing_required_field", "Say where events are to be posted, e.g. https://app.example.com/hooks/mail.")
	} else if _, f := parseTarget(e.URL); f != nil {
		faults = append(faults, f)
	} else if newURL && s.o.Check != nil {
		if err := s.o.Check(ctx, e.URL); err != nil {
			var refused *mail.Error
			if !errors.As(err, &refused) {
				return err
			}
			faults = append(faults, refused)
		}
	}
	if n := len([]rune(e.Description)); n > maxDescription {
		add("description", "too_long", "The description has %d characters; %d are allowed.", n, maxDescription)
	}
	faults = append(faults, s.judgeEvents(e)...)
	for _, f := range []struct {
		field  string
		values []string
	}{{"filters.tags", e.Filters.Tags}, {"filters.domains", e.Filters.Domains}} {
		if len(f.values) > maxFilter {
			add(f.field, "too_many", "%d values are allowed.", maxFilter)
			continue
		}
		for i, v := range f.values {
			if v == "" || len(v) > 255 {
				add(fmt.Sprintf("%s[%d]", f.field, i), "invalid_value", "A value has 1 to 255 characters.")
			}
		}
	}
	if len(e.Redact) > len(redactable) {
		add("redact", "too_many", "What can be left out is %s, each once.", strings.Join(redactable, ", "))
		e.Redact = nil // told as a whole
	}
	for i, name := range e.Redact {
		if !slices.Contains(redactable, name) {
			add(fmt.Sprintf("redact[%d]", i), "invalid_value", "What can be left out is %s.", strings.Join(redactable, ", "))
		}
	}
	for _, f := range []struct {
		field, value string
		known        []string
	}{{"payload_version", e.Payload, []string{PayloadV1}}, {"format", e.Format, []string{FormatStandard, FormatHyvor}}, {"ordering", e.Ordering, []string{OrderNone, OrderPerMessage}}} {
		if !slices.Contains(f.known, f.value) {
			add(f.field, "invalid_value", "'%s' is not known; there is '%s'.", f.value, strings.Join(f.known, "' and '"))
		}
	}
	if e.MaxPerSecond < 1 || e.MaxPerSecond > maxPace {
		add("max_per_second", "invalid_value", "max_per_second is between 1 and %d.", maxPace)
	}
	faults = append(faults, judgeHeaders(e.Headers)...)
	if len(faults) > 0 {
		return faults
	}
	return nil
}

// judgeEvents wants at least one name that is known, or a family of them.
func (s *Service) judgeEvents(e *Endpoint) (faults mail.Faults) {
	if len(e.Events) == 0 {
		return mail.Faults{fault("events", "missing_required_field", "Say which events it wants: 'message.*', '*', or exact names.")}
	}
	if len(e.Events) > maxEvents {
		return mail.Faults{fault("events", "too_many", fmt.Sprintf("%d names are allowed; 'message.*' stands for all of a kind.", maxEvents))}
	}
	for i, name := range e.Events {
		if f := TypeFault(name); f != nil {
			f.Field, f.Pointer = fmt.Sprintf("events[%d]", i), fmt.Sprintf("#/events/%d", i)
			faults = append(faults, f)
		}
	}
	return faults
}

// taken are the headers an owner's own may not replace; so may none that begins with "content-" or "webhook-".
var taken = []string{"host", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect", "proxy-authorization", "proxy-connection",
	"user-agent", "x-signature", "x-postroad-attempt", "x-postroad-endpoint", "accept-encoding"}

func judgeHeaders(headers map[string]string) (faults mail.Faults) {
	if len(headers) > maxHeaders {
		return mail.Faults{fault("custom_headers", "too_many", fmt.Sprintf("%d headers are allowed.", maxHeaders))}
	}
	seen := make(map[string]bool, len(headers))
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		value := headers[name]
		field, lower := "custom_headers."+name, strings.ToLower(name)
		switch {
		case name == "" || len(name) > 128 || strings.ContainsFunc(name, notToken):
			faults = append(faults, fault(field, "invalid_value", "This is not the name of a header (RFC 9110 §5.6.2)."))
		case slices.Contains(taken, lower) || strings.HasPrefix(lower, "content-") || strings.HasPrefix(lower, "webhook-"):
			faults = append(faults, fault(field, "header_not_allowed", "This header is ours to set."))
		case seen[lower]:
			faults = append(faults, fault(field, "invalid_value", "This header is there twice, in other letters: which one is sent would be chance."))
		case len(value) > maxHeaderValue || strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }):
			faults = append(faults, fault(field, "invalid_value", fmt.Sprintf("A value is one line of at most %d bytes.", maxHeaderValue)))
		}
		seen[lower] = true
	}
	return faults
}

// notToken finds what may not stand in a header's name (RFC 9110 §5.6.2).
func notToken(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
}
