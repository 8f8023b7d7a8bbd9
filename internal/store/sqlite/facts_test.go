package sqlite

import (
	"reflect"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/postroad/postroad/internal/mail"
)

// fillIn sets every field of a struct to something, so that a field that is added and
// not written is found.
func fillIn(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillIn(v.Elem(), n)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.UnixMicro(int64(*n) * 1_000_001).UTC()))
			return
		}
		for i := range v.NumField() {
			fillIn(v.Field(i), n)
		}
	case reflect.String:
		v.SetString("text \"" + string(rune('a'+*n%26)))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n) * int64(time.Millisecond))
	case reflect.Uint8:
		v.SetUint(uint64(*n % 8))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Array:
		for i := range v.Len() {
			fillIn(v.Index(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fillIn(v.Index(0), n)
		fillIn(v.Index(1), n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("k"), reflect.ValueOf("v"))
		v.SetMapIndex(reflect.ValueOf("k2"), reflect.ValueOf("v2"))
	}
}

func TestADetailIsWrittenAsItsTagsSay(t *testing.T) {
	t.Parallel()
	var d mail.Detail
	fillIn(reflect.ValueOf(&d).Elem(), new(int))
	d.Suppression.ID, d.Facts = mail.NewID(time.Now()), jsontext.Value(`{"name":"acme.test"}`)
	d.Suppression.Public = d.Suppression.ID.Text(mail.PrefixSuppression)
	byTags, err := json.Marshal(d, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	if ours := string(appendDetail(nil, &d)); ours != string(byTags) {
		t.Errorf("ours: %s\ntags: %s", ours, byTags)
	}
	again, err := readDetail(appendDetail(nil, &d))
	if diff := cmp.Diff(d, again); err != nil || diff != "" {
		t.Errorf("read back: %v %s", err, diff)
	}
	if empty := string(appendDetail(nil, &mail.Detail{})); empty != "{}" {
		t.Errorf("an empty detail is %s", empty)
	}
}

func TestAnAttemptIsReadBackWhole(t *testing.T) {
	t.Parallel()
	var a mail.Attempt
	fillIn(reflect.ValueOf(&a).Elem(), new(int))
	a.Wait = mail.NoWait // says why an untried one waits; those are not stored
	a.Outcome = mail.OutcomeDeferred
	again, err := readAttempt(appendAttempt(nil, &a, a.Site))
	if diff := cmp.Diff(a, again); err != nil || diff != "" {
		t.Errorf("read back: %v %s", err, diff)
	}
}

func TestAMessageIsReadBackWhole(t *testing.T) {
	t.Parallel()
	var m mail.Message
	fillIn(reflect.ValueOf(&m).Elem(), new(int))
	r := messageRow{message: mail.Message{ID: m.ID, Row: m.Row, Owner: m.Owner, RFCID: m.RFCID, Supersedes: m.Supersedes,
		SupersededBy: m.SupersededBy, IdempotencyKey: m.IdempotencyKey, Batch: m.Batch, CreatedAt: m.CreatedAt}, // have columns
		facts: appendMessageFacts(nil, &m)}
	again, err := r.decode()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, *again); diff != "" {
		t.Error(diff)
	}
}

// FuzzFacts holds that whatever callers and sites write is read back, bytes that are no
// text as U+FFFD.
func FuzzFacts(f *testing.F) {
	f.Add("Hello", "X-Header", "250 2.0.0 Ok")
	f.Add("\x00\"\\\u2028", "\xff\xfe", "550 caf\xe9")
	f.Add("", "'; DROP TABLE messages; --", "a\nb\tc")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		m := mail.Message{Subject: a, Tags: []string{b, c}, Metadata: map[string]string{b: c}, Headers: []mail.Header{{Name: b, Value: c}}}
		r := messageRow{facts: appendMessageFacts(nil, &m)}
		got, err := r.decode()
		if err != nil {
			t.Fatal(err)
		}
		if utf8.ValidString(a) && got.Subject != a {
			t.Fatalf("subject: got %q, want %q", got.Subject, a)
		}
		if utf8.ValidString(b) && utf8.ValidString(c) && (got.Tags[0] != b || got.Metadata[b] != c || got.Headers[0].Value != c) {
			t.Fatalf("got %+v", got)
		}
		attempt, err := readAttempt(appendAttempt(nil, &mail.Attempt{Reply: mail.Reply{Text: c}, Transcript: []mail.Line{{From: a, Text: b}}}, a))
		if err != nil || utf8.ValidString(c) && attempt.Reply.Text != c || utf8.ValidString(b) && attempt.Transcript[0].Text != b {
			t.Fatalf("got %+v, %v", attempt, err)
		}
		if _, err := readDetail(appendDetail(nil, &mail.Detail{Summary: a, Reply: &mail.Reply{Text: b}, Recipient: c})); err != nil {
			t.Fatal(err)
		}
		_, _ = idOfRFCID(a + "@" + b)
	})
}
