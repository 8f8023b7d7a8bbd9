package eventlog

import (
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// Events that are about no message carry what they are about as it was then, in
// mail.Detail.Facts: engines put it there with the About functions when they write them.

type (
	suppressionFacts struct {
		ID        string  `json:"suppression_id"`
		Object    string  `json:"object"`
		Recipient *string `json:"recipient" doc:"The address; null where the endpoint redacts it."`
		Reason    string  `json:"reason" doc:"As whoever caused it wrote it."`
		Kind      string  `json:"kind" doc:"complaint, hard_bounce, manual or unsubscribe."`
		Topic     *string `json:"topic" doc:"Null: all mail."`
		Source    *string `json:"source" doc:"system, api, console, recipient or import."`
		MessageID *string `json:"message_id" doc:"The message that caused it."`
		Detail    *string `json:"detail" doc:"For example the site's reply."`
		Note      *string `json:"note"`
		CreatedAt *stamp  `json:"created_at"`
		ExpiresAt *stamp  `json:"expires_at"`
	}
	domainFacts struct {
		ID      string            `json:"domain_id"`
		Object  string            `json:"object"`
		Name    string            `json:"name"`
		Status  *string           `json:"status" doc:"pending, verified, degraded, failed or suspended."`
		CanSend *bool             `json:"can_send"`
		Checks  map[string]string `json:"checks" doc:"What was found of its records: pass, warn, fail …"`
	}
	templateFacts struct {
		ID     string `json:"template_id"`
		Object string `json:"object"`
		Alias  string `json:"alias"`
		Name   string `json:"name,omitzero"`
	}
	keyFacts struct {
		ID          string   `json:"key_id"`
		Object      string   `json:"object"`
		Name        string   `json:"name"`
		Prefix      *string  `json:"prefix" doc:"How its secret begins."`
		Environment *string  `json:"environment"`
		Scopes      []string `json:"scopes"`
		AllowedFrom []string `json:"allowed_from"`
		IPAllowlist []string `json:"ip_allowlist"`
		Enabled     *bool    `json:"enabled"`
		CreatedBy   *string  `json:"created_by"`
		CreatedAt   *stamp   `json:"created_at"`
		ExpiresAt   *stamp   `json:"expires_at"`
	}
	// WebhookFacts is a webhook as events tell of it.
	WebhookFacts struct {
		ID             string  `json:"webhook_id"`
		Object         string  `json:"object"`
		URL            string  `json:"url"`
		Description    *string `json:"description"`
		Status         string  `json:"status" doc:"enabled or disabled."`
		DisabledReason *string `json:"disabled_reason"`
	}
)

// maxFacts bounds what is kept of an object, in bytes; lists are left out beyond it.
const maxFacts = 4000

// Facts are kept with the row of what they are about: a dialect's number for it, also once
// it is gone. The envelope does not show it.
type (
	numberedSuppression struct {
		suppressionFacts
		Row int64 `json:"row,omitzero"`
	}
	numberedDomain struct {
		domainFacts
		Row int64 `json:"row,omitzero"`
	}
)

// RowOf is the row in the Facts of a suppression.* or domain.* event; 0: it has none.
func RowOf(e *mail.Event) int64 {
	var n struct {
		Row int64 `json:"row"`
	}
	if len(e.Detail.Facts) == 0 || json.Unmarshal(e.Detail.Facts, &n) != nil {
		return 0
	}
	return n.Row
}

// AboutSuppression is the Facts of suppression.* events.
func AboutSuppression(s *mail.Suppression) jsontext.Value {
	return facts(numberedSuppression{Row: s.Row, suppressionFacts: suppressionFacts{ID: s.ID.Text(mail.PrefixSuppression), Object: "suppression", Recipient: orNull(s.Address), Reason: s.Reason, Kind: s.Kind,
		Topic: orNull(s.Topic), Source: orNull(s.Source), MessageID: orNull(s.Message.Text(mail.PrefixMessage)), Detail: orNull(clip(s.Detail, 1000)),
		Note: orNull(clip(s.Note, 1000)), CreatedAt: stampOf(s.CreatedAt), ExpiresAt: stampOf(s.ExpiresAt)}})
}

// AboutDomain is the Facts of domain.* events.
func AboutDomain(d *project.Domain) jsontext.Value {
	can := d.CanSend()
	return facts(numberedDomain{Row: d.Row, domainFacts: domainFacts{ID: d.ID.Text(mail.PrefixDomain), Object: "domain", Name: d.Name, Status: orNull(d.Status), CanSend: &can, Checks: d.Checks}})
}

// AboutTemplate is the Facts of template.* events.
func AboutTemplate(id mail.ID, alias, name string) jsontext.Value {
	return facts(templateFacts{ID: id.Text(mail.PrefixTemplate), Object: "template", Alias: alias, Name: clip(name, 500)})
}

// AboutKey is the Facts of api_key.* events: never the secret, nor its hash.
func AboutKey(k *project.Key) jsontext.Value {
	enabled, env := !k.Disabled && k.RevokedAt.IsZero(), k.Env.String()
	out := keyFacts{ID: mail.PrefixKey + "_" + k.ID, Object: "api_key", Name: clip(k.Name, 200), Prefix: orNull(k.Prefix), Environment: &env, Scopes: list(k.Scopes),
		AllowedFrom: list(k.AllowedFrom), IPAllowlist: list(k.IPAllowlist), Enabled: &enabled, CreatedBy: orNull(k.CreatedBy),
		CreatedAt: stampOf(k.CreatedAt), ExpiresAt: stampOf(k.ExpiresAt)}
	b := facts(out)
	if len(b) > maxFacts {
		out.Scopes, out.AllowedFrom, out.IPAllowlist = []string{}, []string{}, []string{}
		b = facts(out)
	}
	return b
}

// AboutWebhook is the Facts of webhook.* events.
func AboutWebhook(h WebhookFacts) jsontext.Value {
	h.Object, h.URL = "webhook", clip(h.URL, 2000)
	if h.Description != nil {
		d := clip(*h.Description, 500)
		h.Description = &d
	}
	return facts(h)
}

func facts(v any) jsontext.Value {
	b, err := json.Marshal(v, marshalOptions)
	if err != nil {
		return nil // shapes of ours always marshal; a test holds it
	}
	return b
}

func list(in []string) []string { return append([]string{}, in...) }

func clip(s string, n int) string {
	w := writing{}
	return w.cut("", s, n)
}

type (
	suppressionData struct {
		Suppression suppressionFacts `json:"suppression"`
		By          actorData        `json:"by"`
		Truncated   *[]string        `json:"truncated,omitempty" doc:"Names of fields that were cut, because an event stays under 8 KB."`
	}
	domainData struct {
		Domain   domainFacts       `json:"domain"`
		Previous *string           `json:"previous_status"`
		Checks   map[string]string `json:"checks"`
	}
	templateData struct {
		Template templateFacts `json:"template"`
		Version  int           `json:"version"`
		Previous *int          `json:"previous_version"`
		By       actorData     `json:"by"`
	}
	keyData struct {
		Key keyFacts  `json:"api_key"`
		By  actorData `json:"by"`
	}
	rotatedData struct {
		keyData      `json:",inline"`
		PreviousID   *string `json:"previous_key_id" doc:"The key that was rotated."`
		OldExpiresAt *stamp  `json:"old_expires_at" doc:"Until when that one works."`
	}
	webhookData struct {
		Webhook WebhookFacts `json:"webhook"`
		Summary *string      `json:"summary" doc:"What happened, in a sentence."`
	}
	testData struct {
		Webhook *WebhookFacts `json:"webhook"`
		Message string        `json:"message"`
	}
)

// objectData makes the data of each type that is about no message.
var objectData = map[mail.EventType]func(*writing) (any, error){
	mail.EventSuppressionCreated: aboutSuppression,
	mail.EventSuppressionDeleted: aboutSuppression,
	mail.EventDomainCreated:      aboutDomain,
	mail.EventDomainVerified:     aboutDomain,
	mail.EventDomainDegraded:     aboutDomain,
	mail.EventDomainFailed:       aboutDomain,
	mail.EventDomainDeleted:      aboutDomain,
	mail.EventTemplatePublished:  aboutTemplate,
	mail.EventKeyCreated:         aboutKey,
	mail.EventKeyRotated:         aboutRotation,
	mail.EventKeyRevoked:         aboutKey,
	mail.EventKeyExpiring:        aboutKey,
	mail.EventWebhookFailing:     aboutWebhook,
	mail.EventWebhookDisabled:    aboutWebhook,
	mail.EventWebhookRecovered:   aboutWebhook,
	mail.EventWebhookTest:        aboutTest,
}

// readFacts fills in what the event carries. Events of versions before this one carry
// nothing: then what their other fields say stays.
func (w *writing) readFacts(into any) error {
	if len(w.e.Detail.Facts) == 0 {
		return nil
	}
	if err := json.Unmarshal(w.e.Detail.Facts, into); err != nil {
		return fmt.Errorf("read its facts: %w", err)
	}
	return nil
}

func aboutSuppression(w *writing) (any, error) {
	d := &w.e.Detail
	s := suppressionFacts{ID: d.SuppressionID, Object: "suppression", Recipient: orNull(d.Recipient), Reason: d.Reason, ExpiresAt: stampPtr(d.ExpiresAt)}
	if d.Suppression != nil {
		s.Kind, s.CreatedAt = d.Suppression.Kind, stampOf(d.Suppression.Since)
	}
	if err := w.readFacts(&s); err != nil {
		return nil, err
	}
	if w.redacted("recipient") {
		s.Recipient = nil
	}
	for _, text := range []**string{&s.Detail, &s.Note} {
		if *text != nil {
			*text = orNull(w.theirs("suppression", **text))
		}
	}
	s.Reason = w.ours("reason", s.Reason)
	return suppressionData{s, actorOf(d.By), &w.truncated}, nil
}

func aboutDomain(w *writing) (any, error) {
	d := &w.e.Detail
	f := domainFacts{ID: d.Object, Object: "domain", Name: d.Summary}
	err := w.readFacts(&f)
	return domainData{f, orNull(d.Previous), f.Checks}, err
}

func aboutTemplate(w *writing) (any, error) {
	d := &w.e.Detail
	out := templateData{Template: templateFacts{ID: d.Object, Object: "template", Alias: d.Template}, Version: d.Version, By: actorOf(d.By)}
	if d.Before > 0 {
		out.Previous = &d.Before
	}
	return out, w.readFacts(&out.Template)
}

func aboutKey(w *writing) (any, error) {
	d := &w.e.Detail
	f := keyFacts{ID: d.Object, Object: "api_key", Name: d.Summary, Scopes: []string{}, AllowedFrom: []string{}, IPAllowlist: []string{}}
	err := w.readFacts(&f)
	return keyData{f, actorOf(d.By)}, err
}

// aboutRotation: the key is the new one.
func aboutRotation(w *writing) (any, error) {
	d := &w.e.Detail
	about, err := aboutKey(w)
	if err != nil {
		return nil, err
	}
	return rotatedData{about.(keyData), orNull(d.Previous), stampPtr(d.ExpiresAt)}, nil
}

func aboutWebhook(w *writing) (any, error) {
	f := WebhookFacts{ID: w.e.Detail.Object, Object: "webhook"}
	err := w.readFacts(&f)
	f.URL = w.theirs("url", f.URL)
	return webhookData{f, orNull(w.theirs("summary", w.e.Detail.Summary))}, err
}

func aboutTest(w *writing) (any, error) {
	out := testData{Message: "This is a test. Nothing happened."}
	if len(w.e.Detail.Facts) == 0 {
		return out, nil
	}
	out.Webhook = &WebhookFacts{}
	err := w.readFacts(out.Webhook)
	out.Webhook.URL = w.theirs("url", out.Webhook.URL)
	return out, err
}
