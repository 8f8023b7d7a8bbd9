package postroad_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"mime"
	"mime/multipart"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	postroad "github.com/postroad/postroad/clients/go"
	"github.com/postroad/postroad/clients/go/postroadtest"
)

func TestTheKeyIsNeverPrintedWhole(t *testing.T) {
	t.Parallel()
	const key = "sk_live_k7f2q9xm_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGAbCdEf"
	for given, shown := range map[string]string{key: "sk_live_k7f2q9xm_…", "made-by-hand-000000": "…"} {
		c, err := postroad.New(postroad.WithAPIKey(given), postroad.WithBaseURL("https://mail.example.com/"))
		if err != nil {
			t.Fatal(err)
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(verb, c); strings.Contains(text, given[17:]) || !strings.Contains(text, shown) || !strings.Contains(text, "https://mail.example.com") {
				t.Errorf("%s: %s", verb, text)
			}
		}
	}
	made := &postroad.APIKey{KeyID: "key_1", Secret: key}
	if text := fmt.Sprint(made); strings.Contains(text, key) {
		t.Error(text)
	}
}

func TestNewReadsTheEnvironmentAndRefusesWhatIsNoServer(t *testing.T) {
	t.Setenv("POSTROAD_API_KEY", "sk_test_k7f2q9xm_secret")
	t.Setenv("POSTROAD_BASE_URL", "http://mail.internal:8080/v1/")
	c, err := postroad.New()
	if err != nil || c.String() != "postroad.Client{http://mail.internal:8080, sk_test_k7f2q9xm_…}" {
		t.Errorf("%v %v", c, err)
	}
	t.Setenv("POSTROAD_BASE_URL", "")
	if c, err := postroad.New(); err != nil || !strings.Contains(c.String(), postroad.DefaultBaseURL) {
		t.Errorf("%v %v", c, err)
	}
	for _, bad := range []string{"mail.example.com", "ftp://mail.example.com", "https://", "https://u:geheim@mail.example.com", "https://mail.example.com?x=1", "http://%zz"} {
		if _, err := postroad.New(postroad.WithBaseURL(bad)); err == nil || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if _, err := postroad.New(postroad.WithAPIKey("two\nlines")); err == nil || strings.Contains(err.Error(), "lines") {
		t.Errorf("%v", err)
	}
	if _, err := postroad.New(postroad.WithMaxAttempts(0)); err == nil {
		t.Error("no attempt at all was taken")
	}
}

func TestAnErrorTellsAllFaultsAndKeepsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	server := postroadtest.New()
	server.Answer("POST", "/v1/messages", 422, `{"type":"https://h/docs/errors#validation_failed","status":422,"code":"validation_failed","title":"T","detail":"2 fields are invalid: recipient, text.",
		"request_id":"req_1","current_state":"x","errors":[{"field":"recipient","pointer":"#/recipient","code":"invalid_email","message":"no domain","suggestion":"ada@example.com"},{"field":"text","code":"of_tomorrow","message":"M"}]}`)
	_, err := server.Client().Messages.Send(t.Context(), message)
	var e *postroad.Error
	var state string
	if !errors.As(err, &e) || len(e.Errors) != 2 || e.Errors[0].Suggestion != "ada@example.com" || e.Errors[1].Code != "of_tomorrow" || !e.Field("current_state", &state) || state != "x" ||
		err.Error() != "postroad: 2 fields are invalid: recipient, text (validation_failed); recipient: no domain; text: M [req_1]" {
		t.Errorf("%v %+v", err, e)
	}
	server.Answer("POST", "/v1/messages", 403, "<html>Blocked by a proxy</html>", "Content-Type", "text/html")
	if _, err = server.Client().Messages.Send(t.Context(), message); !errors.Is(err, postroad.ErrPermission) || !errors.As(err, &e) || string(e.Raw) != "<html>Blocked by a proxy</html>" || e.Code != "" {
		t.Errorf("%v", err)
	}
	for _, body := range []string{"<html>Sign in</html>", "", "[]"} {
		server.Answer("POST", "/v1/messages", 200, body)
		if _, err = server.Client().Messages.Send(t.Context(), message); !errors.Is(err, postroad.ErrServer) || !errors.As(err, &e) || string(e.Raw) != body {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func TestAListIsReadAsFarAsItIsUsed(t *testing.T) {
	t.Parallel()
	server := postroadtest.New()
	page := func(first, next string, more bool) map[string]any {
		return map[string]any{"object": "list", "has_more": more, "next_cursor": next, "data": []map[string]any{{"message_id": first + "1", "status": "of_tomorrow", "new": 1}, {"message_id": first + "2"}}}
	}
	list := server.Client().Messages.List(postroad.MessageFilter{Status: []string{"bounced", "deferred"}, Metadata: map[string]string{"order": "4 2"}, CreatedAfter: time.Unix(0, 0), Paging: postroad.Paging{Limit: 2}})
	server.Answer("GET", "/v1/messages", 200, page("a", "c_1", true))
	for m, err := range list.All(t.Context()) {
		if err != nil || m.MessageID != "a1" || m.Status != "of_tomorrow" || !strings.Contains(string(m.Raw()), `"new":1`) {
			t.Fatalf("%+v %v", m, err)
		}
		break
	}
	server.Answer("GET", "/v1/messages", 200, page("a", "c_1", true))
	server.Answer("GET", "/v1/messages", 200, page("b", "", false))
	var ids []string
	for m, err := range list.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, m.MessageID)
	}
	want := []string{"/v1/messages?created_after=1970-01-01T00%3A00%3A00Z&limit=2&metadata%5Border%5D=4+2&status=bounced%2Cdeferred",
		"/v1/messages?created_after=1970-01-01T00%3A00%3A00Z&cursor=c_1&limit=2&metadata%5Border%5D=4+2&status=bounced%2Cdeferred"}
	requests := server.Requests()
	if strings.Join(ids, " ") != "a1 a2 b1 b2" || len(requests) != 3 || requests[1].Path != want[0] || requests[2].Path != want[1] {
		t.Errorf("%v\n%v", ids, requests)
	}
	server.Answer("GET", "/v1/messages", 200, page("a", "c_1", true))
	server.Answer("GET", "/v1/messages", 400, map[string]string{"code": "invalid_cursor"})
	seen, failed := 0, 0
	for _, err := range list.All(t.Context()) {
		if seen++; err != nil {
			failed++
		}
	}
	if seen != 3 || failed != 1 {
		t.Errorf("%d rows, %d errors", seen, failed)
	}
	server.Answer("GET", "/v1/messages", 200, page("z", "", false))
	if got, err := list.Page(t.Context(), "c_9"); err != nil || len(got.Data) != 2 || got.HasMore || !strings.Contains(server.Requests()[5].Path, "cursor=c_9") {
		t.Errorf("%+v %v", got, err)
	}
}

func TestFilesAboveFiveMegabytesGoBesideTheMessage(t *testing.T) {
	t.Parallel()
	server := postroadtest.New()
	c := server.Client()
	small := message
	small.Attachments = []postroad.Attachment{{Filename: "a.bin", Content: make([]byte, 5<<20)}, {Filename: "empty.txt"}}
	if _, err := c.Messages.Send(t.Context(), small); err != nil {
		t.Fatal(err)
	}
	if r := server.Requests()[0]; r.Header.Get("Content-Type") != "application/json" || !bytes.Contains(r.Body, []byte(`"content":""`)) || len(server.Sent()[0].Message.Attachments[0].Content) != 5<<20 {
		t.Errorf("%s, %d bytes", r.Header.Get("Content-Type"), len(r.Body))
	}
	big := message
	big.Attachments = []postroad.Attachment{{Filename: "dir/größe.bin", ContentType: "application/x-a", Content: bytes.Repeat([]byte{7}, 5<<20), ContentID: "logo", Disposition: "inline"}, {Filename: "b.bin", Content: []byte{1}, Hosted: true}}
	server.Answer("POST", "/v1/messages", 202, `{"message_id":"msg_1"}`)
	if _, err := c.Messages.Send(t.Context(), big); err != nil {
		t.Fatal(err)
	}
	r := server.Requests()[1]
	kind, fields, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" || len(r.Body) > 5<<20+2000 {
		t.Fatalf("%s %v, %d bytes", kind, err, len(r.Body))
	}
	form, err := multipart.NewReader(bytes.NewReader(r.Body), fields["boundary"]).ReadForm(8 << 20)
	if err != nil || len(form.Value["message"]) != 1 || len(form.File["attachments"]) != 2 {
		t.Fatalf("%+v %v", form, err)
	}
	var text struct{ Attachments []map[string]any }
	if err := json.Unmarshal([]byte(form.Value["message"][0]), &text); err != nil || len(text.Attachments) != 2 || text.Attachments[0]["content"] != nil ||
		text.Attachments[0]["filename"] != "größe.bin" || text.Attachments[0]["content_id"] != "logo" || text.Attachments[1]["hosted"] != true {
		t.Errorf("%v %v", text, err)
	}
	first := form.File["attachments"][0]
	in, err := first.Open()
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(in)
	if err != nil || !bytes.Equal(content, big.Attachments[0].Content) || first.Filename != "größe.bin" || first.Header.Get("Content-Type") != "application/x-a" {
		t.Errorf("%q %d bytes %v", first.Filename, len(content), err)
	}
	if big.Attachments[0].Filename != "dir/größe.bin" || len(big.Attachments[0].Content) == 0 {
		t.Error("the caller's message was changed")
	}
}

func TestWhatIsTooLargeIsNotSent(t *testing.T) {
	t.Parallel()
	server := postroadtest.New()
	c := server.Client()
	huge := message
	huge.Attachments = []postroad.Attachment{{Filename: "a", Content: make([]byte, postroad.MaxBody+1)}}
	_, err1 := c.Messages.Send(t.Context(), huge)
	_, err2 := c.Messages.SendRaw(t.Context(), postroad.RawMessage{Content: huge.Attachments[0].Content})
	_, err3 := c.Messages.SendBatch(t.Context(), postroad.Batch{Messages: []postroad.Message{huge}})
	for i, err := range []error{err1, err2, err3} {
		var e *postroad.Error
		if !errors.As(err, &e) || e.Code != "payload_too_large" || e.Kind != postroad.ErrValidation {
			t.Errorf("%d: %v", i, err)
		}
	}
	if n := len(server.Requests()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}

func TestAnIDThatNamesSomethingElseIsRefused(t *testing.T) {
	t.Parallel()
	server := postroadtest.New()
	c := server.Client()
	for _, id := range []string{"", ".", ".."} {
		if _, err := c.Messages.Get(t.Context(), id); !errors.Is(err, postroad.ErrValidation) {
			t.Errorf("%q: %v", id, err)
		}
		if err := c.Domains.Delete(t.Context(), id); !errors.Is(err, postroad.ErrValidation) {
			t.Errorf("%q: %v", id, err)
		}
	}
	_, _ = c.Messages.Get(t.Context(), "<a/b?c@x.test>")
	if r := server.Requests(); len(r) != 1 || r[0].Path != "/v1/messages/%3Ca%2Fb%3Fc@x.test%3E" {
		t.Errorf("%+v", r)
	}
}

func TestAChangeTellsWhatIsSetFromWhatIsTakenAway(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(postroad.APIKeyChange{Name: postroad.Set(""), ExpiresAt: postroad.Null[time.Time](), Scopes: postroad.Set([]string{"messages.send"})})
	if err != nil || string(text) != `{"name":"","scopes":["messages.send"],"expires_at":null}` {
		t.Errorf("%s %v", text, err)
	}
}

func TestTheClientNeedsOnlyTheStandardLibrary(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 15 {
		t.Fatalf("%v %v", files, err)
	}
	for _, name := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range parsed.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") && !strings.HasSuffix(name, "_test.go") {
				t.Errorf("%s imports %s: whoever uses the client takes nothing else in", name, path)
			}
		}
	}
}
