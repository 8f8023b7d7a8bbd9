package main

import (
	"bytes"
	"testing"
)

func TestAPrintedLetterDoesNothingToATerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := printLetter(&out, []byte("a\r\n\tb\x1b[2J \u009b31m \x9b31m \u202egpj.exe é 日\x00\x7f")); err != nil {
		t.Fatal(err)
	}
	if want := "a\n\tb?[2J ?31m ?31m ?gpj.exe é 日??\n"; out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
}
