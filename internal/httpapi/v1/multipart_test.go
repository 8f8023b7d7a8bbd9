package v1_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"mime/multipart"
	"net/http/httptest"
	"net/textproto"
	"runtime"
	"strings"
	"testing"
)

// filePart is one part of a multipart request.
type filePart struct{ name, filename, contentType, content string }

// formOf writes a multipart body.
func formOf(t *testing.T, parts ...filePart) (body, contentType string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		h := textproto.MIMEHeader{}
		disposition := fmt.Sprintf(`form-data; name="%s"`, p.name)
		if p.filename != "" {
			disposition += fmt.Sprintf(`; filename="%s"`, p.filename)
		}
		h.Set("Content-Disposition", disposition)
		if p.contentType != "" {
			h.Set("Content-Type", p.contentType)
		}
		part, err := w.CreatePart(h)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(part, p.content)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String(), w.FormDataContentType()
}

func (h *house) form(headers []string, parts ...filePart) answer {
	h.t.Helper()
	body, kind := formOf(h.t, parts...)
	return h.ask(testKey, "POST", "/v1/messages", body, append(headers, "Content-Type: "+kind)...)
}

const formHello = `{"recipient":"ada@example.com","subject":"s","html":"<img src=\"cid:logo\"><p>x</p>"}`

func TestFilesComeBesideTheMessage(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	binary := "\x00\x01\r\n--not the boundary\xff"
	a := h.form(nil, filePart{"attachments", "räport.pdf", "application/pdf", binary}, filePart{"message", "", "application/json",
		`{"recipient":"ada@example.com","subject":"s","html":"<img src=\"cid:logo\">","attachments":[{"filename":"in.txt","content":"aGVsbG8="},{"filename":"logo.png","content_id":"logo","disposition":"inline"}]}`},
		filePart{"attachments", "logo.png", "", "PNG"}, filePart{"attachments", "empty.csv", "text/csv; charset=utf-8", ""}).is(202, "")
	m := h.ask(testKey, "GET", a.at("/links/self"), "").is(200, "")
	sum := sha256.Sum256([]byte(binary))
	for pointer, want := range map[string]string{"/attachments/0/filename": "in.txt", "/attachments/1/filename": "logo.png", "/attachments/1/content_id": "logo", "/attachments/1/content_type": "image/png",
		"/attachments/2/filename": "räport.pdf", "/attachments/2/content_type": "application/pdf", "/attachments/2/size_bytes": fmt.Sprint(len(binary)), "/attachments/2/sha256": hex.EncodeToString(sum[:]),
		"/attachments/3/content_type": "text/csv; charset=utf-8", "/attachments/3/size_bytes": "0"} {
		if got := m.at(pointer); got != want {
			t.Errorf("%s: %q, want %q", pointer, got, want)
		}
	}
	if a.at("/warnings") != "[]" {
		t.Errorf("%s", a.Body)
	}
	// The list of the bytes is in the order they stand in the message: the inline one is first there.
	content := h.ask(testKey, "GET", a.at("/links/self")+"/content", "").is(200, "")
	if n := strings.Count(content.Body.String(), `"filename"`); n != 4 {
		t.Errorf("%d files: %s", n, content.Body)
	}
}

func TestAMultipartRequestIsTheSameByItsParts(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	key := []string{"Idempotency-Key: k"}
	message := filePart{"message", "", "", formHello}
	file := filePart{"attachments", "a.txt", "text/plain", "hello"}
	first := h.form(key, message, file).is(202, "")
	again := h.form(key, file, filePart{"message", "", "application/json", strings.ReplaceAll(formHello, ",\"", ", \"")}).is(202, "") // another boundary, order and white space
	if again.Body.String() != first.Body.String() || again.Header().Get("Idempotency-Replayed") != "true" {
		t.Errorf("%s", again.Body)
	}
	for _, parts := range [][]filePart{{message}, {message, {"attachments", "a.txt", "text/plain", "hellO"}}, {message, {"attachments", "b.txt", "text/plain", "hello"}}, {message, file, file}} {
		h.form(key, parts...).is(422, "idempotency_key_reused")
	}
	if h.count() != 1 || h.spooledFiles() != 0 {
		t.Errorf("%d messages, %d files", h.count(), h.spooledFiles())
	}
}

func TestMultipartFaultsAreTold(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	message := filePart{"message", "", "", formHello}
	for name, c := range map[string]struct {
		parts  []filePart
		status int
		code   string
	}{
		"no message":         {[]filePart{{"attachments", "a.txt", "", "x"}}, 422, "validation_failed"},
		"two":                {[]filePart{message, message}, 400, "invalid_parameter"},
		"an unknown part":    {[]filePart{message, {"file", "a.txt", "", "x"}}, 400, "invalid_parameter"},
		"no JSON":            {[]filePart{{"message", "", "", "recipient=x"}}, 400, "invalid_json"},
		"a file of no name":  {[]filePart{message, {"attachments", "", "", "x"}}, 422, "validation_failed"},
		"a blocked file":     {[]filePart{message, {"attachments", "a.exe", "", "x"}}, 422, "validation_failed"},
		"a bad content type": {[]filePart{message, {"attachments", "a.txt", "nonsense", "x"}}, 422, "validation_failed"},
		"a file not there":   {[]filePart{{"message", "", "", `{"recipient":"a@example.com","subject":"s","text":"x","attachments":[{"filename":"gone.txt"}]}`}}, 422, "validation_failed"},
	} {
		if a := h.form(nil, c.parts...); a.Code != c.status || a.at("/code") != c.code {
			t.Errorf("%s: %d %s", name, a.Code, a.Body)
		}
	}
	many := []filePart{message}
	for i := range 300 {
		many = append(many, filePart{"attachments", fmt.Sprint(i, ".txt"), "", "x"})
	}
	if f := faultsOf(t, h.form(nil, many...).is(422, "validation_failed")); f[0].Code != "too_many" {
		t.Errorf("%v", f)
	}
	body, kind := formOf(t, message, filePart{"attachments", "a.txt", "", "hello"})
	h.ask(testKey, "POST", "/v1/messages", body[:len(body)-20], "Content-Type: "+kind).is(400, "")
	h.ask(testKey, "POST", "/v1/messages", body, "Content-Type: multipart/form-data").is(400, "invalid_parameter")
	h.ask(testKey, "POST", "/v1/messages", body, "Content-Type: multipart/mixed; boundary=x").is(415, "unsupported_media_type")
	h.ask(testKey, "POST", "/v1/messages", body, "Content-Type: "+kind, "Content-Encoding: gzip").is(400, "invalid_header")
	if h.count() != 0 || h.spooledFiles() != 0 {
		t.Errorf("%d messages, %d files", h.count(), h.spooledFiles())
	}
}

// zeros is a body of so many bytes that is nowhere in memory.
type zeros struct {
	prefix, suffix string
	n              int64
	r              io.Reader
}

func (z *zeros) Read(b []byte) (int, error) {
	if z.r == nil {
		z.r = io.MultiReader(strings.NewReader(z.prefix), io.LimitReader(pattern{}, z.n), strings.NewReader(z.suffix))
	}
	return z.r.Read(b)
}

type pattern struct{}

func (pattern) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(i * 7)
	}
	return len(b), nil
}

func TestFortyMegabytesPassWithoutStandingInMemory(t *testing.T) { // not parallel: it looks at the whole process
	h := build(t, 0)
	send := func(size int64) (answer, uint64) {
		body := &zeros{n: size, prefix: "--b\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\n" + formHello +
			"\r\n--b\r\nContent-Disposition: form-data; name=\"attachments\"; filename=\"big.bin\"\r\n\r\n", suffix: "\r\n--b--\r\n"}
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/messages", body)
		r.Header.Set("Authorization", "Bearer "+testKey)
		r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		w := httptest.NewRecorder()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		h.ServeHTTP(w, r)
		runtime.ReadMemStats(&after)
		h.judge(r, w)
		return answer{w, t}, after.TotalAlloc - before.TotalAlloc
	}
	send(1 << 20) // fills the pools
	a, allocated := send(40 << 20)
	a.is(202, "")
	t.Logf("40 MB: %d KB allocated in all", allocated>>10)
	if allocated > 16<<20 {
		t.Errorf("%d MB were allocated", allocated>>20)
	}
	if a.at("/warnings/1/code") != "attachments_over_25mb" && a.at("/warnings/0/code") != "attachments_over_25mb" {
		t.Errorf("%s", a.Body)
	}
	if m := h.ask(testKey, "GET", a.at("/links/self"), ""); m.at("/attachments/0/size_bytes") != fmt.Sprint(40<<20) {
		t.Errorf("%s", m.Body)
	}
	before := h.spooledFiles()
	if a, _ := send(50 << 20); a.Code != 413 || a.at("/code") != "payload_too_large" { // the whole request counts
		t.Errorf("%d %s", a.Code, a.Body)
	}
	if left := h.spooledFiles(); left != before {
		t.Errorf("%d files were left", left-before)
	}
}
