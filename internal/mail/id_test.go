package mail_test

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

func TestAnIDReadsAndWritesTheDocumentedExample(t *testing.T) {
	const text, uuid = "msg_01kpk2byj0emq8k9w39qsaekf4", "019da625-fa40-752e-89a7-834df2a74de4"
	id, err := mail.ParseID(mail.PrefixMessage, text)
	if err != nil {
		t.Fatal(err)
	}
	if id.UUID() != uuid {
		t.Errorf("UUID: got %s, want %s", id.UUID(), uuid)
	}
	if id.Text(mail.PrefixMessage) != text {
		t.Errorf("Text: got %s, want %s", id.Text(mail.PrefixMessage), text)
	}
	alias := "msg_" + strings.ToUpper(strings.Replace(text[4:], "01", "OL", 1))
	if again, err := mail.ParseID(mail.PrefixMessage, alias); err != nil || again != id {
		t.Errorf("aliases and upper case: got %v, %v", again, err)
	}
}

func TestIDsOfOneProcessGrow(t *testing.T) {
	now := time.Date(2026, 4, 19, 14, 30, 0, 0, time.UTC)
	last := mail.NewID(now)
	for i := range 10000 {
		id := mail.NewID(now.Add(-time.Duration(i) * time.Millisecond)) // a clock that goes back
		if hex.EncodeToString(id[:]) <= hex.EncodeToString(last[:]) {
			t.Fatalf("%x after %x", id, last)
		}
		if id[6]>>4 != 7 || id[8]>>6 != 2 {
			t.Fatalf("not a UUIDv7: %x", id)
		}
		last = id
	}
	if d := last.Time().Sub(now); d < 0 || d > time.Minute {
		t.Errorf("time moved by %v", d)
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("msg_01kpk2byj0emq8k9w39qsaekf4")
	f.Add("msg_zzzzzzzzzzzzzzzzzzzzzzzzzz")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := mail.ParseID(mail.PrefixMessage, s)
		if err != nil || id.IsZero() {
			return
		}
		again, err := mail.ParseID(mail.PrefixMessage, id.Text(mail.PrefixMessage))
		if err != nil || again != id {
			t.Fatalf("%q: %v, %v", s, again, err)
		}
	})
}
