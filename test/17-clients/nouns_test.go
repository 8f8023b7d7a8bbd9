package clients

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	postroad "github.com/postroad/postroad/clients/go"
)

func suppressions(t *testing.T, c *postroad.Client) {
	ctx, s := t.Context(), c.Suppressions
	made := must[*postroad.Suppression](t)(s.Add(ctx, postroad.NewSuppression{Recipient: "gone@suppressions.test", Reason: "hard_bounce", Note: "n"}))
	if made.Created == nil || !*made.Created || made.Kind != "hard_bounce" {
		t.Errorf("%+v", made)
	}
	if again := must[*postroad.Suppression](t)(s.Add(ctx, postroad.NewSuppression{Recipient: "gone@suppressions.test", Reason: "hard_bounce"})); again.Created == nil || *again.Created {
		t.Errorf("%+v", again)
	}
	sent := must[*postroad.Accepted](t)(c.Messages.Send(ctx, postroad.Message{Recipient: "gone@suppressions.test", Subject: "S", Text: "T"}))
	if sent.Status != postroad.StatusSuppressed || sent.Suppression == nil || sent.Suppression.SuppressionID != made.SuppressionID {
		t.Errorf("%+v", sent)
	}
	if got := must[*postroad.Suppression](t)(s.Get(ctx, "gone@suppressions.test")); len(got.History) == 0 || got.BlockedCount != 1 {
		t.Errorf("%+v", got)
	}
	checks := must[[]postroad.SuppressionCheck](t)(s.Check(ctx, []string{"gone@suppressions.test", "here@suppressions.test"}, ""))
	if len(checks) != 2 || !checks[0].Suppressed || checks[1].Suppressed {
		t.Errorf("%+v", checks)
	}
	out := must[*postroad.SuppressionBatchResult](t)(s.Batch(ctx, postroad.SuppressionBatch{Add: []postroad.NewSuppression{{Recipient: "a@suppressions.test"}, {Recipient: "bad@"}},
		Remove: []postroad.SuppressionRemoval{{Recipient: "gone@suppressions.test"}}}))
	if out.Summary.Created != 1 || out.Summary.Removed != 1 || out.Summary.Failed != 1 || out.Data[1].Error == nil {
		t.Errorf("%+v", out)
	}
	for entry, err := range s.List(postroad.SuppressionFilter{Recipient: "a@suppressions.test"}).All(ctx) {
		if err != nil || entry.Recipient != "a@suppressions.test" {
			t.Errorf("%+v %v", entry, err)
		}
	}
	if text := must[[]byte](t)(must[*postroad.Download](t)(s.Export(ctx, "ndjson", postroad.SuppressionFilter{Recipient: "a@suppressions.test"})).All()); strings.Count(string(text), "\n") != 1 {
		t.Errorf("%s", text)
	}
	must[*postroad.Suppression](t)(s.Add(ctx, postroad.NewSuppression{Recipient: "angry@suppressions.test", Reason: "complaint"}))
	if _, err := s.Remove(ctx, "angry@suppressions.test", postroad.Removal{}); !errors.Is(err, postroad.ErrConflict) {
		t.Errorf("%v", err)
	}
	if gone := must[*postroad.Suppression](t)(s.Remove(ctx, "angry@suppressions.test", postroad.Removal{Reason: "complaint"}, postroad.Force())); gone.Kind != "complaint" {
		t.Errorf("%+v", gone)
	}
}

func unsubscribes(t *testing.T, c *postroad.Client) {
	ctx, s, news := t.Context(), c.Unsubscribes, "news"
	must[*postroad.Suppression](t)(s.Add(ctx, postroad.NewUnsubscribe{Recipient: "ada@unsubscribes.test", Topic: news}))
	if page := must[*postroad.Page[postroad.Suppression]](t)(s.List(postroad.UnsubscribeFilter{Recipient: "ada@unsubscribes.test"}).Page(ctx, "")); len(page.Data) != 1 || page.Data[0].Topic != news {
		t.Errorf("%+v", page)
	}
	if gone := must[*postroad.Suppression](t)(s.Remove(ctx, "ada@unsubscribes.test", &news)); gone.Topic != news {
		t.Errorf("%+v", gone)
	}
}

func imports(t *testing.T, c *postroad.Client) {
	ctx := within(t, 20*time.Second)
	job := must[*postroad.Job](t)(c.Suppressions.Import(ctx, postroad.Import{CSV: []byte("recipient,reason\nx@imports.test,manual\nbad@,manual\n"), Reason: "import"}))
	job = must[*postroad.Job](t)(c.Jobs.Wait(ctx, job.JobID))
	if !job.Over() || job.Result["created"] != 1.0 || job.Result["invalid"] != 1.0 || len(job.Errors) != 1 {
		t.Errorf("%+v", job)
	}
	if _, err := c.Jobs.Cancel(ctx, job.JobID); !errors.Is(err, postroad.ErrConflict) {
		t.Errorf("%v", err)
	}
}

func keys(t *testing.T, c *postroad.Client) {
	ctx, s := t.Context(), c.APIKeys
	made := must[*postroad.APIKey](t)(s.Create(ctx, postroad.NewAPIKey{Name: "clients", Scopes: []string{"messages.send"}, MaxRecipients: 2, ExpiresAt: time.Now().Add(time.Hour)}))
	if !strings.HasPrefix(made.Secret, "sk_test_") || made.MaxRecipients != 2 {
		t.Errorf("%+v", made)
	}
	if got := must[*postroad.APIKey](t)(s.Get(ctx, made.KeyID)); got.Secret != "" || got.Name != "clients" {
		t.Errorf("%+v", got)
	}
	if got := must[*postroad.APIKey](t)(s.Update(ctx, made.KeyID, postroad.APIKeyChange{Name: postroad.Set("renamed"), MaxRecipients: postroad.Null[int](), ExpiresAt: postroad.Null[time.Time]()})); got.Name != "renamed" || got.MaxRecipients != 0 || !got.ExpiresAt.IsZero() {
		t.Errorf("%+v", got)
	}
	me := must[*postroad.Me](t)(c.Me(ctx))
	if me.Environment != "test" || me.Limits.MaxRecipients != 50 || me.Key.KeyID == "" {
		t.Errorf("%+v", me)
	}
	found := 0
	for k, err := range s.List().All(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if k.KeyID == made.KeyID {
			found++
		}
	}
	if found != 1 {
		t.Errorf("the key stands %d times in the list", found)
	}
	if err := s.Revoke(ctx, made.KeyID); err != nil {
		t.Error(err)
	}
}

func project(t *testing.T, c *postroad.Client) {
	ctx := t.Context()
	before := must[*postroad.Project](t)(c.Project.Get(ctx))
	if before.ProjectID == "" || before.ETag() == "" || before.ContentRetentionDays != 30 {
		t.Errorf("%+v", before)
	}
	if p := must[*postroad.Project](t)(c.Project.Update(ctx, postroad.ProjectChange{HostedLinkDays: postroad.Set(7)}, postroad.IfMatch(before.ETag()))); p.HostedLinkDays != 7 {
		t.Errorf("%+v", p)
	}
	if p := must[*postroad.Project](t)(c.Project.Update(ctx, postroad.ProjectChange{HostedLinkDays: postroad.Null[int]()})); p.HostedLinkDays != 30 {
		t.Errorf("%+v", p)
	}
}

func erasures(t *testing.T, c *postroad.Client) {
	ctx := within(t, 20*time.Second)
	sent := must[*postroad.Accepted](t)(c.Messages.Send(ctx, postroad.Message{Recipient: "forget@erasures.test", Subject: "S", Text: "T"}))
	await(t, c, sent.MessageID)
	e := must[*postroad.Erasure](t)(c.Erasures.Create(ctx, postroad.NewErasure{Recipient: "forget@erasures.test"}))
	e = must[*postroad.Erasure](t)(c.Erasures.Wait(ctx, e.ErasureID))
	if e.Status != "done" || e.Counts["messages"] != 1 {
		t.Errorf("%+v", e)
	}
	if m := must[*postroad.MessageRecord](t)(c.Messages.Get(ctx, sent.MessageID)); !m.Erased {
		t.Errorf("%+v", m)
	}
}

func health(t *testing.T, c *postroad.Client) {
	if v := must[*postroad.ServerVersion](t)(c.Health.Version(t.Context())); !strings.HasPrefix(v.Go, "go") {
		t.Errorf("%+v", v)
	}
	if report := must[*postroad.HealthReport](t)(c.Health.Check(t.Context())); report.Status == "" {
		t.Errorf("%+v", report)
	}
}

func eventLog(t *testing.T, c *postroad.Client) {
	ctx, s := within(t, 20*time.Second), c.Events
	began, err := s.Page(ctx, postroad.EventFilter{FromNow: true, Limit: 1}, 0)
	if err != nil {
		t.Fatal(err)
	}
	filter := postroad.EventFilter{After: began.NextAfter, Tag: "the-log", Types: []string{"message.*"}}
	ids := map[string]bool{}
	for range 3 {
		ids[must[*postroad.Accepted](t)(c.Messages.Send(ctx, postroad.Message{Recipient: "log@log.test", Subject: "S", Text: "T", Tags: []string{"the-log"}})).MessageID] = true
	}
	const all = 9 // three messages, each queued, accepted and delivered
	var followed, streamed []string
	for e, err := range s.Follow(ctx, filter) {
		if err != nil {
			t.Fatal(err)
		}
		data, err := e.Message()
		if err != nil || !ids[data.MessageID] || e.Position <= began.NextAfter || e.Sequence == 0 {
			t.Fatalf("%+v %v", e, err)
		}
		if followed = append(followed, e.ID); len(followed) == all {
			break
		}
	}
	for e, err := range s.Stream(ctx, filter) {
		if err != nil {
			t.Fatal(err)
		}
		if streamed = append(streamed, e.ID); len(streamed) == all {
			break
		}
	}
	if strings.Join(followed, " ") != strings.Join(streamed, " ") {
		t.Errorf("followed %v\nstreamed %v", followed, streamed)
	}
	if one := must[*postroad.Event](t)(s.Get(ctx, followed[0])); one.ID != followed[0] || one.Type == "" {
		t.Errorf("%+v", one)
	}
	listed := 0
	for _, err := range s.All(ctx, postroad.EventFilter{After: filter.After, Tag: "the-log", Limit: 2}) {
		if listed++; err != nil {
			t.Fatal(err)
		}
	}
	if listed != all {
		t.Errorf("%d listed", listed)
	}
	live(t, c)
}

// live has a stream begin now; what is sent afterwards comes.
func live(t *testing.T, c *postroad.Client) {
	ctx := within(t, 20*time.Second)
	var sending sync.WaitGroup
	defer sending.Wait()
	came := make(chan struct{})
	defer close(came) // before it is waited for
	sending.Go(func() {
		for { // until the stream is open, and one is seen
			select {
			case <-came:
				return
			case <-time.After(300 * time.Millisecond):
			}
			if _, err := c.Messages.Send(ctx, postroad.Message{Recipient: "live@log.test", Subject: "S", Text: "T", Tags: []string{"live"}}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for e, err := range c.Events.Stream(ctx, postroad.EventFilter{FromNow: true, Tag: "live", Types: []string{"message.delivered"}}) {
		if err != nil || e.Type != postroad.EventMessageDelivered {
			t.Errorf("%+v %v", e, err)
		}
		break
	}
}

func webhooks(t *testing.T, c *postroad.Client) {
	ctx, s := within(t, 30*time.Second), c.Webhooks
	var secret atomic.Value
	secret.Store("")
	r := receive(t, func() string { return secret.Load().(string) })
	made := must[*postroad.Webhook](t)(s.Create(ctx, postroad.NewWebhook{URL: r.URL + "/hooks", Events: []string{"message.delivered"}, Description: "d", Filters: &postroad.WebhookFilters{Tags: []string{"hooked"}}}))
	if !strings.HasPrefix(made.Secret, "whsec_") || made.Status != "enabled" {
		t.Fatalf("%+v", made)
	}
	secret.Store(made.Secret)
	sent := must[*postroad.Accepted](t)(c.Messages.Send(ctx, postroad.Message{Recipient: "hook@hooks.test", Subject: "S", Text: "T", Tags: []string{"hooked"}}))
	e := r.wait(t)
	if data, err := e.Message(); err != nil || e.Type != postroad.EventMessageDelivered || data.MessageID != sent.MessageID || data.Recipient != "hook@hooks.test" {
		t.Errorf("%+v %v", e, err)
	}
	test := must[*postroad.WebhookTest](t)(s.Test(ctx, made.WebhookID, "message.bounced"))
	if test.Answer == nil || test.Answer.Status != 204 || test.Verdict == "" || r.wait(t).Type != postroad.EventMessageBounced {
		t.Errorf("%+v", test)
	}
	var delivery *postroad.WebhookDelivery
	for end := time.Now().Add(time.Minute); time.Now().Before(end); { // the answer is recorded a moment after it was given
		page := must[*postroad.Page[postroad.WebhookDelivery]](t)(s.Deliveries(made.WebhookID, postroad.DeliveryFilter{Status: "delivered", MessageID: sent.MessageID}).Page(ctx, ""))
		if len(page.Data) == 1 {
			delivery = page.Data[0]
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if delivery == nil || delivery.EventID != e.ID {
		t.Fatalf("%+v", delivery)
	}
	if d := must[*postroad.WebhookDelivery](t)(s.Delivery(ctx, delivery.DeliveryID)); len(d.Attempts) != 1 || d.Attempts[0].Response == nil || d.Attempts[0].Response.Status != 204 {
		t.Errorf("%+v", d)
	}
	must[*postroad.WebhookDelivery](t)(s.Retry(ctx, delivery.DeliveryID))
	if again := r.wait(t); again.ID != e.ID {
		t.Errorf("%+v", again)
	}
	if n := must[*postroad.ReplayCount](t)(s.ReplayCount(ctx, made.WebhookID, postroad.Replay{Since: time.Now().Add(-time.Hour)})); n.Matched != 1 {
		t.Errorf("%+v", n)
	}
	job := must[*postroad.Job](t)(s.Replay(ctx, made.WebhookID, postroad.Replay{Since: time.Now().Add(-time.Hour)}))
	if again := r.wait(t); again.ID != e.ID {
		t.Errorf("%+v", again)
	}
	must[*postroad.Job](t)(c.Jobs.Wait(ctx, job.JobID))
	secrets(t, c, made)
	if st := must[*postroad.WebhookStats](t)(s.Stats(ctx, made.WebhookID, 24*time.Hour)); st.Delivered < 1 {
		t.Errorf("%+v", st)
	}
	if w := must[*postroad.Webhook](t)(s.Update(ctx, made.WebhookID, postroad.WebhookChange{MaxPerSecond: postroad.Set(5)})); w.MaxPerSecond != 5 {
		t.Errorf("%+v", w)
	}
	if w := must[*postroad.Webhook](t)(s.Disable(ctx, made.WebhookID)); w.Status != "disabled" {
		t.Errorf("%+v", w)
	}
	if w := must[*postroad.Webhook](t)(s.Enable(ctx, made.WebhookID, false)); w.Status != "enabled" {
		t.Errorf("%+v", w)
	}
	if err := s.Delete(ctx, made.WebhookID); err != nil {
		t.Error(err)
	}
	if types, err := s.EventTypes(ctx); err != nil || len(types) < 10 {
		t.Errorf("%d types, %v", len(types), err)
	}
}

func secrets(t *testing.T, c *postroad.Client, made *postroad.Webhook) {
	ctx, s, hours := t.Context(), c.Webhooks, 1
	if got := must[*postroad.WebhookSecret](t)(s.Secret(ctx, made.WebhookID)); got.Secret != made.Secret {
		t.Error("another secret")
	}
	rotated := must[*postroad.WebhookSecret](t)(s.RotateSecret(ctx, made.WebhookID, &hours, false))
	if rotated.Secret == made.Secret || rotated.OldExpiresAt.IsZero() {
		t.Error("the secret was not rotated")
	}
	if _, err := s.RotateSecret(ctx, made.WebhookID, &hours, false); err == nil {
		t.Error("rotated twice without force")
	}
	if err := s.ExpireOldSecret(ctx, made.WebhookID); err != nil {
		t.Error(err)
	}
}

// operator is what an operator's key may do.
func operator(t *testing.T, c *postroad.Client) {
	ctx, hours := t.Context(), 1
	if u := must[*postroad.Usage](t)(c.Project.Usage(ctx, "day")); u.Period != "day" || u.Usage.Today.Messages < 0 {
		t.Errorf("%+v", u)
	}
	made := must[*postroad.APIKey](t)(c.APIKeys.Create(ctx, postroad.NewAPIKey{Name: "rotated", Scopes: []string{"messages.send"}}))
	if k := must[*postroad.APIKey](t)(c.APIKeys.Rotate(ctx, made.KeyID, postroad.KeyRotation{OverlapHours: &hours})); k.Secret == "" || k.OldExpiresAt.IsZero() || k.OldKeyID != made.KeyID {
		t.Errorf("%+v", k)
	}
	if page := must[*postroad.Page[postroad.AuditEntry]](t)(c.Audit.List(postroad.AuditFilter{Action: "api_keys.rotate"}).Page(ctx, "")); len(page.Data) != 1 {
		t.Errorf("%+v", page)
	}
	p := must[*postroad.Project](t)(c.Projects.Create(ctx, postroad.ProjectChange{Name: postroad.Set("second")}))
	if s := must[*postroad.Project](t)(c.Projects.Suspend(ctx, p.ProjectID, "a test")); !s.Suspended {
		t.Errorf("%+v", s)
	}
	if s := must[*postroad.Project](t)(c.Projects.Resume(ctx, p.ProjectID)); s.Suspended {
		t.Errorf("%+v", s)
	}
	must[*postroad.Project](t)(c.Projects.Update(ctx, p.ProjectID, postroad.ProjectChange{Name: postroad.Set("renamed")}))
	if got := must[*postroad.Project](t)(c.Projects.Get(ctx, p.ProjectID)); got.Name != "renamed" {
		t.Errorf("%+v", got)
	}
	if page := must[*postroad.Page[postroad.Project]](t)(c.Projects.List().Page(ctx, "")); len(page.Data) < 2 {
		t.Errorf("%+v", page)
	}
	if err := c.Projects.Delete(ctx, p.ProjectID); !errors.Is(err, postroad.ErrConflict) {
		t.Errorf("deleted while it was in use: %v", err)
	}
	must[*postroad.Project](t)(c.Projects.Suspend(ctx, p.ProjectID, "to be deleted"))
	if err := c.Projects.Delete(ctx, p.ProjectID); err != nil {
		t.Error(err)
	}
}

// clearing empties the sandbox, when nobody else uses it any more.
func clearing(t *testing.T, c *postroad.Client) {
	ctx := t.Context()
	sent := must[*postroad.Accepted](t)(c.Messages.Send(ctx, postroad.Message{Recipient: "clear@clearing.test", Subject: "S", Text: "T"}))
	await(t, c, sent.MessageID)
	if cleared := must[*postroad.SandboxCleared](t)(c.Sandbox.Clear(ctx)); cleared.Deleted < 1 {
		t.Errorf("%+v", cleared)
	}
	if page := must[*postroad.Page[postroad.MessageSummary]](t)(c.Sandbox.List(postroad.SandboxFilter{Recipient: "clear@clearing.test"}).Page(ctx, "")); len(page.Data) != 0 {
		t.Errorf("%+v", page.Data)
	}
	if _, err := c.Sandbox.Get(ctx, sent.MessageID); !errors.Is(err, postroad.ErrNotFound) {
		t.Errorf("%v", err)
	}
}
