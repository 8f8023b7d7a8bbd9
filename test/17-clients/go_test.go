package clients

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	postroad "github.com/postroad/postroad/clients/go"
	"github.com/postroad/postroad/test/harness"
)

// start gives a server in a world of its own, and a client of its test environment.
func start(t *testing.T) (*harness.Postroad, *harness.World, *postroad.Client) {
	t.Helper()
	w := harness.OpenWorld(t)
	p := harness.Start(t, harness.Options{Env: w.Env()})
	c, err := postroad.New(postroad.WithBaseURL(p.URL), postroad.WithAPIKey(harness.TestKey))
	if err != nil {
		t.Fatal(err)
	}
	return p, w, c
}

// must gives a call's answer, or ends the test.
func must[T any](t *testing.T) func(T, error) T {
	return func(got T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
}

func TestTheGoClientDoesEveryOperation(t *testing.T) {
	t.Parallel()
	p, w, c := start(t)
	t.Run("group", func(t *testing.T) {
		for name, does := range map[string]func(*testing.T, *postroad.Client){
			"messages": messages, "files": files, "changes": changes, "batch": batch, "templates": templates, "suppressions": suppressions, "unsubscribes": unsubscribes,
			"imports": imports, "keys": keys, "project": project, "sandbox": sandbox, "erasures": erasures, "health": health, "log": eventLog, "hooks": webhooks,
			"operator": operator,
		} {
			t.Run(name, func(t *testing.T) { t.Parallel(); does(t, c) })
		}
		t.Run("domains", func(t *testing.T) { t.Parallel(); domains(t, w, c) })
	})
	t.Run("clearing", func(t *testing.T) { clearing(t, c) })
	if log := p.Log(); strings.Contains(log, "panic") {
		t.Error("a panic is in the server's log")
	}
}

func messages(t *testing.T, c *postroad.Client) {
	ctx := t.Context()
	sent := must[*postroad.Accepted](t)(c.Messages.Send(ctx, postroad.Message{Recipient: "Ada <ada@messages.test>", Subject: "S", HTML: "<p>H</p>", Tags: []string{"t1"},
		Metadata: map[string]string{"order_id": "42"}, Priority: "urgent"}, postroad.IdempotencyKey("messages/1")))
	if sent.Status != "queued" || sent.Recipient != "ada@messages.test" || sent.Environment != "test" || sent.CreatedAt.IsZero() || sent.RequestID() == "" || len(sent.Recipients) != 1 {
		t.Errorf("%+v", sent)
	}
	again := must[*postroad.Accepted](t)(c.Messages.Send(ctx, postroad.Message{Recipient: "Ada <ada@messages.test>", Subject: "S", HTML: "<p>H</p>", Tags: []string{"t1"},
		Metadata: map[string]string{"order_id": "42"}, Priority: "urgent", IdempotencyKey: "messages/1"}))
	if again.MessageID != sent.MessageID || !again.Replayed() {
		t.Errorf("%+v", again)
	}
	if _, err := c.Messages.Send(ctx, postroad.Message{Recipient: "other@messages.test", Text: "x", Subject: "S", IdempotencyKey: "messages/1"}); !errors.Is(err, postroad.ErrIdempotency) {
		t.Errorf("%v", err)
	}
	got := await(t, c, sent.MessageID)
	if got.Status != postroad.StatusDelivered || got.From.Email == "" || got.Recipients[0].LastReply == nil || got.Metadata["order_id"] != "42" || got.IdempotencyKey != "messages/1" || got.LatencyMS.Total == nil || !got.Actions.Resend {
		t.Errorf("%+v", got)
	}
	if byRFC := must[*postroad.MessageRecord](t)(c.Messages.Get(ctx, got.RFCMessageID)); byRFC.MessageID != sent.MessageID {
		t.Errorf("%+v", byRFC)
	}
	events := must[[]*postroad.TimelineEvent](t)(c.Messages.Events(ctx, sent.MessageID))
	if len(events) != 3 || events[2].Type != postroad.EventMessageDelivered || events[2].Sequence != 3 || events[0].At.IsZero() {
		t.Errorf("%+v", events)
	}
	if attempts := must[[]*postroad.DeliveryAttempt](t)(c.Messages.Attempts(ctx, sent.MessageID)); len(attempts) != 1 || attempts[0].Outcome != "delivered" || attempts[0].Reply == nil {
		t.Errorf("%+v", attempts)
	}
	if content := must[*postroad.MessageContent](t)(c.Messages.Content(ctx, sent.MessageID)); content.Subject != "S" || !strings.Contains(content.HTML, "<p>H</p>") || content.Text == "" {
		t.Errorf("%+v", content)
	}
	preview := must[*postroad.Download](t)(c.Messages.Preview(ctx, sent.MessageID))
	if page := must[[]byte](t)(preview.All()); !bytes.Contains(page, []byte("<p>H</p>")) || !strings.HasPrefix(preview.ContentType, "text/html") {
		t.Errorf("%+v %s", preview, page)
	}
	raw := must[*postroad.Download](t)(c.Messages.Raw(ctx, sent.MessageID))
	if text := must[[]byte](t)(raw.All()); !bytes.Contains(text, []byte("Subject: S\r\n")) || raw.ContentType != "message/rfc822" || raw.Size != int64(len(text)) {
		t.Errorf("%+v %s", raw, text)
	}
	var seen []string
	for m, err := range c.Messages.List(postroad.MessageFilter{Recipient: "ada@messages.test", Metadata: map[string]string{"order_id": "42"}, Tag: "t1", Status: []string{"delivered"},
		CreatedAfter: time.Now().Add(-time.Hour), Paging: postroad.Paging{Limit: 1, Include: []string{"recipients"}}}).All(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if seen = append(seen, m.MessageID); m.LastEvent == nil || len(m.Recipients) != 1 || len(m.Raw()) == 0 {
			t.Errorf("%+v", m)
		}
	}
	if len(seen) != 1 || seen[0] != sent.MessageID {
		t.Errorf("%v", seen)
	}
	counted := must[*postroad.Page[postroad.MessageSummary]](t)(c.Messages.List(postroad.MessageFilter{Recipient: "ada@messages.test", Paging: postroad.Paging{Limit: 1, Include: []string{"total"}}}).Page(ctx, ""))
	if counted.Total == nil || counted.Total.Count < 1 || counted.Total.Estimate {
		t.Errorf("%+v", counted.Total)
	}
	if told := must[[]*postroad.TimelineEvent](t)(c.Messages.EventsAndWebhooks(ctx, sent.MessageID)); len(told) < 3 || told[0].Type != "message.queued" {
		t.Errorf("%+v", told)
	}
	dry := must[*postroad.DryRun](t)(c.Messages.DryRun(ctx, postroad.Message{Recipient: "a@messages.test", Subject: "Dry", Text: "x"}))
	if !dry.Valid || dry.Preview.Subject != "Dry" {
		t.Errorf("%+v", dry)
	}
	written := must[*postroad.Accepted](t)(c.Messages.SendRaw(ctx, postroad.RawMessage{From: "onboarding@sandbox.test", Recipients: []string{"a@messages.test", "b@messages.test"},
		Content: []byte("From: onboarding@sandbox.test\r\nTo: a@messages.test\r\nSubject: Raw\r\n\r\nHello\r\n")}))
	if len(written.Recipients) != 2 {
		t.Errorf("%+v", written)
	}
	_, err := c.Messages.Send(ctx, postroad.Message{Recipient: "ada@", Headers: map[string]string{"Bcc": "x"}})
	var problem *postroad.Error
	if !errors.Is(err, postroad.ErrValidation) || !errors.As(err, &problem) || problem.Code != "validation_failed" || len(problem.Errors) < 2 || problem.Attempts != 1 || problem.RequestID == "" {
		t.Errorf("%+v", problem)
	}
	if _, err := c.Messages.Get(ctx, "msg_01kpk2byj0emq8k9w39qsaekf4"); !errors.Is(err, postroad.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// await waits until a message has come to its end.
func await(t *testing.T, c *postroad.Client, id string) *postroad.MessageRecord {
	t.Helper()
	for end := time.Now().Add(harness.Patience); time.Now().Before(end); {
		m, err := c.Messages.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if postroad.Final(m.Status) {
			return m
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatal("the message does not end")
	return nil
}

func files(t *testing.T, c *postroad.Client) {
	ctx := t.Context()
	big := bytes.Repeat([]byte{0, 255, 13, 10}, 6<<18)
	for name, content := range map[string][]byte{"within": {1, 2, 3}, "beside": big} {
		sent := must[*postroad.Accepted](t)(c.Messages.Send(ctx, postroad.Message{Recipient: "files@files.test", Subject: "S", Text: "T",
			Attachments: []postroad.Attachment{{Filename: "größe \"1\".bin", ContentType: "application/x-test", Content: content}, {Filename: "empty.txt"}, {Filename: "logo.png", ContentType: "image/png", Content: []byte{9}, ContentID: "logo", Disposition: "inline"}}}))
		got := must[*postroad.MessageRecord](t)(c.Messages.Get(ctx, sent.MessageID))
		if len(got.Attachments) != 3 || got.Attachments[0].Filename != "größe \"1\".bin" || got.Attachments[0].SizeBytes != int64(len(content)) {
			t.Errorf("%s: %+v", name, got.Attachments)
			continue
		}
		file := must[*postroad.Download](t)(c.Messages.Attachment(ctx, sent.MessageID, 0))
		if back := must[[]byte](t)(file.All()); !bytes.Equal(back, content) || file.Filename != "größe \"1\".bin" || file.ContentType != "application/x-test" {
			t.Errorf("%s: %d bytes %+v", name, len(back), file)
		}
	}
	if _, err := c.Messages.Attachment(ctx, "msg_01kpk2byj0emq8k9w39qsaekf4", 0); !errors.Is(err, postroad.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func changes(t *testing.T, c *postroad.Client) {
	ctx := t.Context()
	later := func() *postroad.Accepted {
		return must[*postroad.Accepted](t)(c.Messages.Send(ctx, postroad.Message{Recipient: "later@changes.test", Subject: "S", Text: "T", ScheduledTime: time.Now().Add(24 * time.Hour)}))
	}
	a, b, d := later(), later(), later()
	if a.Status != postroad.StatusScheduled || a.ScheduledTime.IsZero() {
		t.Errorf("%+v", a)
	}
	to := time.Now().Add(48 * time.Hour).Truncate(time.Millisecond)
	if m := must[*postroad.MessageRecord](t)(c.Messages.Reschedule(ctx, a.MessageID, to)); !m.ScheduledTime.Equal(to) {
		t.Errorf("%v, want %v", m.ScheduledTime, to)
	}
	if m := must[*postroad.MessageRecord](t)(c.Messages.Update(ctx, a.MessageID, postroad.MessageChange{Tags: postroad.Set([]string{"x"})})); len(m.Tags) != 1 {
		t.Errorf("%+v", m.Tags)
	}
	if m := must[*postroad.MessageRecord](t)(c.Messages.Cancel(ctx, a.MessageID, "no longer wanted")); m.Status != postroad.StatusCancelled {
		t.Errorf("%s", m.Status)
	}
	_, err := c.Messages.Cancel(ctx, a.MessageID, "")
	var problem *postroad.Error
	var state string
	if !errors.Is(err, postroad.ErrConflict) || !errors.As(err, &problem) || !problem.Field("current_state", &state) || state != "cancelled" {
		t.Errorf("%v", err)
	}
	if m := must[*postroad.MessageRecord](t)(c.Messages.Delete(ctx, b.MessageID)); m.Status != postroad.StatusCancelled {
		t.Errorf("%s", m.Status)
	}
	if _, err := c.Messages.Delete(ctx, b.MessageID); !errors.Is(err, postroad.ErrNotFound) {
		t.Errorf("%v", err)
	}
	must[*postroad.MessageRecord](t)(c.Messages.SendNow(ctx, d.MessageID))
	if m := await(t, c, d.MessageID); m.Status != postroad.StatusDelivered {
		t.Errorf("%s", m.Status)
	}
	if again := must[*postroad.Accepted](t)(c.Messages.Resend(ctx, d.MessageID, postroad.Resend{To: "other@changes.test"})); again.ResentFrom != d.MessageID || again.Recipient != "other@changes.test" {
		t.Errorf("%+v", again)
	}
}

func batch(t *testing.T, c *postroad.Client) {
	out := must[*postroad.BatchAccepted](t)(c.Messages.SendBatch(t.Context(), postroad.Batch{Defaults: &postroad.Message{Subject: "S", Text: "T"},
		Messages: []postroad.Message{{Recipient: "a@batch.test", IdempotencyKey: "batch/a"}, {Recipient: "bad@"}, {Recipient: "b@batch.test", Attachments: []postroad.Attachment{{Filename: "a", Content: []byte{1}}}}}}))
	if out.Summary.Queued != 2 || out.Summary.Rejected != 1 || out.Data[0].MessageID == "" || out.Data[1].Error == nil || out.Data[1].Error.Errors[0].Code != "invalid_email" {
		t.Errorf("%+v", out)
	}
	if _, err := c.Messages.SendBatch(t.Context(), postroad.Batch{Mode: "atomic", Messages: []postroad.Message{{Recipient: "a@batch.test", Subject: "S", Text: "T"}, {Recipient: "bad@"}}}); !errors.Is(err, postroad.ErrValidation) {
		t.Errorf("%v", err)
	}
}

func templates(t *testing.T, c *postroad.Client) {
	ctx, s := t.Context(), c.Templates
	made := must[*postroad.Template](t)(s.Create(ctx, postroad.NewTemplate{Alias: "welcome", Name: "Welcome", TemplateContent: postroad.TemplateContent{Subject: "Hello {{name}}",
		HTML: "<p>{{name}}</p>", Locales: map[string]postroad.LocaleParts{"de": {Subject: "Hallo {{name}}", HTML: "<p>{{name}}</p>"}},
		Variables: []postroad.TemplateVariableInput{{Name: "name", Type: "string", Example: "Ada"}}, Note: "first"}}))
	if made.DraftVersion != 1 || made.Draft == nil || made.Draft.Subject != "Hello {{name}}" || made.ETag() == "" {
		t.Errorf("%+v", made)
	}
	if _, err := c.Messages.Send(ctx, postroad.Message{Recipient: "a@templates.test", Template: "welcome"}); !errors.Is(err, postroad.ErrValidation) {
		t.Errorf("%v", err)
	}
	if out := must[*postroad.Template](t)(s.Publish(ctx, "welcome", 1, postroad.Publication{Note: "go"})); out.PublishedVersion != 1 {
		t.Errorf("%+v", out)
	}
	sent := must[*postroad.Accepted](t)(c.Messages.Send(ctx, postroad.Message{Recipient: "a@templates.test", Template: "welcome", TemplateData: map[string]any{"name": "Ada"}, Locale: "de"}))
	if m := await(t, c, sent.MessageID); m.Subject != "Hallo Ada" || m.Template == nil || m.Template.Alias != "welcome" || m.Template.Version != 1 {
		t.Errorf("%+v", m)
	}
	draft := must[*postroad.TemplateVersion](t)(s.CreateVersion(ctx, "welcome", postroad.NewDraft{BasedOn: 1, TemplateContent: postroad.TemplateContent{Subject: "Hi {{name}}"}}))
	if draft.Version != 2 || draft.HTML != "<p>{{name}}</p>" {
		t.Errorf("%+v", draft)
	}
	if diff := must[*postroad.TemplateDiff](t)(s.Diff(ctx, "welcome", "2", "1")); len(diff.Parts) == 0 || !strings.Contains(diff.Parts[0].Diff, "+Hi") {
		t.Errorf("%+v", diff)
	}
	if v := must[*postroad.TemplateVersion](t)(s.Version(ctx, "welcome", "draft")); v.Version != 2 {
		t.Errorf("%+v", v)
	}
	if p := must[*postroad.TemplatePreview](t)(s.Preview(ctx, "welcome", postroad.PreviewOrder{Version: "draft", TemplateData: map[string]any{"name": "<Ada>", "plan": 1}})); p.Subject != "Hi <Ada>" || !strings.Contains(p.HTML, "&lt;Ada&gt;") || len(p.Unused) != 1 {
		t.Errorf("%+v", p)
	}
	if p := must[*postroad.TemplatePreview](t)(s.PreviewUnsaved(ctx, postroad.UnsavedPreview{TemplateContent: postroad.TemplateContent{Subject: "{{a}}", Text: "x"}, TemplateData: map[string]any{"a": "b"}})); p.Subject != "b" {
		t.Errorf("%+v", p)
	}
	if v := must[*postroad.TemplateValidation](t)(s.Validate(ctx, "welcome", postroad.PreviewOrder{})); !v.Valid {
		t.Errorf("%+v", v)
	}
	if sent := must[*postroad.Accepted](t)(s.TestSend(ctx, "welcome", postroad.TestSend{Recipient: "t@templates.test", TemplateData: map[string]any{"name": "T"}})); sent.MessageID == "" {
		t.Errorf("%+v", sent)
	}
	must[*postroad.Template](t)(s.Publish(ctx, "welcome", 2, postroad.Publication{}))
	if back := must[*postroad.Template](t)(s.Rollback(ctx, "welcome", 1, "hasty")); back.PublishedVersion != 3 {
		t.Errorf("%+v", back)
	}
	versions := 0
	for _, err := range s.Versions("welcome", postroad.Paging{Limit: 2}).All(ctx) {
		if versions++; err != nil {
			t.Fatal(err)
		}
	}
	if versions != 3 {
		t.Errorf("%d versions", versions)
	}
	changed := must[*postroad.Template](t)(s.Update(ctx, made.TemplateID, postroad.TemplateChange{Description: postroad.Set("D")}))
	if _, err := s.Update(ctx, made.TemplateID, postroad.TemplateChange{Name: postroad.Set("N")}, postroad.IfMatch(made.ETag())); !errors.Is(err, postroad.ErrConflict) {
		t.Errorf("a stale ETag: %v", err)
	}
	must[*postroad.Template](t)(s.Update(ctx, made.TemplateID, postroad.TemplateChange{Description: postroad.Null[string]()}, postroad.IfMatch(changed.ETag())))
	published := true
	if page := must[*postroad.Page[postroad.Template]](t)(s.List(postroad.TemplateFilter{Text: "welc", Published: &published}).Page(ctx, "")); len(page.Data) != 1 {
		t.Errorf("%+v", page)
	}
	if err := s.Delete(ctx, "welcome"); err != nil {
		t.Error(err)
	}
}

func domains(t *testing.T, w *harness.World, c *postroad.Client) {
	ctx, s := t.Context(), c.Domains
	made := must[*postroad.Domain](t)(s.Create(ctx, postroad.NewDomain{Name: "clients.test", DKIM: &postroad.NewDKIM{Selector: "s1", Algorithm: "ed25519"}}))
	if made.Status != "pending" || len(made.Records) == 0 || len(made.DKIMKeys) != 1 {
		t.Errorf("%+v", made)
	}
	if _, err := s.Create(ctx, postroad.NewDomain{Name: "clients.test"}); !errors.Is(err, postroad.ErrConflict) {
		t.Errorf("%v", err)
	}
	var records []harness.Record
	for _, r := range must[[]*postroad.DNSRecord](t)(s.DNS(ctx, "clients.test")) {
		if r.Required {
			records = append(records, harness.Record{Type: r.Type, FQDN: r.FQDN, Value: r.Value})
		}
	}
	if err := w.Publish(records); err != nil {
		t.Fatal(err)
	}
	if d := must[*postroad.Domain](t)(s.Verify(ctx, "clients.test")); d.Status != "verified" || d.Checks["dkim"] != "pass" {
		t.Errorf("%+v", d)
	}
	if text := must[[]byte](t)(must[*postroad.Download](t)(s.ExportDNS(ctx, "clients.test", "bind")).All()); !bytes.Contains(text, []byte("s1._domainkey")) {
		t.Errorf("%s", text)
	}
	if h := must[*postroad.DomainHealth](t)(s.Health(ctx, made.DomainID)); h.Name != "clients.test" || h.Delivery.Rates.Delivery.Value != nil {
		t.Errorf("%+v", h)
	}
	hours := 48
	key := must[*postroad.RotatedKey](t)(s.RotateDKIM(ctx, "clients.test", postroad.Rotation{Algorithm: "ed25519", OverlapHours: &hours}))
	if key.Selector == "s1" || key.Record == nil || key.OverlapHours != 48 || key.State != "pending" {
		t.Errorf("%+v", key)
	}
	if _, err := s.ActivateDKIM(ctx, "clients.test", key.Selector); !errors.Is(err, postroad.ErrConflict) {
		t.Errorf("%v", err)
	}
	if err := s.DeleteDKIM(ctx, "clients.test", key.Selector); err != nil {
		t.Error(err)
	}
	if d := must[*postroad.Domain](t)(s.Update(ctx, "clients.test", postroad.DomainChange{TLS: postroad.Set("required"), DefaultFrom: postroad.Set("hello@clients.test")})); d.TLS != "required" || d.DefaultFrom != "hello@clients.test" {
		t.Errorf("%+v", d)
	}
	if page := must[*postroad.Page[postroad.Domain]](t)(s.List().Page(ctx, "")); len(page.Data) != 1 || page.Data[0].DomainID != made.DomainID {
		t.Errorf("%+v", page)
	}
	if err := s.Delete(ctx, "clients.test", postroad.Force()); err != nil {
		t.Error(err)
	}
	if _, err := s.Get(ctx, "clients.test"); !errors.Is(err, postroad.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func sandbox(t *testing.T, c *postroad.Client) {
	ctx := t.Context()
	done := make(chan *postroad.SandboxMessage, 1)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		m, err := c.Sandbox.WaitFor(ctx, postroad.Expected{Recipient: "otp@sandbox-of.test", Subject: "code", Timeout: harness.Patience})
		if err != nil {
			t.Error(err)
		}
		done <- m
	})
	sent := must[*postroad.Accepted](t)(c.Messages.Send(ctx, postroad.Message{Recipient: "otp@sandbox-of.test", Subject: "Your code", Text: "It is 482913. https://app.test/x"}))
	waiting.Wait()
	if m := <-done; m == nil || m.MessageID != sent.MessageID || len(m.Extracted.Codes) != 1 || m.Extracted.Codes[0] != "482913" || len(m.Extracted.Links) != 1 || m.Content == nil {
		t.Errorf("%+v", m)
	}
	if got := must[*postroad.SandboxChecks](t)(c.Sandbox.Checks(ctx, sent.MessageID)); len(got.Checks) != 5 || got.Status == "" || got.MessageID != sent.MessageID {
		t.Errorf("%+v", got)
	}
	if _, err := c.Sandbox.Release(ctx, sent.MessageID, "me@real.test"); !errors.Is(err, postroad.ErrPermission) {
		t.Errorf("a test key released: %v", err)
	}
	slow := must[*postroad.SandboxBehaviour](t)(c.Sandbox.SetBehaviour(ctx, postroad.SandboxBehaviour{LatencyMS: 1, Chaos: map[string]postroad.Chaos{"rcpt": {Code: 451, Probability: 0}}}))
	if slow.LatencyMS != 1 || slow.Chaos["rcpt"].Code != 451 || slow.Default != "deliver" {
		t.Errorf("%+v", slow)
	}
	must[*postroad.SandboxBehaviour](t)(c.Sandbox.SetBehaviour(ctx, postroad.SandboxBehaviour{}))
	if b := must[*postroad.SandboxBehaviour](t)(c.Sandbox.Behaviour(ctx)); b.LatencyMS != 0 || len(b.Chaos) != 0 {
		t.Errorf("%+v", b)
	}
	if m := must[*postroad.SandboxMessage](t)(c.Sandbox.Get(ctx, sent.MessageID)); m.Content.Subject != "Your code" || m.Subject != "Your code" {
		t.Errorf("%+v", m)
	}
	if page := must[*postroad.Page[postroad.MessageSummary]](t)(c.Sandbox.List(postroad.SandboxFilter{Recipient: "otp@sandbox-of.test"}).Page(ctx, "")); len(page.Data) != 1 {
		t.Errorf("%+v", page)
	}
	if _, err := c.Sandbox.WaitFor(ctx, postroad.Expected{Recipient: "nobody@sandbox-of.test", Timeout: time.Second}); !errors.Is(err, postroad.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// receiver is somebody's endpoint.
type receiver struct {
	*httptest.Server
	events chan *postroad.Event
}

func receive(t *testing.T, secret func() string) *receiver {
	r := &receiver{events: make(chan *postroad.Event, 16)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		postroad.WebhookHandler(func(_ *http.Request, e *postroad.Event) error { r.events <- e; return nil }, secret()).ServeHTTP(w, q)
	}))
	t.Cleanup(r.Close)
	return r
}

// wait gives the next event, within a bound that only a fault reaches.
func (r *receiver) wait(t *testing.T) *postroad.Event {
	t.Helper()
	select {
	case e := <-r.events:
		return e
	case <-time.After(harness.Patience):
		t.Fatal("no webhook came")
		return nil
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), max(d, 2*harness.Patience))
	t.Cleanup(cancel)
	return ctx
}
