package mime

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// Reissue is what is new in a message that is sent again.
type Reissue struct {
	ID   string // Message-ID without angle brackets
	Date time.Time
	To   []mail.Address // when set, they replace To, and Cc goes
}

// ErrHeaderTooLarge says that a header block has more than the 1 MB we read.
var ErrHeaderTooLarge = errors.New("the header is too large")

// Copy writes the message that r reads to w with the new fields in the place of the old
// ones; every other byte stays as it is. It holds the header block, and 32 KB.
func (e *Reissue) Copy(w io.Writer, r io.Reader) error {
	if !validMsgID(e.ID) {
		return &InjectionError{"Message-ID"}
	}
	for _, a := range e.To {
		if !cleanAddress(a) {
			return &InjectionError{"To"}
		}
	}
	br := bufio.NewReaderSize(r, pieceSize)
	head, err := e.rewrite(br)
	if err != nil {
		return err
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	_, err = br.WriteTo(w)
	return err
}

// rewrite reads the header block and its empty line, and gives them with the new fields.
func (e *Reissue) rewrite(br *bufio.Reader) ([]byte, error) {
	head := make([]byte, 0, 4096)
	head = e.Date.AppendFormat(append(head, "Date: "...), "Mon, 02 Jan 2006 15:04:05 -0700")
	head = append(append(append(head, "\r\nMessage-ID: <"...), e.ID...), ">\r\n"...)
	head = appendAddresses(head, "To", e.To)
	dropping := false
	for read := 0; ; {
		line, err := br.ReadBytes('\n')
		if read += len(line); read > 1<<20 {
			return nil, ErrHeaderTooLarge
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 || err == io.EOF {
			return append(head, line...), nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the header: %w", err)
		}
		if line[0] != ' ' && line[0] != '\t' {
			name, _, _ := bytes.Cut(line, []byte(":"))
			dropping = e.replaces(string(bytes.TrimRight(name, " \t")))
		}
		if !dropping {
			head = append(head, line...)
		}
	}
}

func (e *Reissue) replaces(name string) bool {
	switch strings.ToLower(name) {
	case "date", "message-id":
		return true
	case "to", "cc":
		return len(e.To) > 0
	}
	return false
}
