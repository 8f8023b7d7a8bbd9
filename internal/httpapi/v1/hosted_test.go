package v1_test

import (
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

// visit follows a link as a reader of the mail would: without a key.
func (h *house) visit(method, link string, headers ...string) *httptest.ResponseRecorder {
	h.t.Helper()
	r := httptest.NewRequestWithContext(h.t.Context(), method, strings.TrimPrefix(link, "https://mail.acme.test"), nil)
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	h.judge(r, w)
	return w
}

var linkPattern = regexp.MustCompile(`https://mail\.acme\.test/f/[A-Za-z0-9_-]{50}`)

const hostedHello = `{"recipient":"ada@example.com","subject":"s","html":"<body><p>Get the <a class=x href=\"hosted:my%20report.zip\">report</a> or hosted:my report.zip</p></body>",
	"attachments":[{"filename":"my report.zip","content":"aGVsbG8gd29ybGQ=","hosted":true},{"filename":"b.exe","content":"TVo=","content_type":"text/html","hosted":true},{"filename":"a.txt","content":"eA=="}]}`

func TestTheLifeOfAHostedFile(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	a := h.send(hostedHello).is(202, "")
	content := h.ask(testKey, "GET", a.at("/links/self")+"/content", "").is(200, "")
	html, text := strings.ReplaceAll(content.at("/html"), "\r\n", "\n"), strings.ReplaceAll(content.at("/text"), "\r\n", "\n")
	links := linkPattern.FindAllString(html, -1)
	if len(links) != 2 || !strings.Contains(html, `<a class=x href="`+links[0]+`">report</a> or hosted:my report.zip</p>`) ||
		!strings.Contains(html, "b.exe (2 bytes, until 19 May 2026)</a></p>\n</body>") {
		t.Fatalf("%s", html)
	}
	if !strings.Contains(text, "report ("+links[0]+")") || !strings.Contains(text, "b.exe (2 bytes, until 19 May 2026):\n"+links[1]) {
		t.Errorf("%s", text)
	}
	m := h.ask(testKey, "GET", a.at("/links/self"), "").is(200, "")
	for pointer, want := range map[string]string{"/attachments/0/filename": "a.txt", "/attachments/0/hosted": "false", "/attachments/1/filename": "my report.zip", "/attachments/1/hosted": "true",
		"/attachments/1/size_bytes": "11", "/attachments/1/content_type": "application/zip", "/attachments/2/hosted": "true"} {
		if got := m.at(pointer); got != want {
			t.Errorf("%s: %q, want %q", pointer, got, want)
		}
	}
	got := h.visit("GET", links[0])
	for name, want := range map[string]string{"Content-Disposition": `attachment; filename="my report.zip"`, "X-Content-Type-Options": "nosniff", "Content-Length": "11", "Accept-Ranges": "bytes",
		"Content-Type": "application/zip", "Content-Security-Policy": "default-src 'none'; sandbox", "X-Robots-Tag": "noindex", "Cache-Control": "no-store"} {
		if v := got.Header().Get(name); v != want {
			t.Errorf("%s: %q, want %q", name, v, want)
		}
	}
	if got.Code != 200 || got.Body.String() != "hello world" || got.Header().Get("X-Request-Id") == "" {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	if w := h.visit("GET", links[1]); w.Code != 200 || w.Header().Get("Content-Type") != "application/octet-stream" { // text/html of somebody else's never runs here
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := h.visit("HEAD", links[0]); w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Content-Length") != "11" {
		t.Errorf("HEAD: %d %v", w.Code, w.Header())
	}
	if w := h.visit("GET", links[0], "Range: bytes=6-"); w.Code != 206 || w.Body.String() != "world" || w.Header().Get("Content-Range") != "bytes 6-10/11" {
		t.Errorf("Range: %d %s %v", w.Code, w.Body, w.Header())
	}
	if w := h.visit("GET", links[0], "Range: bytes=99-"); w.Code != 416 {
		t.Errorf("Range: %d", w.Code)
	}
	if w := h.visit("GET", links[0], "If-None-Match: "+got.Header().Get("Etag")); w.Code != 304 {
		t.Errorf("If-None-Match: %d", w.Code)
	}
	if w := h.visit("POST", links[0]); w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
	if w := h.ask(testKey, "GET", a.at("/links/self")+"/attachments/1", ""); w.Code != 200 || w.Body.String() != "hello world" {
		t.Errorf("by the API: %d %s", w.Code, w.Body)
	}
	if w := h.ask(testKey, "GET", a.at("/links/self")+"/attachments/0", ""); w.Code != 200 || w.Body.String() != "x" {
		t.Errorf("by the API: %d %s", w.Code, w.Body)
	}
	h.expireHosted(a, links[0])
}

func (h *house) expireHosted(a answer, link string) {
	h.t.Helper()
	for i := range link[len("https://mail.acme.test/f/"):] { // every character is covered by the signature
		b := []byte(link)
		at := len("https://mail.acme.test/f/") + i
		if b[at]++; !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", rune(b[at])) {
			b[at] = 'A'
		}
		if w := h.visit("GET", string(b)); w.Code != 404 {
			h.t.Fatalf("forged at %d: %d", i, w.Code)
		}
	}
	h.pass(30*24*time.Hour - time.Minute)
	if w := h.visit("GET", link); w.Code != 200 {
		h.t.Errorf("a minute before: %d", w.Code)
	}
	if n, err := h.store.SweepFiles(h.t.Context(), h.clock()); n != 0 || err != nil {
		h.t.Errorf("swept %d, %v", n, err)
	}
	h.pass(time.Minute)
	for range 2 {
		if w := h.visit("GET", link); w.Code != 410 || !strings.Contains(w.Body.String(), `"code":"link_expired"`) {
			h.t.Errorf("expired: %d %s", w.Code, w.Body)
		}
		if w := h.visit("GET", link, "Accept: text/html,*/*"); w.Code != 410 || !strings.Contains(w.Body.String(), "<h1>") {
			h.t.Errorf("expired: %d %s", w.Code, w.Body)
		}
		if n, err := h.store.SweepFiles(h.t.Context(), h.clock()); err != nil || n != 2 && n != 0 {
			h.t.Errorf("swept %d, %v", n, err)
		}
	}
	if h.spooledFiles() != 0 {
		h.t.Error("the bytes are still there")
	}
	h.ask(testKey, "GET", a.at("/links/self")+"/attachments/1", "").is(410, "link_expired")
}

func TestHostedFilesAreNotAttachments(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.ask(testKey, "PATCH", "/v1/project", `{"hosted_link_days":0}`).is(422, "validation_failed")
	if h.ask(testKey, "GET", "/v1/project", "").at("/hosted_link_days") != "30" {
		t.Error("not 30 days by default")
	}
	h.ask(testKey, "PATCH", "/v1/project", `{"hosted_link_days":2}`).is(200, "")
	big := strings.Repeat("x", 26<<20)
	a := h.form(nil, filePart{"message", "", "", `{"recipient":"ada@example.com","subject":"s","text":"See hosted:big.bin, or hosted:big.binary","scheduled_time":"2026-04-20T09:00:00Z","attachments":[{"filename":"big.bin","hosted":true}]}`},
		filePart{"attachments", "big.bin", "", big}).is(202, "")
	if a.at("/warnings") != "[]" {
		t.Errorf("%s", a.Body)
	}
	text := h.ask(testKey, "GET", a.at("/links/self")+"/content", "").at("/text")
	link := linkPattern.FindString(text)
	if strings.ReplaceAll(text, "\r\n", "\n") != "See "+link+", or hosted:big.binary\n" && strings.TrimSpace(text) != "See "+link+", or hosted:big.binary" {
		t.Errorf("%q", text)
	}
	if h.spooledFiles() != 1 {
		t.Errorf("%d files", h.spooledFiles())
	}
	h.pass(48 * time.Hour) // two days from when it was due, not from now
	if w := h.visit("GET", link); w.Code != 200 || w.Body.String() != big {
		t.Errorf("%d, %d bytes", w.Code, w.Body.Len())
	}
	h.pass(24 * time.Hour)
	if w := h.visit("GET", link); w.Code != 410 {
		t.Errorf("%d", w.Code)
	}
}

func TestNothingIsHostedForAMessageThatIsNotAccepted(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	h.ask(testKey, "POST", "/v1/messages?dry_run=true", hostedHello).is(200, "")
	h.send(strings.Replace(hostedHello, "ada@example.com", "bad@", 1)).is(422, "")
	h.send(strings.Replace(hostedHello, `"hosted":true`, `"hosted":true,"disposition":"inline"`, 1)).is(422, "validation_failed")
	if h.spooledFiles() != 0 {
		t.Error("files were left")
	}
	h.send(hostedHello, "Idempotency-Key: k").is(202, "")
	h.send(hostedHello, "Idempotency-Key: k").is(202, "")
	if n := h.spooledFiles(); n != 2 {
		t.Errorf("%d files", n)
	}
}

func TestBlockedAttachmentsAndInlineImages(t *testing.T) {
	t.Parallel()
	h := build(t, 0)
	a := h.send(`{"recipient":"ada@example.com","subject":"s","text":"x","attachments":[{"filename":"Setup.EXE","content":"TVo="},{"filename":"a.txt","content":"eA==","content_type":"Application/X-MSDownload; x=y"},
		{"filename":"a.js. ","content":"eA=="},{"filename":"exe","content":"eA=="},{"filename":"a.exe.txt","content":"eA=="}]}`).is(422, "validation_failed")
	f := faultsOf(t, a)
	if len(f) != 3 || f[0].Code != "attachment_type_blocked" || f[0].Pointer != "#/attachments/0" || f[1].Pointer != "#/attachments/1" || f[2].Pointer != "#/attachments/2" {
		t.Errorf("%v", f)
	}
	a = h.send(`{"recipient":"ada@example.com","subject":"s","html":"<img src='cid:a%40x'><img src=\"cid:gone\">","attachments":[
		{"filename":"a.png","content":"eA==","content_id":"a@x","disposition":"inline"},{"filename":"b.png","content":"eA==","content_id":"<b>","disposition":"inline"}]}`).is(202, "")
	if a.at("/warnings/0/code") != "content_id_unused" || a.at("/warnings/0/pointer") != "#/attachments/1/content_id" || a.at("/warnings/1/code") != "content_id_missing" || a.at("/warnings/2") != "" {
		t.Errorf("%s", a.Body)
	}
}
