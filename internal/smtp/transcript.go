package smtp

import (
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// maxTranscript bounds the text of one attempt's transcript in bytes: fifty recipients
// fit, a site that talks without end does not.
const maxTranscript = 32 << 10

// Transcript gathers what was said in one attempt. It holds commands, replies and what
// happened to the connection; never credentials and never content. All text lies in one
// buffer, so that a line costs no allocation until [Transcript.Lines]. One goroutine uses it.
type Transcript struct {
	began time.Time
	lines []lineAt
	text  []byte
	full  bool
}

// lineAt is a line of a Transcript: its text ends at end, where that of the next begins.
type lineAt struct {
	from byte
	code int
	at   time.Duration
	end  int
}

// Start forgets all and begins anew at now.
func (t *Transcript) Start(now time.Time) {
	t.began, t.lines, t.text, t.full = now, t.lines[:0], t.text[:0], false
}

// Note writes down what happened to the connection.
func (t *Transcript) Note(text string) {
	if t.room(len(text)) {
		t.text = append(t.text, text...)
		t.end('!', 0)
	}
}

// said writes down a command or a reply line.
func (t *Transcript) said(from byte, code int, text []byte) {
	if t != nil && t.room(len(text)) {
		t.text = append(t.text, text...)
		t.end(from, code)
	}
}

// room tells whether so much text still fits; when it no longer does, the transcript says so, once.
func (t *Transcript) room(n int) bool {
	if t == nil || t.full {
		return false
	}
	if len(t.text)+n <= maxTranscript {
		return true
	}
	t.full = true
	t.text = append(t.text, "the rest of the transcript was left out"...)
	t.end('!', 0)
	return false
}

func (t *Transcript) end(from byte, code int) {
	t.lines = append(t.lines, lineAt{from: from, code: code, at: time.Since(t.began), end: len(t.text)})
}

// Lines gives a copy of the transcript, in two allocations.
func (t *Transcript) Lines() []mail.Line {
	text, start := string(t.text), 0
	out := make([]mail.Line, len(t.lines))
	for i, l := range t.lines {
		from := "C"
		switch l.from {
		case 'S':
			from = "S"
		case '!':
			from = "!"
		}
		out[i] = mail.Line{From: from, At: l.at, Text: text[start:l.end], Code: l.code}
		start = l.end
	}
	return out
}
