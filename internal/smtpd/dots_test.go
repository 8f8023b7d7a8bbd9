package smtpd

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// unstuffed is what dots does, as RFC 5321 §4.5.2 says it, with no care for speed.
func unstuffed(s string) (content string, err error) {
	lines := "\r\n" + s
	end := strings.Index(lines, "\r\n.\r\n")
	// Nothing before the true end may look like one.
	look := s
	if end >= 0 {
		look = s[:end]
	}
	if hasFalseEnd(look, end >= 0) {
		return "", errAmbiguous
	}
	if end < 0 {
		return "", io.ErrUnexpectedEOF
	}
	content = lines[:end] + "\r\n"
	content = strings.ReplaceAll(content, "\r\n.", "\r\n")
	return content[2:], nil
}

// hasFalseEnd looks for a dot behind the start, a CR or an LF and before a CR or an LF,
// unless all of that is CRLF.CRLF. What a bare end follows is the whole text when it has
// its true end, else one octet may be missing to tell.
func hasFalseEnd(s string, whole bool) bool {
	if whole {
		s += "\r\n"
	}
	for i := range len(s) {
		if s[i] != '.' || i+1 >= len(s) || s[i+1] != '\r' && s[i+1] != '\n' {
			continue
		}
		before := i == 0 || strings.HasSuffix(s[:i], "\r\n")
		bare := !before && (s[i-1] == '\r' || s[i-1] == '\n')
		switch {
		case bare:
			return true
		case before && s[i+1] == '\n':
			return true
		case before && i+2 < len(s) && s[i+2] != '\n':
			return true
		}
	}
	return false
}

func readDots(s string, piece int, most int64) (string, error) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		for len(s) > 0 {
			n := min(piece, len(s))
			if _, err := io.WriteString(theirs, s[:n]); err != nil {
				return
			}
			s = s[n:]
		}
		_ = theirs.Close()
	}()
	d := &dots{w: newWire(ours, time.Second), pace: newPace(&Options{Pace: time.Second, Content: time.Second}), left: most}
	b, err := io.ReadAll(iotest.OneByteReader(d))
	if errors.Is(err, io.ErrClosedPipe) {
		err = io.ErrUnexpectedEOF // a pipe tells its end like this
	}
	return string(b), err
}

// FuzzDots: content comes out as RFC 5321 says, in whatever pieces it comes in.
func FuzzDots(f *testing.F) {
	for _, s := range []string{"a\r\n.\r\n", ".\r\n", "..\r\n.\r\n", ".a\r\n\r\n.\r\n", "a\n.\n", "a\r\n.\n", "a\r.\r", "a\n.\r\n.\r\n", "a\r\n.\r\r\n.\r\n", "\r\r\n.\r\n", "a", ".", ".\r", "\r\n.\r\nmore"} {
		f.Add(s, uint8(1))
		f.Add(s, uint8(3))
	}
	f.Fuzz(func(t *testing.T, s string, piece uint8) {
		want, wantErr := unstuffed(s)
		got, err := readDots(s, int(piece)+1, 1<<20)
		if !errors.Is(err, wantErr) {
			t.Fatalf("%q: got %q, %v; want %v", s, got, err, wantErr)
		}
		if err == nil && got != want {
			t.Fatalf("%q: got %q, want %q", s, got, want)
		}
	})
}
