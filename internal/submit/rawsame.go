package submit

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"

	"github.com/postroad/postroad/internal/mime"
)

// Fingerprint is what two messages under one key must have in common. A program that runs a
// job twice builds its message twice: with another Date, another Message-ID, other boundaries
// and other ids of its inline files. So what counts is what a reader would see, not the bytes:
// the fields that say something, the texts, and name, kind and bytes of each file. A message
// that cannot be taken apart whole is compared by its bytes.
func (r *Raw) Fingerprint() ([32]byte, error) {
	parts, err := r.header.Parse(mime.Limits{})
	if err != nil {
		return [32]byte{}, fmt.Errorf("read the message: %w", err)
	}
	if parts.Truncated || parts.Problem != "" {
		return r.Sum, nil
	}
	sum := sha256.New()
	for _, f := range r.header.Fields {
		if name := strings.ToLower(f.Name); !isMadeAnew(name) && !isKeyField(name) {
			add(sum, "field", name, f.Value)
		}
	}
	files := map[string]int{} // by Content-ID
	for i, a := range parts.Attachments {
		add(sum, "file", a.Filename, a.ContentType, string(a.SHA256[:]))
		if _, twice := files[a.ContentID]; !twice && a.ContentID != "" {
			files[a.ContentID] = i
		}
	}
	add(sum, "texts", parts.Text)
	addHTML(sum, parts.HTML, files)
	return [32]byte(sum.Sum(nil)), nil
}

// addHTML writes a text with the number of each inline file in the place of its id. It goes
// over the text once and copies none of it: both are somebody else's.
func addHTML(sum hash.Hash, html string, files map[string]int) {
	for {
		before, rest, found := strings.Cut(html, "cid:")
		add(sum, before)
		if !found {
			return
		}
		end := strings.IndexAny(rest, "\"'<>() \t\r\n")
		if end < 0 {
			end = len(rest)
		}
		if i, known := files[rest[:end]]; known {
			add(sum, "file", strconv.Itoa(i))
		} else {
			add(sum, "id", rest[:end])
		}
		html = rest[end:]
	}
}

// add writes each text with its length before it, so that no two lists are the same.
func add(sum hash.Hash, texts ...string) {
	for _, text := range texts {
		fmt.Fprintf(sum, "%d:", len(text))
		_, _ = io.WriteString(sum, text)
	}
}

// isMadeAnew tells the fields that say how and when a message was built and came, not what
// it says. The name is in lower case.
func isMadeAnew(name string) bool {
	switch name {
	case "date", "message-id", "received", "mime-version", "content-type", "content-transfer-encoding", "content-disposition",
		"return-path", "dkim-signature":
		return true
	}
	return false
}
