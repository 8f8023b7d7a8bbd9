package app

import (
	"strings"
	"testing"
)

func TestTheFirstStartPrintsTheKeyAndLinesThatWorkAsTheyAre(t *testing.T) {
	t.Parallel()
	b := &strings.Builder{}
	if err := (announcement{DataDir: "./data", URL: "http://127.0.0.1:8080", Secret: "sk_test_abc"}).write(b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	if strings.Count(text, "\ncurl ") != 2 || !strings.Contains(text, "http://127.0.0.1:8080/#key=sk_test_abc") || !strings.Contains(text, "verified sending domain") {
		t.Errorf("%s", text)
	}
	if strings.Contains(text, "?key=") || strings.Contains(text, "%!") {
		t.Errorf("%s", text)
	}
}

func TestALaterStartPrintsNoKey(t *testing.T) {
	t.Parallel()
	b := &strings.Builder{}
	if err := (announcement{DataDir: "./data", URL: "http://127.0.0.1:8080"}).write(b); err != nil {
		t.Fatal(err)
	}
	if text := b.String(); strings.Contains(text, "sk_") || strings.Contains(text, "curl") || !strings.Contains(text, "http://127.0.0.1:8080/\n") {
		t.Errorf("%s", text)
	}
}
