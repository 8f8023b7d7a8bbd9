package v1

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"mime/multipart"
	"strings"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/submit"
)

// formType is the media type of a message with files beside it: part "message" is the
// JSON, each part "attachments" a file.
const formType = "multipart/form-data"

// uploadMemory is how many bytes of one request's files stand in memory; the others go
// to disk as they come.
const uploadMemory = 1 << 20

// upload is one file part.
type upload struct {
	filename, contentType, contentID string
	content                          mail.Content
	sum                              [32]byte
	claimed                          bool // an entry of the JSON's attachments says more of it
}

// uploads are the file parts of a request; nil when it is plain JSON.
type uploads struct {
	submitter Submitter
	files     []upload
	room      int64
}

// readUploads reads a multipart request: the JSON into c.Body, the files to where they
// are held. Nothing happens for a body that is JSON alone. False: it has answered.
func (a *API) readUploads(c *httpapi.Call) (*uploads, bool) {
	if c.Reader() == nil {
		return nil, true
	}
	up := &uploads{submitter: a.o.Submitter, room: uploadMemory}
	boundary := c.MediaParam("boundary")
	if boundary == "" {
		return up, c.Refuse(badForm("The Content-Type multipart/form-data lacks its boundary."))
	}
	parts := multipart.NewReader(c.Reader(), boundary)
	seen := false
	for {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return up, refuseForm(c, err)
		}
		switch {
		case part.FormName() != "message":
			err = up.part(c, part)
		case seen:
			err = badForm("The part 'message' stands there twice.")
		default:
			seen = true
			err = c.Gather(part)
		}
		if err != nil {
			return up, refuseForm(c, err)
		}
	}
	if !seen {
		return up, c.Refuse(&mail.Error{Code: "missing_required_field", Field: "message", Pointer: "#/message", Message: "The part 'message' with the JSON of the message is missing."})
	}
	return up, true
}

func badForm(message string) *mail.Error {
	return &mail.Error{Code: "invalid_parameter", Status: 400, Message: message}
}

// refuseForm answers what reading the parts met; false, for brevity.
func refuseForm(c *httpapi.Call, err error) bool {
	var bad *mail.Error
	switch {
	case errors.As(err, &bad):
		return c.Refuse(bad)
	case c.StreamFailed() || !isForm(err):
		c.FailStream(err)
		return false
	}
	return c.Refuse(badForm("The body is not valid multipart/form-data: " + clip(strings.ToValidUTF8(err.Error(), "\uFFFD"), 200) + "."))
}

// isForm tells faults of the form's own make-up, which the multipart reader has no types
// for.
func isForm(err error) bool {
	return strings.HasPrefix(err.Error(), "multipart:") || strings.HasPrefix(err.Error(), "malformed MIME") ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, multipart.ErrMessageTooLarge)
}

// part takes one part that is not the message.
func (up *uploads) part(c *httpapi.Call, part *multipart.Part) error {
	switch name := part.FormName(); name {
	case "attachments", "attachments[]", "attachment":
	default:
		return badForm("There is no part '" + clip(strings.ToValidUTF8(name, "\uFFFD"), 64) + "': the parts are 'message' and 'attachments'.")
	}
	if len(up.files) == maxListKept {
		_, err := io.Copy(io.Discard, part)
		return err
	}
	f := upload{filename: strings.ToValidUTF8(part.FileName(), "\uFFFD"), contentType: strings.ToValidUTF8(part.Header.Get("Content-Type"), "\uFFFD"),
		contentID: strings.ToValidUTF8(part.Header.Get("Content-Id"), "\uFFFD")}
	sum := sha256.New()
	content, err := up.submitter.Hold(c.Context(), io.TeeReader(decoded(part), sum), up.room)
	if err != nil {
		var bad base64.CorruptInputError
		if errors.As(err, &bad) {
			return badForm("The file '" + clip(f.filename, 64) + "' says it is base64, but it is not.")
		}
		return err
	}
	if plain, inMemory := content.(mail.Bytes); inMemory {
		up.room -= plain.Size()
	}
	f.content = content
	sum.Sum(f.sum[:0])
	up.files = append(up.files, f)
	return nil
}

// decoded undoes the encodings a part may still come in (RFC 7578 §4.7 advises against
// them).
func decoded(part *multipart.Part) io.Reader {
	if strings.EqualFold(strings.TrimSpace(part.Header.Get("Content-Transfer-Encoding")), "base64") {
		return base64.NewDecoder(base64.StdEncoding, part)
	}
	return part
}

// claim finds the file an entry of the JSON's attachments without content speaks of: the
// first of its name that no other entry has claimed.
func (up *uploads) claim(a *submit.AttachmentIn) bool {
	if up == nil {
		return false
	}
	for i := range up.files {
		f := &up.files[i]
		if f.claimed || f.filename != a.Filename {
			continue
		}
		f.claimed = true
		a.Raw = f.content
		if a.ContentType == "" {
			a.ContentType = f.contentType
		}
		return true
	}
	return false
}

// appendRest adds the files no entry spoke of.
func (up *uploads) appendRest(list []submit.AttachmentIn) []submit.AttachmentIn {
	if up == nil {
		return list
	}
	for i := range up.files {
		f := &up.files[i]
		if f.claimed {
			continue
		}
		list = append(list, submit.AttachmentIn{Filename: f.filename, ContentType: f.contentType, ContentID: f.contentID, Inline: f.contentID != "",
			Raw: f.content, Field: indexed("attachments", len(list))})
	}
	return list
}

// fingerprint adds the files to that of the JSON, by part.
func (up *uploads) fingerprint(body [32]byte) (out [32]byte) {
	if up == nil {
		return body
	}
	h := sha256.New()
	c := &canon{h: h}
	c.part(body[:])
	for i := range up.files {
		f := &up.files[i]
		c.word(f.filename)
		c.word(f.contentType)
		c.word(f.contentID)
		c.part(f.sum[:])
	}
	h.Sum(out[:0])
	return out
}

// drop lets go of the files.
func (up *uploads) drop() {
	if up == nil {
		return
	}
	for i := range up.files {
		up.submitter.Drop(up.files[i].content)
	}
}
