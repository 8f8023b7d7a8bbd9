package v1

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/submit"
)

// FuzzSendBody: whatever comes, reading it ends, every fault has a code, a pointer and
// UTF-8 in it, and what was read is bounded. Who agrees with the JSON library on what
// is valid agrees on everything the walkers rely on.
func FuzzSendBody(f *testing.F) {
	for _, s := range []string{`{}`, `{"recipient":"a@b.c","subject":"s","text":"x"}`, `{"to":[{"email":"a","name":null},5],"cc":"x","headers":{"Idempotency-Key":"k","a":1}}`,
		`{"attachments":[{"content":"e\/A==","filename":"\u0000"}],"body":{"html":"\"","text":"\\"}}`, `{"scheduled_time":1e400,"expires_in_seconds":-0.5}`,
		`{"\ud83d\ude00":[[[]]],"a":"\\\"","b":{"}":"]"}}`, `{"tags":["a","b"],"metadata":{"~/":"x"},"tracking":{"opens":true}}`, "{\"a\":\"\xff\"}", `{"a":1}{`, `[`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		body, fault := readObject(in)
		valid := jsontext.Value(in).IsValid() && bytes.HasPrefix(bytes.TrimLeft(in, " \t\r\n"), []byte("{"))
		if fault != nil {
			if valid && !deep(in) {
				t.Fatalf("valid JSON was refused: %v", fault)
			}
			if fault.Code != "invalid_json" || fault.Status != 400 || !utf8.ValidString(fault.Message) || !utf8.ValidString(fault.Pointer) {
				t.Fatalf("%+v", fault)
			}
			return
		}
		if !valid {
			t.Fatal("what is not valid JSON was taken")
		}
		var keys httpapi.Keys
		s := readSend(body, &submit.Request{}, &keys)
		for _, e := range s.faults {
			if e.Code == "" || !strings.HasPrefix(e.Pointer, "#") || e.Field == "" || e.Message == "" || !utf8.ValidString(e.Message+e.Pointer+e.Field) {
				t.Fatalf("not whole: %+v", e)
			}
		}
		if len(s.faults) > maxFaults || len(s.unknown) > maxUnknown || len(s.r.To) > maxListKept || len(s.r.Tags) > maxListKept {
			t.Fatal("not bounded")
		}
		// The fingerprint holds for the same JSON written otherwise.
		again := jsontext.Value(bytes.Clone(in))
		if again.Indent() != nil {
			return
		}
		other, fault := readObject(again)
		if fault != nil {
			t.Fatalf("indented: %v", fault)
		}
		if fingerprint(http.MethodPost, "/", nil, body) != fingerprint(http.MethodPost, "/", nil, other) {
			t.Fatalf("white space changes the fingerprint of %q", in)
		}
	})
}

// FuzzFilterTime: whatever stands in a query is a time in range, or none.
func FuzzFilterTime(f *testing.F) {
	for _, s := range []string{"now", "-24h", "-7d", "1776700000", "2026-04-20T09:00:00Z", "2026-04-20T09:00:00 02:00", "2026-04-20", "-999999999999999w", "1e300", "-", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if when, ok := filterTime(s, latest.AddDate(-5000, 0, 0)); ok && (when.Unix() < 0 || when.After(latest)) {
			t.Fatalf("%q is %v", s, when)
		}
	})
}

// FuzzCursor: no text that we did not make is a cursor.
func FuzzCursor(f *testing.F) {
	c, s := newCursors([32]byte{7}), scope{list: "/v1/messages"}
	f.Add("c_AAAA")
	f.Add(c.make(s, 42, latest))
	f.Fuzz(func(t *testing.T, text string) {
		if row, fault := c.read(s, text, latest); fault == nil && c.make(s, row, latest) != text {
			t.Fatalf("%q was taken for a cursor at %d", text, row)
		}
	})
}

func BenchmarkReadSend(b *testing.B) {
	body := []byte(`{"recipient":"ada@example.com","from":"Acme <hello@acme.test>","subject":"Your receipt","html":"<p>` + strings.Repeat("Hello \\\"you\\\" there. ", 80) +
		`</p>","tags":["receipt"],"metadata":{"order_id":"42"},"idempotency_key":"receipt/42"}`)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		v, fault := readObject(body)
		if fault != nil {
			b.Fatal(fault)
		}
		var keys httpapi.Keys
		readSend(v, &submit.Request{}, &keys)
	}
}

func BenchmarkFingerprint(b *testing.B) {
	body := []byte(`{"recipient":"ada@example.com","from":"Acme <hello@acme.test>","subject":"Your receipt","html":"<p>` + strings.Repeat("Hello you there. ", 100) +
		`</p>","tags":["receipt"],"metadata":{"order_id":"42"},"idempotency_key":"receipt/42"}`)
	v, _ := readObject(body)
	b.ReportAllocs()
	for b.Loop() {
		fingerprint(http.MethodPost, "/v1/messages", nil, v)
	}
}
