package submit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/mime"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/render"
	"github.com/postroad/postroad/internal/tracking"
)

// draft is one request on its way to becoming a message, and what is wrong with it.
type draft struct {
	s   *Service
	who project.Principal
	r   *Request
	now time.Time

	message    *mail.Message
	recipients []recipient
	body       render.Body
	headers    []mail.Header
	files      []mime.Attachment
	oneClick   bool            // recipients can unsubscribe by our link
	track      tracking.Wanted // what is counted
	hosted     []hosted
	kept       []NewFile // the hosted ones, once they are on disk
	toDisk     bool      // the bytes go to disk however few they are

	faults   mail.Faults
	warnings []mail.Warning
	refusal  *mail.Error // not about a field: goes before the faults
}

// recipient is one address a message must reach.
type recipient struct {
	mail.Address
	kind       mail.RecipientType
	folded     string
	field      string
	suppressed *mail.SuppressedBy
}

func (s *Service) newDraft(who project.Principal, r *Request) *draft {
	now := s.stamp()
	d := &draft{s: s, who: who, r: r, now: now, message: &mail.Message{
		ID: mail.NewID(now), Owner: who.Owner, CreatedAt: now, Via: r.Via, IdempotencyKey: r.Key,
		ResentFrom: r.ResentFrom, Topic: r.Topic, Supersedes: r.Supersedes,
	}}
	if who.Key != nil {
		d.message.KeyID = who.Key.ID
	}
	return d
}

// judge looks at every field and gives all faults together. An error that is neither
// mail.Faults nor a *mail.Error is ours.
func (d *draft) judge(ctx context.Context) error {
	if err := d.s.refused(d.who); err != nil {
		return err
	}
	d.readDoor()
	d.readRecipients()
	if err := d.readContent(ctx); err != nil {
		return err
	}
	if err := d.readSender(ctx); err != nil {
		return err
	}
	d.readReplyTo()
	d.readHeaders()
	d.readAttachments()
	d.readTimes()
	d.readLabels()
	d.readWishes()
	if err := d.verdict(); err != nil {
		return err
	}
	d.link()
	return nil
}

func (d *draft) verdict() error {
	if d.refusal != nil {
		return d.refusal
	}
	if len(d.faults) > 0 {
		return d.faults
	}
	return nil
}

// readDoor takes over what the door found. Unknown fields are faults for those who
// asked for strictness.
func (d *draft) readDoor() {
	d.faults = append(d.faults, d.r.Faults...)
	d.warnings = append(d.warnings, d.r.Warnings...)
	if !d.r.Strict && !(d.who.Project != nil && d.who.Project.Settings.StrictFields) {
		d.warnings = append(d.warnings, d.r.Unknown...)
		return
	}
	for _, w := range d.r.Unknown {
		d.faults = append(d.faults, UnknownField(w))
	}
}

// UnknownField is a warning about an unknown field as the fault it is to those who asked for
// strictness: what is refused was not ignored.
func UnknownField(w mail.Warning) *mail.Error {
	text, ignored := strings.CutSuffix(w.Message, " It was ignored.")
	if !ignored {
		text = "There is no such field. " + text
	}
	return &mail.Error{Code: "unknown_field", Field: mail.FieldAt(w.Pointer), Pointer: w.Pointer, Message: text}
}

// maxContentSeconds is what a project's content_retention_days may be, in seconds.
const maxContentSeconds = 3650 * 24 * 3600

// readLabels judges how long the content is kept, tier, topic, tags, metadata and supersedes.
func (d *draft) readLabels() {
	m := d.message
	tier, ok := mail.ParseTier(d.r.Tier)
	if !ok && d.r.Tier != "" {
		d.fault("invalid_value", "priority", "'priority' is 'urgent', 'normal' or 'bulk'.")
	}
	m.Tier = tier
	if keep := d.r.ContentSeconds; keep != nil && (*keep < 0 || *keep > maxContentSeconds) {
		d.fault("invalid_value", "content_retention_seconds", fmt.Sprintf("'content_retention_seconds' is between 0 and %d (ten years).", int64(maxContentSeconds)))
	}
	m.ContentSeconds = d.r.ContentSeconds
	d.label("topic", d.r.Topic, d.s.limits.Topic)
	d.label("supersedes", d.r.Supersedes, d.s.limits.Supersedes)
	if len(d.r.Tags) > d.s.limits.Tags {
		d.fault("too_many", "tags", fmt.Sprintf("At most %d tags.", d.s.limits.Tags))
	}
	for i, tag := range d.r.Tags[:min(len(d.r.Tags), 100)] {
		field := indexed("tags", i)
		if tag == "" {
			d.fault("invalid_value", field, "A tag must not be empty.")
		} else if d.label(field, tag, d.s.limits.Tag); !contains(m.Tags, tag) {
			m.Tags = append(m.Tags, tag)
		}
	}
	d.readMetadata()
}

func (d *draft) readMetadata() {
	if len(d.r.Metadata) == 0 {
		return
	}
	limits := &d.s.limits
	if len(d.r.Metadata) > limits.Metadata {
		d.fault("too_many", "metadata", fmt.Sprintf("At most %d keys.", limits.Metadata))
	}
	d.message.Metadata = make(map[string]string, min(len(d.r.Metadata), limits.Metadata))
	for _, kv := range d.r.Metadata[:min(len(d.r.Metadata), 2*limits.Metadata)] {
		field, pointer := "metadata."+kv.Name, "#/metadata"+mail.PointerStep(kv.Name)
		switch {
		case kv.Name == "":
			d.faultAt("invalid_value", "metadata", "#/metadata/", "A metadata key must not be empty.")
		case utf8.RuneCountInString(kv.Name) > limits.MetadataText || utf8.RuneCountInString(kv.Value) > limits.MetadataText:
			d.faultAt("too_long", clip(field), clip(pointer), fmt.Sprintf("Keys and values have at most %d characters.", limits.MetadataText))
		case strings.ContainsFunc(kv.Name, unicode.IsControl):
			d.faultAt("invalid_value", field, pointer, "A metadata key must not hold control characters.")
		}
		d.message.Metadata[kv.Name] = kv.Value
	}
}

// label judges one short text.
func (d *draft) label(field, text string, most int) {
	switch {
	case len(text) > most && utf8.RuneCountInString(text) > most:
		d.fault("too_long", field, fmt.Sprintf("At most %d characters.", most))
	case !mime.CleanValue(text):
		d.injected(field)
	case strings.ContainsFunc(text, unicode.IsControl):
		d.fault("invalid_value", field, "It must not hold control characters.")
	}
}

func contains(list []string, s string) bool {
	for _, have := range list {
		if have == s {
			return true
		}
	}
	return false
}

func (d *draft) fault(code, field, message string) {
	d.faultAt(code, field, mail.PointerTo(field), message)
}

func (d *draft) faultAt(code, field, pointer, message string) {
	d.faults = append(d.faults, &mail.Error{Code: code, Field: field, Pointer: pointer, Message: message})
}

func (d *draft) injected(field string) {
	d.fault("header_injection", field, "It holds a line break or a NUL character, which mail headers cannot have. Remove it.")
}

func (d *draft) warn(code, field, message string) {
	pointer := ""
	if field != "" {
		pointer = mail.PointerTo(field)
	}
	d.warnings = append(d.warnings, mail.Warning{Code: code, Pointer: pointer, Message: message})
}

// adopt takes an error of rendering: the caller's faults join the others, ours come back.
func (d *draft) adopt(err error) error {
	var faults mail.Faults
	var fault *mail.Error
	switch {
	case errors.As(err, &faults):
		d.faults = append(d.faults, faults...)
	case errors.As(err, &fault):
		d.faults = append(d.faults, fault)
	default:
		return fmt.Errorf("render: %w", err)
	}
	return nil
}

func indexed(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }

// clip keeps a caller's own words in a fault short.
func clip(s string) string {
	if len(s) <= 100 {
		return s
	}
	return strings.ToValidUTF8(s[:100], "") + "…"
}
