package clients

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	postroad "github.com/postroad/postroad/clients/go"
	"github.com/postroad/postroad/test/harness"
)

// answers are the schemas of the OpenAPI document with the types of the Go client for
// them. In TypeScript they have the same names.
var answers = map[string]any{
	"AcceptedMessage": postroad.Accepted{}, "Message": postroad.MessageRecord{}, "ListedMessage": postroad.MessageSummary{}, "Recipient": postroad.Recipient{},
	"TimelineEvent": postroad.TimelineEvent{}, "Attempt": postroad.DeliveryAttempt{}, "Content": postroad.MessageContent{}, "AttachmentFact": postroad.StoredAttachment{},
	"Bounce": postroad.Bounce{}, "SuppressedBy": postroad.Suppressing{}, "DryRun": postroad.DryRun{}, "Batch": postroad.BatchAccepted{}, "BatchItem": postroad.BatchItem{},
	"BatchSummary": postroad.BatchSummary{}, "Template": postroad.Template{}, "TemplateVersion": postroad.TemplateVersion{}, "TemplateProblem": postroad.TemplateProblem{},
	"TemplatePreview": postroad.TemplatePreview{}, "TemplateValidation": postroad.TemplateValidation{}, "TemplateDiff": postroad.TemplateDiff{}, "Domain": postroad.Domain{},
	"DKIMKey": postroad.DKIMKey{}, "DNSRecord": postroad.DNSRecord{}, "DomainHealth": postroad.DomainHealth{}, "Suppression": postroad.Suppression{},
	"SuppressionHistory": postroad.SuppressionEvent{}, "Job": postroad.Job{}, "Me": postroad.Me{}, "Project": postroad.Project{}, "APIKey": postroad.APIKey{},
	"Erasure": postroad.Erasure{}, "Health": postroad.HealthReport{}, "Fault": postroad.FieldError{}, "Warning": postroad.Warning{},
	"Webhook": postroad.Webhook{}, "WebhookSecret": postroad.WebhookSecret{}, "WebhookTry": postroad.WebhookTry{}, "WebhookDelivery": postroad.WebhookDelivery{},
	"WebhookTest": postroad.WebhookTest{}, "WebhookReplayCount": postroad.ReplayCount{}, "WebhookStats": postroad.WebhookStats{}, "EventType": postroad.EventTypeInfo{}, "Usage": postroad.Usage{}, "AuditEntry": postroad.AuditEntry{},
}

// beyond are fields that a Go type has for several answers at once, or for what is being built.
var beyond = map[string][]string{
	"APIKey":  {"secret", "old_key_id", "old_expires_at"},
	"Webhook": {"secret", "replay_job_id"},
}

// A field the server does not have is a mistake in a client: it would be empty for ever.
// One a client does not have yet is kept in what it calls raw, and only named here.
func TestTheClientsTypesHaveNoFieldsTheServerHasNot(t *testing.T) {
	t.Parallel()
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	schemas := readSchemas(t, filepath.Join(root, "internal", "httpapi", "reference", "openapi.json"))
	var source string
	for _, name := range []string{"types.ts", "hooks.ts"} {
		text, err := os.ReadFile(filepath.Join(root, "clients", "typescript", "src", name))
		if err != nil {
			t.Fatal(err)
		}
		source += string(text)
	}
	for name, value := range answers {
		schema, ok := schemas[name]
		if !ok {
			t.Errorf("the document has no schema %s", name)
			continue
		}
		kind := reflect.TypeOf(value)
		ours := fieldsOf(kind)
		compare(t, "Go's "+kind.Name(), ours, schema, beyond[name])
		theirs := interfaceOf(source, kind.Name())
		if len(theirs) == 0 {
			t.Errorf("types.ts has no interface %s", kind.Name())
			continue
		}
		compare(t, "TypeScript's "+kind.Name(), theirs, schema, beyond[name])
	}
}

func compare(t *testing.T, whose string, ours, schema, more []string) {
	t.Helper()
	for _, field := range ours {
		if !slices.Contains(schema, field) && !slices.Contains(more, field) {
			t.Errorf("%s has a field %s, which no answer has", whose, field)
		}
	}
	for _, field := range schema {
		if !slices.Contains(ours, field) {
			t.Logf("%s does not know %s", whose, field)
		}
	}
}

func readSchemas(t *testing.T, name string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for name, schema := range document.Components.Schemas {
		for field := range schema.Properties {
			out[name] = append(out[name], field)
		}
	}
	return out
}

// fieldsOf are the JSON names of a struct, those of embedded ones too.
func fieldsOf(kind reflect.Type) (names []string) {
	for i := range kind.NumField() {
		field := kind.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && name == "":
			names = append(names, fieldsOf(field.Type)...)
		case field.IsExported() && name != "" && name != "-":
			names = append(names, name)
		}
	}
	return names
}

// interfaceOf are the members of an interface as types.ts writes it: two blanks deep.
func interfaceOf(source, name string) (fields []string) {
	_, after, ok := strings.Cut(source, "export interface "+name+" {\n")
	if !ok {
		return nil
	}
	body, _, _ := strings.Cut(after, "\n}\n")
	for _, m := range regexp.MustCompile(`(?m)^  ([a-z_0-9]+)\??:`).FindAllStringSubmatch(body, -1) {
		fields = append(fields, m[1])
	}
	return fields
}
