package smtpd_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestTalks plays the conversations of testdata/talks:
//
//	c line     the client says it, with CRLF
//	r "text"   the client writes these octets, as a Go string
//	s text     the next reply begins like this; its lines are joined with " | "
//	m text     the reply just read holds this, or with ! before the text does not
//	tls        both begin TLS
//	end        the server has ended the conversation
//
// A file whose name ends in .remote is played as if the client were not on this host.
func TestTalks(t *testing.T) {
	playAll(t, "testdata/talks/*", func(t *testing.T, file string) (addr string) {
		h := build(t, 0, withTLS)
		if strings.HasSuffix(file, ".remote") {
			h.addr = h.listen(false, afar)
		}
		return h.addr
	})
}

// playAll plays the conversations of each file with a server of its own.
func playAll(t *testing.T, where string, open func(t *testing.T, file string) (addr string)) {
	t.Parallel()
	files, err := filepath.Glob(where)
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			addr := open(t, file)
			for talk := range strings.SplitSeq(string(text), "\n\n") {
				play(t, addr, talk)
			}
		})
	}
}

func play(t *testing.T, addr, talk string) {
	t.Helper()
	names := strings.NewReplacer("$LIVE", plain(liveKey), "$TEST", plain(testKey), "$WRONG", plain("not-a-key-of-anybody"),
		"$USER", base64.StdEncoding.EncodeToString([]byte("relay")), "$PASSWORD", base64.StdEncoding.EncodeToString([]byte(liveKey)))
	var c *client
	last := ""
	for number, line := range strings.Split(talk, "\n") {
		what, rest, _ := strings.Cut(strings.TrimRight(line, " "), " ")
		if rest = names.Replace(rest); c == nil && what != "" && what[0] != '#' {
			c = dialTo(t, addr)
		}
		switch what {
		case "c":
			c.send(rest + "\r\n")
		case "r":
			text, err := strconv.Unquote(rest)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			c.send(text)
		case "s":
			if last = strings.ReplaceAll(c.reply(), "\n", " | "); !strings.HasPrefix(last, rest) || last == "" {
				t.Fatalf("line %d of\n%s\n\ngot %q, want %q", number+1, talk, last, rest)
			}
		case "m":
			word, not := strings.CutPrefix(rest, "!")
			if strings.Contains(last, word) == not {
				t.Fatalf("line %d of\n%s\n\ngot %q", number+1, talk, last)
			}
		case "tls":
			c.secure()
		case "end":
			c.wantEnd()
		case "":
		default:
			if what[0] != '#' {
				t.Fatalf("what is %q?", line)
			}
		}
	}
}
