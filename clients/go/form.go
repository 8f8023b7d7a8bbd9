package postroad

import (
	"bytes"
	"encoding/json"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
)

// formOver is how many bytes of files go as base64 within the JSON; more go as parts of
// a form (multipart/form-data, RFC 7578), a third smaller.
const formOver = 5 << 20

// formRequest writes a message with its files beside it. The JSON keeps what there is to
// say of each file but its content; the server joins them by name, in order.
func formRequest(message Message) (request, error) {
	files := message.Attachments
	message.Attachments = make([]Attachment, len(files))
	for i, f := range files {
		f.beside, f.Filename = true, baseName(f.Filename)
		message.Attachments[i] = f
	}
	text, err := json.Marshal(message)
	if err != nil {
		return request{}, invalid("invalid_type", "body", "the message cannot be written as JSON: "+err.Error())
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	if err := writePart(form, "message", "", "application/json", text); err != nil {
		return request{}, err
	}
	for _, f := range files {
		kind := f.ContentType
		if kind == "" {
			kind = "application/octet-stream"
		}
		if err := writePart(form, "attachments", baseName(f.Filename), kind, f.Content); err != nil {
			return request{}, err
		}
	}
	if err := form.Close(); err != nil {
		return request{}, err
	}
	return request{method: http.MethodPost, path: "/v1/messages", body: body.Bytes(), contentType: form.FormDataContentType()}, nil
}

// baseName is a file's name without directories, which a form's reader takes off anyway
// (RFC 7578 §4.2).
func baseName(name string) string {
	if i := strings.LastIndexByte(name, '/'); i >= 0 && i+1 < len(name) {
		return name[i+1:]
	}
	return name
}

func writePart(form *multipart.Writer, name, filename, kind string, content []byte) error {
	fields := map[string]string{"name": name}
	if filename != "" {
		fields["filename"] = filename
	}
	head := textproto.MIMEHeader{"Content-Disposition": {mime.FormatMediaType("form-data", fields)}, "Content-Type": {kind}}
	part, err := form.CreatePart(head)
	if err == nil {
		_, err = part.Write(content)
	}
	return err
}
