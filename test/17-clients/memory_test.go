package clients

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postroad/postroad/clients/go/postroadtest"
	"github.com/postroad/postroad/test/contract"
	"github.com/postroad/postroad/test/harness"
)

// examplesOf are the examples of the OpenAPI document that the servers in memory answer
// with, as their files have them.
func examplesOf(t *testing.T, document map[string]any) []byte {
	t.Helper()
	at := func(path ...string) any {
		var v any = document
		for _, name := range path {
			object, ok := v.(map[string]any)
			if !ok || object[name] == nil {
				t.Fatalf("the document has nothing at %s", strings.Join(path, " "))
			}
			v = object[name]
		}
		return v
	}
	data := func(path, example string) []any {
		return at("paths", path, "get", "responses", "200", "content", "application/json", "examples", example, "value", "data").([]any)
	}
	titles := map[string]any{}
	for _, code := range []string{"missing_api_key", "not_found", "message_not_found", "idempotency_key_reused", "invalid_json", "validation_failed"} {
		titles[code] = at("x-errors", code, "title")
	}
	text, err := json.MarshalIndent(map[string]any{"accepted": at("components", "examples", "AcceptedMessage", "value"), "message": at("components", "examples", "Message", "value"),
		"listed": data("/v1/messages", "page")[0], "events": data("/v1/messages/{message}/events", "timeline"), "titles": titles}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

// What the servers in memory say is what the API's reference shows. POSTROAD_UPDATE=1 writes
// the files anew.
func TestTheServersInMemoryAnswerWithTheExamplesOfTheReference(t *testing.T) {
	t.Parallel()
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	text, err := os.ReadFile(filepath.Join(root, "internal", "httpapi", "reference", "openapi.json"))
	if err == nil {
		err = json.Unmarshal(text, &document)
	}
	if err != nil {
		t.Fatal(err)
	}
	examples := examplesOf(t, document)
	module := append([]byte("// Made from the OpenAPI document by test/17-clients: the examples MemoryServer answers with.\nexport const examples = "), bytes.TrimSpace(examples)...)
	for name, want := range map[string][]byte{"go/postroadtest/examples.json": examples, "typescript/src/examples.ts": append(module, ";\n"...)} {
		file := filepath.Join(root, "clients", filepath.FromSlash(name))
		if os.Getenv("POSTROAD_UPDATE") != "" {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if have, err := os.ReadFile(file); err != nil || !bytes.Equal(have, want) {
			t.Errorf("clients/%s is not what the document says (%v): make it anew with POSTROAD_UPDATE=1 go test ./test/17-clients -run InMemory", name, err)
		}
	}
}

// asked are requests with which the servers in memory show all that they answer themselves.
var asked = []struct{ method, path, key, once, body string }{
	{"POST", "/v1/messages", postroadtest.Key, "", `{"recipient":"Ada <ada@example.com>","subject":"S","text":"T","tags":["t"],"metadata":{"a":"b"},"from":"Acme <hello@acme.test>"}`},
	{"POST", "/v1/messages", postroadtest.Key, "k", `{"to":["ada@example.com","bob@example.com"],"cc":["eve@example.com"],"text":"T","priority":"urgent","scheduled_time":"2026-04-20T14:30:00.000Z"}`},
	{"POST", "/v1/messages", postroadtest.Key, "k", `{"to":["ada@example.com","bob@example.com"],"cc":["eve@example.com"],"text":"T","priority":"urgent","scheduled_time":"2026-04-20T14:30:00.000Z"}`},
	{"POST", "/v1/messages", postroadtest.Key, "k", `{"recipient":"ada@example.com"}`},
	{"POST", "/v1/messages", postroadtest.Key, "", `{"text":"T"}`},
	{"POST", "/v1/messages", postroadtest.Key, "", `{`},
	{"POST", "/v1/messages", "", "", `{}`},
	{"GET", "/v1/messages", postroadtest.Key, "", ""},
	{"GET", "/v1/messages/msg_00000000000000000000000001", postroadtest.Key, "", ""},
	{"GET", "/v1/messages/msg_00000000000000000000000002", postroadtest.Key, "", ""},
	{"GET", "/v1/messages/msg_00000000000000000000000002/events", postroadtest.Key, "", ""},
	{"GET", "/v1/messages/msg_00000000000000000000000009", postroadtest.Key, "", ""},
}

// showMemory has the TypeScript server in memory answer the requests of its argument.
const showMemory = `import { MemoryServer } from '@postroad/client/testing';
const server = new MemoryServer();
const out = [];
for (const q of JSON.parse(process.argv[2])) {
  const headers = {};
  if (q.key) headers.authorization = q.key;
  if (q.once) headers['idempotency-key'] = q.once;
  const r = await server.fetch('http://postroad.invalid' + q.path, { method: q.method, headers, body: q.body || undefined });
  out.push({ status: r.status, headers: Object.fromEntries(r.headers), body: await r.text() });
}
console.log(JSON.stringify(out));
`

// typeScriptsMemory is TestGosServerInMemoryKeepsTheContract for the other client, which
// stands compiled in dir.
func typeScriptsMemory(t *testing.T, dir string) {
	if err := os.WriteFile(filepath.Join(dir, "memory.mjs"), []byte(showMemory), 0o644); err != nil {
		t.Fatal(err)
	}
	var questions []map[string]string
	for _, q := range asked {
		questions = append(questions, map[string]string{"method": q.method, "path": q.path, "key": q.key, "once": q.once, "body": q.body})
	}
	text, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	out, err := node(t, dir, nil, "node", "memory.mjs", string(text))
	var answers []struct {
		Status  int
		Headers map[string]string
		Body    string
	}
	if err != nil || json.Unmarshal([]byte(out), &answers) != nil || len(answers) != len(asked) {
		t.Fatalf("%v\n%s", err, out)
	}
	for i, a := range answers {
		h := http.Header{}
		for name, value := range a.Headers {
			h.Set(name, value)
		}
		if err := contract.Check(contract.Answer{Method: asked[i].method, Path: asked[i].path, Status: a.Status, Header: h, Body: []byte(a.Body)}); err != nil {
			t.Errorf("%s\n%v", asked[i].body, err)
		}
	}
}

func TestGosServerInMemoryKeepsTheContract(t *testing.T) {
	t.Parallel()
	server := postroadtest.New()
	for _, q := range asked {
		r, err := http.NewRequestWithContext(t.Context(), q.method, "http://postroad.invalid"+q.path, strings.NewReader(q.body))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{"Authorization": q.key, "Idempotency-Key": q.once} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		res, err := server.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		if err := contract.Check(contract.Answer{Method: q.method, Path: q.path, Status: res.StatusCode, Header: res.Header, Body: body}); err != nil {
			t.Errorf("%s\n%v", q.body, err)
		}
	}
}
