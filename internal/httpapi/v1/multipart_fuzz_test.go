package v1

import (
	"bytes"
	"context"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/submit"
)

// holder holds in memory, and counts what it still has.
type holder struct {
	Submitter
	held int
}

func (h *holder) Hold(_ context.Context, r io.Reader, _ int64) (mail.Content, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	h.held++
	return mail.Bytes(b), nil
}

func (h *holder) Drop(mail.Content) { h.held-- }

// FuzzMultipart: whatever stands in a multipart body, reading it ends in a message and
// files or in a 4xx in JSON, and what was held is let go.
func FuzzMultipart(f *testing.F) {
	for _, s := range []string{
		"--b\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\n{\"attachments\":[{\"filename\":\"a\"}]}\r\n--b\r\nContent-Disposition: form-data; name=\"attachments\"; filename=a\r\n\r\nx\r\n--b--\r\n",
		"--b\r\nContent-Disposition: form-data; name=attachments; filename*=utf-8''%C3%BC.txt\r\nContent-Transfer-Encoding: base64\r\n\r\naGk=\r\n--b\r\nContent-Disposition: form-data; name=message\r\n\r\n{}\r\n--b--",
		"--b\r\n\r\n--b--", "--b\r\nContent-Disposition: x\r\n\r\n\r\n--b", "--b--", "", "--b\r\nA\r\n", "--b\n\n--b--\n",
	} {
		f.Add(s)
	}
	hold := &holder{}
	a := &API{o: Options{Submitter: hold}}
	door := httpapi.New(httpapi.Options{Limits: project.NewLimits(0)})
	handler := door.Handler([]httpapi.Route{{Method: "POST", Pattern: "/x", Public: true, Streams: []string{formType}, Handle: func(c *httpapi.Call) {
		up, ok := a.readUploads(c)
		defer up.drop()
		if !ok {
			return
		}
		if body, fault := readObject(c.Body); fault == nil {
			var keys httpapi.Keys
			s := &sendBody{r: &submit.Request{}, keys: &keys, uploads: up}
			s.read(body)
			up.fingerprint(fingerprint("POST", "/x", nil, body))
			raw := 0
			for _, in := range s.r.Attachments {
				if in.Raw != nil {
					raw++
				}
			}
			if raw != len(up.files) {
				panic("a file was lost or used twice")
			}
		}
		c.Empty()
	}}})
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", "/x", bytes.NewReader([]byte(body)))
		r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code >= 500 || w.Code != 204 && !strings.Contains(w.Header().Get("Content-Type"), "json") {
			t.Fatalf("%q: %d %s", body, w.Code, w.Body)
		}
		if hold.held != 0 {
			t.Fatalf("%q: %d files are still held", body, hold.held)
		}
	})
}
