package webhooks

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/webhook"
	"github.com/postroad/postroad/test/harness"
)

// drivers run the verifiers of docs/webhooks.md: each reads cases from the file named and
// prints one word for each, "yes" or "no". %s is the snippet.
var drivers = map[string]struct {
	file    string
	command []string
	frame   string
}{
	"js": {"verify.mjs", []string{"node"}, `%s
import { readFileSync } from 'node:fs';
for (const c of JSON.parse(readFileSync(process.argv[2]))) {
    try { verify(Buffer.from(c.Body, 'base64'), c.Headers, c.Secret); console.log('yes'); } catch { console.log('no'); }
}`},
	"python": {"verify.py", []string{"python3"}, `%s
import json, sys
for c in json.load(open(sys.argv[1])):
    try:
        verify(base64.b64decode(c["Body"]), c["Headers"], c["Secret"]); print("yes")
    except ValueError:
        print("no")`},
	"php": {"verify.php", []string{"php"}, `<?php
%s
foreach (json_decode(file_get_contents($argv[1]), true) as $c) {
    try { verify(base64_decode($c['Body']), $c['Headers'], $c['Secret']); echo "yes\n"; } catch (Exception $e) { echo "no\n"; }
}`},
	"go": {"main.go", []string{"go", "run"}, `package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

%s
func main() {
	var cases []struct {
		Body    []byte
		Headers map[string]string
		Secret  string
	}
	text, _ := os.ReadFile(os.Args[1])
	if err := json.Unmarshal(text, &cases); err != nil {
		panic(err)
	}
	for _, c := range cases {
		h := http.Header{}
		for name, value := range c.Headers {
			h.Set(name, value)
		}
		if _, err := Verify(c.Body, h, time.Now(), c.Secret); err == nil {
			fmt.Println("yes")
		} else {
			fmt.Println("no")
		}
	}
}`},
}

type verifierCase struct {
	About   string
	Body    []byte
	Headers map[string]string
	Secret  string
}

func TestTheVerifiersOfTheDocumentationVerify(t *testing.T) {
	t.Parallel()
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "webhooks.md"))
	if err != nil {
		t.Fatal(err)
	}
	cases, want := verifierCases()
	input := filepath.Join(t.TempDir(), "cases.json")
	text, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(input, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for language, d := range drivers {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			_, snippet, ok := strings.Cut(string(page), "\n```"+language+"\n")
			snippet, _, closed := strings.Cut(snippet, "\n```")
			if !ok || !closed {
				t.Fatal("the page has no such snippet")
			}
			if _, err := exec.LookPath(d.command[0]); err != nil {
				t.Skipf("%s is not installed, so its verifier is not run; to have it run: apt-get install %s", d.command[0], map[string]string{"php": "php-cli", "node": "nodejs"}[d.command[0]])
			}
			file := filepath.Join(t.TempDir(), d.file)
			if err := os.WriteFile(file, []byte(strings.Replace(d.frame, "%s", snippet+"\n", 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), d.command[0], append(d.command[1:], file, input)...).CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			for i, said := range strings.Fields(string(out)) {
				if i >= len(want) || said != want[i] {
					t.Fatalf("%s", out)
				}
			}
			if n := len(strings.Fields(string(out))); n != len(want) {
				t.Fatalf("%d verdicts, want %d: %s", n, len(want), out)
			}
		})
	}
}

// verifierCases are hooks as our signer makes them, and spoilt ones.
func verifierCases() (cases []verifierCase, want []string) {
	const id, body = "evt_01kpk2byj1es8r65rzyjka792g", `{"data":{"subject":"Grüße"}}`
	now := time.Now()
	secret, other := webhook.NewSecret(), webhook.NewSecret()
	add := func(about, verdict string, at time.Time, body, secret string, signing ...string) *verifierCase {
		cases = append(cases, verifierCase{About: about, Body: []byte(body), Secret: secret, Headers: map[string]string{"webhook-id": id, "webhook-timestamp": strconv.FormatInt(at.Unix(), 10),
			"webhook-signature": webhook.Signature(id, at, []byte(`{"data":{"subject":"Grüße"}}`), signing...)}})
		want = append(want, verdict)
		return &cases[len(cases)-1]
	}
	add("as it came", "yes", now, body, secret, secret)
	add("while rotating, the new one", "yes", now, body, secret, secret, other)
	add("while rotating, the old one", "yes", now, body, secret, other, secret)
	add("four minutes old", "yes", now.Add(-4*time.Minute), body, secret, secret)
	add("six minutes old", "no", now.Add(-6*time.Minute), body, secret, secret)
	add("six minutes ahead", "no", now.Add(6*time.Minute), body, secret, secret)
	add("another secret", "no", now, body, secret, other)
	add("a changed body", "no", now, strings.Replace(body, "G", "g", 1), secret, secret)
	add("a body written again", "no", now, strings.Replace(body, ":", ": ", 1), secret, secret)
	add("another version", "no", now, body, secret, secret).Headers["webhook-signature"] = strings.Replace(cases[0].Headers["webhook-signature"], "v1,", "v2,", 1)
	add("no signature", "no", now, body, secret, secret).Headers["webhook-signature"] = ""
	add("no id", "no", now, body, secret, secret).Headers["webhook-id"] = ""
	add("no timestamp", "no", now, body, secret, secret).Headers["webhook-timestamp"] = ""
	add("another timestamp", "no", now, body, secret, secret).Headers["webhook-timestamp"] = strconv.FormatInt(now.Unix()+1, 10)
	return cases, want
}

// What is trusted is what the host trusts, and what the operator adds.
func TestAnOperatorCanTrustACertificateAuthorityOfTheirOwn(t *testing.T) {
	t.Parallel()
	secure, roots := receiveTLS(t)
	trusting := harness.Start(t, harness.Options{Env: map[string]string{"POSTROAD_ALLOW_NETWORKS": "127.0.0.0/8", "SSL_CERT_FILE": roots}})
	plain := harness.Start(t, harness.Options{Env: map[string]string{"POSTROAD_ALLOW_NETWORKS": "127.0.0.0/8"}})
	for p, want := range map[*harness.Postroad]string{trusting: "Delivered: your endpoint answered 204.", plain: "The certificate is not signed by an authority this host trusts"} {
		id, _ := endpoint(t, p, map[string]any{"url": secure, "events": []string{"*"}})
		a := p.Must(t, http.StatusOK, "POST", "/v1/webhooks/"+id+"/test", harness.TestKey, map[string]any{"type": "message.delivered"})
		if verdict := a.Text(t, "verdict"); !strings.HasPrefix(verdict, want) {
			t.Errorf("%q, want %q", verdict, want)
		}
	}
	// Not even an allowed network opens our own listeners.
	a := plain.Must(t, http.StatusUnprocessableEntity, "POST", "/v1/webhooks", harness.TestKey, map[string]any{"url": plain.URL + "/v1/messages", "events": []string{"*"}})
	if !strings.Contains(string(a.Body), "this server's own listener") {
		t.Errorf("%s", a.Body)
	}
}
