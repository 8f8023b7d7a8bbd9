package smtp

import (
	"bytes"
	"regexp"
	"testing"
)

func TestContentIsStuffedAndItsLinesEndWithCRLF(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                   ".\r\n",
		"a":                  "a\r\n.\r\n",
		"a\r\n":              "a\r\n.\r\n",
		".":                  "..\r\n.\r\n",
		".\r\n":              "..\r\n.\r\n",
		"..a\r\n.b\r\n":      "...a\r\n..b\r\n.\r\n",
		"a.b\r\n":            "a.b\r\n.\r\n",
		"a\nb":               "a\r\nb\r\n.\r\n",
		"a\rb":               "a\r\nb\r\n.\r\n",
		"a\r\r\nb":           "a\r\n\r\nb\r\n.\r\n",
		"a\n\rb":             "a\r\n\r\nb\r\n.\r\n",
		"\n.\n":              "\r\n..\r\n.\r\n",
		"\r.\r":              "\r\n..\r\n.\r\n",
		"a\r\n\r\n":          "a\r\n\r\n.\r\n",
		"a\r":                "a\r\n.\r\n",
		"a\r\n.\r\nMAIL\r\n": "a\r\n..\r\nMAIL\r\n.\r\n",
	} {
		for cut := range len(in) + 1 {
			var s stuffer
			got := s.append(nil, []byte(in[:cut]))
			got = s.finish(s.append(got, []byte(in[cut:])))
			if string(got) != want {
				t.Errorf("%q cut at %d: got %q, want %q", in, cut, got, want)
			}
		}
	}
}

var anyLineEnd = regexp.MustCompile(`\r\n|\r|\n`)

func FuzzContent(f *testing.F) {
	f.Add([]byte("a\r\n.b\r\n"), 2)
	f.Add([]byte("\r\n.\r\n"), 1)
	f.Add([]byte("\r\r\n\n.\r"), 3)
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		cut = min(max(cut, 0), len(data))
		var s stuffer
		got := s.finish(s.append(s.append(nil, data[:cut]), data[cut:]))

		// What a site makes of it: lines up to the first that is a dot.
		var received []byte
		lines := bytes.Split(got, []byte("\r\n"))
		for i, line := range lines {
			if bytes.ContainsAny(line, "\r\n") {
				t.Fatalf("%q: a bare CR or LF in %q", data, got)
			}
			if string(line) == "." {
				if i != len(lines)-2 {
					t.Fatalf("%q: the final dot is not the end of %q", data, got)
				}
				break
			}
			received = append(append(received, bytes.TrimPrefix(line, []byte("."))...), "\r\n"...)
		}
		want := anyLineEnd.ReplaceAll(data, []byte("\r\n"))
		if len(want) > 0 && !bytes.HasSuffix(want, []byte("\r\n")) {
			want = append(want, "\r\n"...)
		}
		if !bytes.Equal(received, want) {
			t.Fatalf("%q arrives as %q, want %q", data, received, want)
		}
	})
}
