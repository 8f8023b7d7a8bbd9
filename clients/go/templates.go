package postroad

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Templates keeps templates and their versions. A template is named by its id or alias.
type Templates struct{ c *Client }

// TemplateContent is what a version consists of.
type TemplateContent struct {
	Subject   string                  `json:"subject,omitempty"`
	HTML      string                  `json:"html,omitempty"`
	Text      string                  `json:"text,omitempty"` // "": made from the HTML
	Preheader string                  `json:"preheader,omitempty"`
	Locales   map[string]LocaleParts  `json:"locales,omitempty"` // by language tag
	Variables []TemplateVariableInput `json:"variables,omitempty"`
	Note      string                  `json:"note,omitempty"`
}

// LocaleParts are the parts of one language.
type LocaleParts struct {
	Subject   string `json:"subject,omitempty"`
	HTML      string `json:"html,omitempty"`
	Text      string `json:"text,omitempty"`
	Preheader string `json:"preheader,omitempty"`
}

// TemplateVariableInput declares a variable.
type TemplateVariableInput struct {
	Name     string `json:"name"`
	Type     string `json:"type,omitempty"`
	Required *bool  `json:"required,omitempty"` // nil: unless it has a default
	Default  any    `json:"default,omitempty"`
	Example  any    `json:"example,omitempty"`
}

// NewTemplate is a template with the content of its first draft.
type NewTemplate struct {
	Alias       string `json:"alias"`
	Name        string `json:"name,omitempty"`
	Description string `json:"description,omitempty"`
	Engine      string `json:"engine,omitempty"` // "handlebars" (default), "mustache"
	DefaultFrom string `json:"default_from,omitempty"`
	Layout      string `json:"layout,omitempty"`
	TemplateContent
}

// TemplateChange changes what is not content.
type TemplateChange struct {
	Alias       Optional[string] `json:"alias,omitzero"`
	Name        Optional[string] `json:"name,omitzero"`
	Description Optional[string] `json:"description,omitzero"`
	DefaultFrom Optional[string] `json:"default_from,omitzero"`
	Layout      Optional[string] `json:"layout,omitzero"`
}

// Template is a template; Published and Draft have its contents where one is shown.
type Template struct {
	Response
	TemplateID       string             `json:"template_id"`
	Object           string             `json:"object"`
	Alias            string             `json:"alias"`
	Name             string             `json:"name"`
	Description      string             `json:"description"`
	Engine           string             `json:"engine"`
	DefaultFrom      string             `json:"default_from"`
	Layout           string             `json:"layout"`
	PublishedVersion int                `json:"published_version"` // 0: none
	DraftVersion     int                `json:"draft_version"`
	Variables        []TemplateVariable `json:"variables"`
	CreatedAt        time.Time          `json:"created_at"`
	UpdatedAt        time.Time          `json:"updated_at"`
	UpdatedBy        string             `json:"updated_by"`
	ArchivedAt       time.Time          `json:"archived_at"`
	Published        *TemplateVersion   `json:"published"`
	Draft            *TemplateVersion   `json:"draft"`
	Problems         []TemplateProblem  `json:"problems"`
	Warnings         []Warning          `json:"warnings"`
}

// TemplateVariable is a name a template uses or declares.
type TemplateVariable struct {
	Name     string          `json:"name"`
	Type     string          `json:"type"`
	Required bool            `json:"required"`
	Default  json.RawMessage `json:"default"`
	Example  json.RawMessage `json:"example"`
}

// TemplateVersion is one version; lists leave its content out.
type TemplateVersion struct {
	Response
	Version           int                    `json:"version"`
	Object            string                 `json:"object"`
	State             string                 `json:"state"` // "draft", "published", "archived"
	Subject           string                 `json:"subject"`
	HTML              string                 `json:"html"`
	Text              string                 `json:"text"`
	Preheader         string                 `json:"preheader"`
	Locales           map[string]LocaleParts `json:"locales"`
	InlineCSS         bool                   `json:"inline_css"`
	SHA256            string                 `json:"sha256"`
	Note              string                 `json:"note"`
	CreatedAt         time.Time              `json:"created_at"`
	CreatedBy         string                 `json:"created_by"`
	PublishedAt       time.Time              `json:"published_at"`
	PublishedBy       string                 `json:"published_by"`
	InferredVariables []string               `json:"inferred_variables"`
	Variables         []TemplateVariable     `json:"variables"`
	Problems          []TemplateProblem      `json:"problems"`
	Warnings          []Warning              `json:"warnings"`
}

// TemplateProblem is something in a template that is or may go wrong.
type TemplateProblem struct {
	Severity string `json:"severity"`
	Code     string `json:"code"`
	Part     string `json:"part"`
	Line     int    `json:"line"` // from 1; 0: of the whole
	Column   int    `json:"column"`
	Message  string `json:"message"`
}

// TemplateFilter selects templates.
type TemplateFilter struct {
	Paging
	Text      string `query:"q"`
	Published *bool  `query:"published"`
}

// List lists templates.
func (t *Templates) List(filter TemplateFilter) *List[Template] {
	return listOf[Template](t.c, filter, "templates")
}

// Create makes a template; its content is draft 1, which must be published to be sent.
func (t *Templates) Create(ctx context.Context, n NewTemplate, options ...CallOption) (*Template, error) {
	return call[Template](ctx, t.c, http.MethodPost, at("templates"), n, options)
}

// Get gives a template with its published and draft contents.
func (t *Templates) Get(ctx context.Context, template string, options ...CallOption) (*Template, error) {
	return call[Template](ctx, t.c, http.MethodGet, at("templates", template), nil, options)
}

// Update changes alias, name, description, sender or layout.
func (t *Templates) Update(ctx context.Context, template string, change TemplateChange, options ...CallOption) (*Template, error) {
	return call[Template](ctx, t.c, http.MethodPatch, at("templates", template), change, options)
}

// Delete archives a template; [ErrConflict] while scheduled messages were made from it,
// unless [Force].
func (t *Templates) Delete(ctx context.Context, template string, options ...CallOption) error {
	return nothing(ctx, t.c, http.MethodDelete, at("templates", template), nil, options)
}

// Versions lists a template's versions.
func (t *Templates) Versions(template string, paging Paging) *List[TemplateVersion] {
	return listOf[TemplateVersion](t.c, struct{ Paging }{paging}, "templates", template, "versions")
}

// Version gives one with its content: a number, "published" or "draft".
func (t *Templates) Version(ctx context.Context, template, version string) (*TemplateVersion, error) {
	return call[TemplateVersion](ctx, t.c, http.MethodGet, at("templates", template, "versions", version), nil, nil)
}

// NewDraft is a new version.
type NewDraft struct {
	BasedOn int `json:"based_on,omitempty"` // the version whose parts hold where this one says nothing; 0: none
	TemplateContent
}

// CreateVersion makes a new draft.
func (t *Templates) CreateVersion(ctx context.Context, template string, d NewDraft, options ...CallOption) (*TemplateVersion, error) {
	return call[TemplateVersion](ctx, t.c, http.MethodPost, at("templates", template, "versions"), d, options)
}

// TemplateDiff is what differs between two versions, as unified diffs.
type TemplateDiff struct {
	Response
	Object string     `json:"object"`
	From   int        `json:"from"`
	To     int        `json:"to"`
	Parts  []PartDiff `json:"parts"`
}

// PartDiff is the difference in one part.
type PartDiff struct {
	Part   string `json:"part"`
	Locale string `json:"locale"`
	Diff   string `json:"diff"`
}

// Diff compares a version with another; against "" is the one before.
func (t *Templates) Diff(ctx context.Context, template, version, against string) (*TemplateDiff, error) {
	var options []CallOption
	if against != "" {
		options = append(options, param("against", against))
	}
	return call[TemplateDiff](ctx, t.c, http.MethodGet, at("templates", template, "versions", version, "diff"), nil, options)
}

// Publication says how a version is published.
type Publication struct {
	Note      string `json:"note,omitempty"`
	InlineCSS bool   `json:"inline_css,omitempty"` // styles are written into the elements
}

// Publish makes a version the one that is sent.
func (t *Templates) Publish(ctx context.Context, template string, version int, p Publication, options ...CallOption) (*Template, error) {
	return call[Template](ctx, t.c, http.MethodPost, at("templates", template, "versions", strconv.Itoa(version), "publish"), p, options)
}

// Rollback publishes an old version again, under a new number.
func (t *Templates) Rollback(ctx context.Context, template string, to int, note string, options ...CallOption) (*Template, error) {
	body := map[string]any{"to": to}
	if note != "" {
		body["note"] = note
	}
	return call[Template](ctx, t.c, http.MethodPost, at("templates", template, "rollback"), body, options)
}

// PreviewOrder is what to render with.
type PreviewOrder struct {
	Version      string                 `json:"version,omitempty"` // a number, "published" or "draft"
	TemplateData any                    `json:"template_data,omitempty"`
	Locale       string                 `json:"locale,omitempty"`
	Partials     map[string]LocaleParts `json:"partials,omitempty"`
}

// UnsavedPreview is content that is rendered without being kept.
type UnsavedPreview struct {
	Engine       string                 `json:"engine,omitempty"`
	Layout       string                 `json:"layout,omitempty"`
	TemplateData any                    `json:"template_data,omitempty"`
	Locale       string                 `json:"locale,omitempty"`
	Partials     map[string]LocaleParts `json:"partials,omitempty"`
	TemplateContent
}

// TemplatePreview is a rendered template.
type TemplatePreview struct {
	Response
	Object    string            `json:"object"`
	Template  *TemplateRef      `json:"template"`
	Subject   string            `json:"subject"`
	HTML      string            `json:"html"`
	Text      string            `json:"text"`
	SizeBytes int               `json:"size_bytes"` // of the HTML
	Missing   []string          `json:"missing"`
	Unused    []string          `json:"unused"`
	Problems  []TemplateProblem `json:"problems"`
	Warnings  []Warning         `json:"warnings"`
}

// Preview renders a template; nothing is sent.
func (t *Templates) Preview(ctx context.Context, template string, o PreviewOrder, options ...CallOption) (*TemplatePreview, error) {
	return call[TemplatePreview](ctx, t.c, http.MethodPost, at("templates", template, "preview"), o, options)
}

// PreviewUnsaved renders content that no template has yet.
func (t *Templates) PreviewUnsaved(ctx context.Context, o UnsavedPreview, options ...CallOption) (*TemplatePreview, error) {
	return call[TemplatePreview](ctx, t.c, http.MethodPost, at("templates", "preview"), o, options)
}

// TemplateValidation is what a look at a template found.
type TemplateValidation struct {
	Response
	Object   string            `json:"object"`
	Valid    bool              `json:"valid"`
	Problems []TemplateProblem `json:"problems"`
	Warnings []Warning         `json:"warnings"`
}

// Validate compiles a template and looks for what is known to go wrong.
func (t *Templates) Validate(ctx context.Context, template string, o PreviewOrder, options ...CallOption) (*TemplateValidation, error) {
	return call[TemplateValidation](ctx, t.c, http.MethodPost, at("templates", template, "validate"), o, options)
}

// TestSend is a message made from a template to try it.
type TestSend struct {
	Recipient       string `json:"recipient"`
	TemplateData    any    `json:"template_data,omitempty"`
	Version         string `json:"version,omitempty"`
	Locale          string `json:"locale,omitempty"`
	From            string `json:"from,omitempty"`
	Subject         string `json:"subject,omitempty"`
	StrictVariables *bool  `json:"strict_variables,omitempty"`
}

// TestSend sends a template, tagged "test".
func (t *Templates) TestSend(ctx context.Context, template string, s TestSend, options ...CallOption) (*Accepted, error) {
	return call[Accepted](ctx, t.c, http.MethodPost, at("templates", template, "test-send"), s, options)
}
