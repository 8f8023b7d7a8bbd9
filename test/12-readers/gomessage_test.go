package readers

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // texts in other charsets than UTF-8
	"github.com/emersion/go-message/mail"
)

// readGoMessage reads with emersion/go-message as its documentation shows.
func readGoMessage(name string, raw []byte) reading {
	r := reading{Name: name, Headers: map[string][]string{}}
	entity, err := message.Read(bytes.NewReader(raw))
	if err != nil {
		r.Problem = err.Error()
		return r
	}
	head := mail.Header{Header: entity.Header}
	for field, into := range map[string]*[]mailbox{"From": &r.From, "Reply-To": &r.ReplyTo, "To": &r.To, "Cc": &r.Cc} {
		list, err := head.AddressList(field)
		if err != nil {
			r.Defects = append(r.Defects, field+": "+err.Error())
		}
		for _, a := range list {
			*into = append(*into, mailbox{a.Name, written(a.Address)})
		}
	}
	if r.Subject, err = head.Subject(); err != nil {
		r.Defects = append(r.Defects, "Subject: "+err.Error())
	}
	for fields := head.Fields(); fields.Next(); {
		text, err := fields.Text()
		if err != nil {
			r.Defects = append(r.Defects, fields.Key()+": "+err.Error())
		}
		key := strings.ToLower(fields.Key())
		r.Headers[key] = append(r.Headers[key], text)
	}
	parts := mail.NewReader(entity)
	for {
		part, err := parts.NextPart()
		if err == io.EOF {
			return r
		}
		if err != nil {
			r.Problem = err.Error()
			return r
		}
		if err := r.takePart(part); err != nil {
			r.Problem = err.Error()
			return r
		}
	}
}

// written is an address as it stands in a field: Address.Address is without the quotes
// its local part may need.
func written(address string) string {
	return strings.Trim((&mail.Address{Address: address}).String(), "<>")
}

// takePart keeps one leaf: the first text of each kind that is no file is the body.
func (r *reading) takePart(part *mail.Part) error {
	content, err := io.ReadAll(part.Body)
	if err != nil {
		return err
	}
	var head message.Header
	switch h := part.Header.(type) {
	case *mail.InlineHeader:
		head = h.Header
	case *mail.AttachmentHeader:
		head = h.Header
	}
	kind, _, err := head.ContentType()
	if err != nil {
		return err
	}
	disposition, _, _ := head.ContentDisposition()
	text := string(content)
	switch {
	case disposition == "" && kind == "text/plain" && r.Text == nil:
		r.Text = &text
		return nil
	case disposition == "" && kind == "text/html" && r.HTML == nil:
		r.HTML = &text
		return nil
	}
	attachment := mail.AttachmentHeader{Header: head}
	name, err := attachment.Filename()
	if err != nil {
		return err
	}
	sum := sha256.Sum256(content)
	r.Attachments = append(r.Attachments, file{name, kind, strings.Trim(head.Get("Content-Id"), "<>"), disposition, hex.EncodeToString(sum[:])})
	return nil
}
