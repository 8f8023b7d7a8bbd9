package eventlog_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/mail"
)

var (
	noon  = time.Date(2026, 4, 19, 14, 30, 0, 827_000_000, time.UTC)
	owner = mail.Owner{Project: 1, Env: mail.Test}
)

func sample(t testing.TB, kind mail.EventType) eventlog.Entry {
	t.Helper()
	e := eventlog.Sample(kind, owner, mail.NewID(noon), noon)
	if e == nil {
		t.Fatalf("there is no sample of %s", kind)
	}
	return *e
}

func open(t testing.TB, e eventlog.Entry, redact ...string) (envelope, data map[string]any) {
	t.Helper()
	b, err := eventlog.Envelope(e, "https://mail.acme.test/", redact)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &envelope); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	data, _ = envelope["data"].(map[string]any)
	return envelope, data
}

func keys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

// adds is what each type adds to the base, as the table of the contract has it.
var adds = map[mail.EventType]string{
	mail.EventQueued: "intake", mail.EventScheduled: "scheduled_time", mail.EventRescheduled: "scheduled_time", mail.EventAccepted: "queue", mail.EventDelivered: "delivery",
	mail.EventDeferred: "attempt attempts_left class next_attempt_at reason reply", mail.EventBounced: "bounce dead_letter_id suppressed suppression_id",
	mail.EventComplained: "complaint suppression_id", mail.EventSuppressed: "suppression", mail.EventExpired: "attempts expires_at", mail.EventFailed: "dead_letter_id failure",
	mail.EventCancelled: "by reason superseded_by", mail.EventUnsubscribed: "method suppression_id", mail.EventOpened: "machine user_agent", mail.EventClicked: "machine user_agent",
}

const base = "created_at from idempotency_key message_id metadata previous_status recipient recipient_id recipient_type rfc_message_id status subject tags template topic url"

func TestEveryMessageEventHasTheBaseAndWhatItsTypeAdds(t *testing.T) {
	t.Parallel()
	for kind, more := range adds {
		_, data := open(t, sample(t, kind))
		want := slices.Sorted(slices.Values(strings.Fields(base + " " + more)))
		if got := keys(data); !slices.Equal(got, want) {
			t.Errorf("%s has\n%v, want\n%v", kind, got, want)
		}
	}
}

func TestTheEnvelopeTellsWhatHappenedWhenAndWhere(t *testing.T) {
	t.Parallel()
	e := sample(t, mail.EventDelivered)
	got, data := open(t, e)
	for name, want := range map[string]any{"id": e.ID.Text("evt"), "type": "message.delivered", "timestamp": "2026-04-19T14:30:00.827Z", "api_version": "v1",
		"project_id": e.Project.Text("prj"), "environment": "test", "sequence": 4.0, "position": 918273.0} {
		if got[name] != want {
			t.Errorf("%s: %v, want %v", name, got[name], want)
		}
	}
	for name, want := range map[string]any{"status": "delivered", "previous_status": "deferred", "recipient": "ada@example.com", "subject": "Welcome, Ada",
		"rfc_message_id": "<" + e.Message.RFCID + ">", "url": "https://mail.acme.test/v1/messages/" + e.MessageID.Text("msg")} {
		if data[name] != want {
			t.Errorf("data.%s: %v, want %v", name, data[name], want)
		}
	}
	if ms := data["delivery"].(map[string]any)["queue_ms"]; ms != 11.0 {
		t.Errorf("queue_ms: %v, want 11", ms)
	}
}

func TestAnEventOfSomethingSharedHasNoEnvironmentAndNoSequence(t *testing.T) {
	t.Parallel()
	got, data := open(t, sample(t, mail.EventDomainDegraded))
	if got["environment"] != nil || got["sequence"] != nil {
		t.Errorf("environment %v, sequence %v, want null", got["environment"], got["sequence"])
	}
	domain, _ := data["domain"].(map[string]any)
	if domain["name"] != "acme.test" || domain["status"] != "degraded" || data["previous_status"] != "verified" || data["checks"].(map[string]any)["dkim"] != "fail" {
		t.Errorf("data: %v", data)
	}
}

func TestWhatIsRedactedIsNowhereInTheEnvelope(t *testing.T) {
	t.Parallel()
	for _, kind := range []mail.EventType{mail.EventBounced, mail.EventClicked, mail.EventSuppressionCreated} {
		e := sample(t, kind)
		e.Detail.URL = "https://acme.test/?for=ADA@example.com"
		if e.Detail.Reply != nil {
			e.Detail.Reply.Text = "<Ada@Example.COM> nobody called ada@example.com here"
		}
		b, err := eventlog.Envelope(e, "", []string{"recipient", "subject", "metadata"})
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"ada@example.com", "welcome, ada", "user_id"} {
			if strings.Contains(strings.ToLower(string(b)), secret) {
				t.Errorf("%s tells %q: %s", kind, secret, b)
			}
		}
		plain, err := eventlog.Envelope(e, "", nil)
		if err != nil || !strings.Contains(string(plain), "ada@example.com") {
			t.Errorf("%s does not tell its recipient when nothing is redacted: %s, %v", kind, plain, err)
		}
	}
}

func TestALongEventIsCutAndSaysWhatWasCut(t *testing.T) {
	t.Parallel()
	e := sample(t, mail.EventBounced)
	e.Message.Metadata = map[string]string{}
	for i := range 50 {
		e.Message.Metadata[strings.Repeat("k", i+1)] = strings.Repeat("ö", 500)
	}
	e.Detail.Bounce.Reply.Text = strings.Repeat("x", 2000)
	b, err := eventlog.Envelope(e, "https://mail.acme.test", nil)
	if err != nil || len(b) > eventlog.MaxEnvelope || !utf8.Valid(b) {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	_, data := open(t, e)
	if got := data["truncated"]; !slices.Contains(got.([]any), any("metadata")) {
		t.Errorf("truncated: %v, want metadata among it", got)
	}
	if n := len(data["metadata"].(map[string]any)); n == 0 || n == 50 {
		t.Errorf("%d pairs of metadata are left, want some", n)
	}
}

func TestAnEventWithoutItsMessageStillHasAnEnvelope(t *testing.T) {
	t.Parallel()
	e := sample(t, mail.EventDelivered)
	id := e.MessageID.Text("msg")
	e.Message, e.Delivery = nil, nil
	if _, data := open(t, e); data["message_id"] != id || data["subject"] != nil {
		t.Errorf("data: %v", data)
	}
}

func TestARotatedKeyIsToldWithTheOneBefore(t *testing.T) {
	t.Parallel()
	_, data := open(t, sample(t, mail.EventKeyRotated))
	if data["previous_key_id"] != "key_a1b2c3d4" || data["old_expires_at"] != "2026-04-20T14:30:00.827Z" || data["api_key"].(map[string]any)["key_id"] != "key_m4t8w2pd" {
		t.Errorf("data: %v", data)
	}
}

// What was recorded before events carried facts still tells what it can.
func TestOldEventsAreToldByWhatTheyHave(t *testing.T) {
	t.Parallel()
	e := sample(t, mail.EventSuppressionCreated)
	e.Detail = mail.Detail{SuppressionID: "sup_1", Recipient: "ada@example.com", Reason: "manual", Suppression: &mail.SuppressedBy{Kind: "manual", Since: noon}}
	_, data := open(t, e)
	s := data["suppression"].(map[string]any)
	if s["suppression_id"] != "sup_1" || s["recipient"] != "ada@example.com" || s["kind"] != "manual" {
		t.Errorf("suppression: %v", s)
	}
}

func FuzzEnvelopesAreShortAndValidWhateverIsInTheMessage(f *testing.F) {
	f.Add("Welcome", "ada@example.com", "user_id", "42", "250 ok", 3, uint8(4))
	f.Add("\xff\xfe\x00\"", "\x80@\u2028", "\\", "\x01", "\xc3", 50, uint8(6))
	f.Add(strings.Repeat("\x01", 998), "a@b", strings.Repeat("k", 100), strings.Repeat("\x02", 512), strings.Repeat("\x03", 2048), 50, uint8(0))
	kinds := slices.Sorted(maps.Keys(adds))
	f.Fuzz(func(t *testing.T, subject, recipient, name, value, reply string, n int, kind uint8) {
		e := sample(t, kinds[int(kind)%len(kinds)])
		clip := func(s string, n int) string { return s[:min(len(s), n)] } // the doors' limits
		m := e.Message
		m.Subject, m.IdempotencyKey, m.Topic = clip(subject, 3992), clip(name, 256), clip(value, 64)
		m.Metadata, m.Tags = map[string]string{}, nil
		for i := range min(max(n, 0), 50) {
			m.Metadata[clip(name, 512)+string(rune('a'+i))] = clip(value, 512)
			if i < 10 {
				m.Tags = append(m.Tags, clip(name, 64))
			}
		}
		e.Delivery.Address, e.Recipient = clip(recipient, 254), clip(recipient, 254)
		text := mail.Reply{Code: 550, Text: clip(reply, 2048)}
		e.Detail.Reply, e.Detail.Summary, e.Detail.UserAgent, e.Detail.URL = &text, clip(reply, 2048), clip(reply, 512), clip(value+reply, 2000)
		if e.Detail.Bounce != nil {
			e.Detail.Bounce.Reply = &text
		}
		for _, redact := range [][]string{nil, {"recipient", "metadata", "subject"}} {
			b, err := eventlog.Envelope(e, "https://mail.acme.test", redact)
			if err != nil || len(b) > eventlog.MaxEnvelope || !utf8.Valid(b) {
				t.Fatalf("%d bytes, valid %v, %v", len(b), utf8.Valid(b), err)
			}
			var v any
			if err := json.Unmarshal(b, &v); err != nil {
				t.Fatal(err)
			}
		}
	})
}
