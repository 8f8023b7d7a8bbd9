package hyvor_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/postroad/postroad/internal/dns/dnstest"
	"github.com/postroad/postroad/internal/httpapi/hyvor"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/submit"
)

// privateKey is a key that customers bring: quickly made, and long enough.
var privateKey = func() string {
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}()

// TestFixtures plays testdata/fixtures/*.txt; README.md beside them tells how they are written.
func TestFixtures(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/fixtures/*.txt")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d fixtures, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			play(t, string(text))
		})
	}
}

// script is a fixture while it is played.
type script struct {
	t       *testing.T
	h       *house
	vars    map[string]string
	got     answer
	seen    int // how many requests had reached the way in before the last one
	checked int
}

type section struct {
	line       int
	name, text string
}

var heading = regexp.MustCompile(`(?m)^-- ([a-z]+) --\n`)

func sections(text string) (all []section) {
	marks := heading.FindAllStringSubmatchIndex(text, -1)
	for i, m := range marks {
		end := len(text)
		if i+1 < len(marks) {
			end = marks[i+1][0]
		}
		all = append(all, section{strings.Count(text[:m[0]], "\n") + 1, text[m[2]:m[3]], strings.TrimSpace(text[m[1]:end])})
	}
	return all
}

func play(t *testing.T, text string) {
	weak, err := os.ReadFile("testdata/key512.pem")
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, vars: map[string]string{"live": liveKey, "test": testKey, "pem": inJSON(privateKey), "weakpem": inJSON(string(weak))}}
	all := sections(text)
	bounds := hyvor.Bounds{}
	if len(all) > 0 && all[0].name == "bounds" {
		bounds = readBounds(t, all[0].text)
		all = all[1:]
	}
	s.h = build(t, bounds)
	for _, part := range all {
		switch part.name {
		case "given":
			for line := range strings.SplitSeq(part.text, "\n") {
				s.given(strings.Fields(line))
			}
		case "request":
			s.request(part.text)
		case "submit":
			s.submit(part)
		case "response":
			s.response(part)
		default:
			t.Fatalf("line %d: there is no section %q", part.line, part.name)
		}
	}
	if s.checked == 0 {
		t.Error("the fixture checks nothing")
	}
}

func readBounds(t *testing.T, text string) (b hyvor.Bounds) {
	rate := func(v string) hyvor.Rate {
		count, window, _ := strings.Cut(v, "/")
		n, err := strconv.Atoi(count)
		d, err2 := time.ParseDuration(window)
		if err != nil || err2 != nil {
			t.Fatalf("a rate like 10/1s: %q", v)
		}
		return hyvor.Rate{Count: n, Window: d}
	}
	for line := range strings.SplitSeq(text, "\n") {
		name, value, _ := strings.Cut(line, " ")
		n, _ := strconv.Atoi(value)
		switch name {
		case "recipients":
			b.Recipients = n
		case "size":
			b.Size = int64(n)
		case "attachments":
			b.Attachments = n
		case "keys":
			b.Keys = n
		case "sends":
			b.Sends = rate(value)
		case "key":
			b.Key = rate(value)
		case "require-allowed-ips":
			b.RequireAllowedIPs = true
		default:
			t.Fatalf("there is no bound %q", name)
		}
	}
	return b
}

// given makes something true before the next request.
func (s *script) given(words []string) {
	s.t.Helper()
	ctx := context.Background()
	switch words[0] {
	case "domain": // domain NAME STATUS
		s.vars["domain:"+words[1]] = strconv.FormatInt(s.h.domain(words[1], words[2]).Row, 10)
	case "record": // the zone gets the record of a domain's key
		d, err := s.h.domains.Find(ctx, s.h.project.Row, words[1])
		if err != nil {
			s.t.Fatal(err)
		}
		for _, k := range d.Keys {
			if err := s.h.dns.Add(fmt.Sprintf("%s._domainkey.%s. TXT %s\n", k.Selector, d.Name, quoted(k.Record()))); err != nil {
				s.t.Fatal(err)
			}
		}
	case "silence": // the DNS answers nothing any more about a name
		s.h.dns.Fail(words[1], dnstest.ServFail)
	case "suppress": // suppress ADDRESS REASON
		sup := mail.Suppression{ID: mail.NewID(s.h.clock()), Owner: mail.Owner{Project: s.h.project.Row}, Address: words[1], Reason: words[2], Kind: mail.KindOf(words[2]), Source: "system",
			Detail: strings.Join(words[3:], " "), CreatedAt: s.h.clock()}
		got, _, err := s.h.store.AddSuppression(ctx, sup, nil, nil)
		if err != nil {
			s.t.Fatal(err)
		}
		s.vars["suppression:"+words[1]] = strconv.FormatInt(got.Row, 10)
	case "key": // key NAME SCOPE… with scopes of v1
		_, secret, err := s.h.access.CreateKey(ctx, project.NewKey{Project: &s.h.project, Name: words[1], Scopes: words[2:]}, nil, nil)
		if err != nil {
			s.t.Fatal(err)
		}
		s.vars[words[1]] = secret
	case "other": // another project, with a key and a thing of each kind
		s.other(ctx)
	case "pass":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			s.t.Fatal(err)
		}
		s.h.pass(d)
	case "carry": // carry OUTCOME, or carry ADDRESS=OUTCOME …
		outcomes := map[string]outcome{"taken": taken, "refused": refused, "later": later, "exhausted": exhausted, "silent": silent}
		by := map[string]outcome{}
		for _, w := range words[1:] {
			address, o, one := strings.Cut(w, "=")
			if !one {
				address, o = "*", w
			}
			by[address] = outcomes[o]
		}
		if s.h.carry(func(address string) outcome {
			if o, ok := by[address]; ok {
				return o
			}
			return by["*"]
		}) == 0 {
			s.t.Error("there was nothing to carry")
		}
	case "trouble": // the way in fails, or contents cannot be read
		s.h.reads.fail = map[string]error{"content": unavailable{}}[words[1]]
		s.h.submits.fail = map[string]error{"store": unavailable{}, "ours": fmt.Errorf("a bug"), "nothing": nil}[words[1]]
	default:
		s.t.Fatalf("nothing called %q can be given", words[0])
	}
}

func inJSON(text string) string {
	b, _ := jsontext.AppendQuote(nil, text)
	return string(b)
}

type unavailable struct{}

func (unavailable) Error() string     { return "the disk is gone" }
func (unavailable) Unavailable() bool { return true }

func quoted(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		n := min(200, len(text))
		fmt.Fprintf(&b, "%q ", text[:n])
		text = text[n:]
	}
	return b.String()
}

func (s *script) other(ctx context.Context) {
	p, err := s.h.store.CreateProject(ctx, project.Project{ID: mail.NewID(s.h.clock()), Name: "other", Settings: project.DefaultSettings(), CreatedAt: s.h.clock()}, nil, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	k, secret, err := s.h.access.CreateKey(ctx, project.NewKey{Project: &p, Name: "other", Scopes: []string{project.ScopeAll}}, nil, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	rows, err := s.h.store.KeyRows(ctx, p.Row)
	if err != nil {
		s.t.Fatal(err)
	}
	mine := s.h.project
	s.h.project = p
	d := s.h.domain("other.test", project.DomainVerified)
	s.h.project = mine
	sup, _, err := s.h.store.AddSuppression(ctx, mail.Suppression{ID: mail.NewID(s.h.clock()), Owner: mail.Owner{Project: p.Row}, Address: "x@example.org", Reason: "manual", Kind: "manual",
		Source: "api", CreatedAt: s.h.clock()}, nil, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	a := s.h.must(200, "", secret, "POST", "/api/console/sends", strings.ReplaceAll(plainSend, "acme.test", "other.test"))
	var sent struct {
		ID  int64  `json:"id"`
		MID string `json:"message_id"`
	}
	if err := json.Unmarshal(a.Body.Bytes(), &sent); err != nil {
		s.t.Fatal(err)
	}
	s.vars["other"], s.vars["other.key"] = secret, strconv.FormatInt(rows[k.ID], 10)
	s.vars["other.domain"], s.vars["other.suppression"] = strconv.FormatInt(d.Row, 10), strconv.FormatInt(sup.Row, 10)
	s.vars["other.send"], s.vars["other.uuid"] = strconv.FormatInt(sent.ID, 10), sent.MID[:36]
}

var variable = regexp.MustCompile(`\{\{([A-Za-z0-9.:_@-]+)(?:\*(\d+))?\}\}`)

// fill puts values for {{name}}; {{x*1000}} is a thousand of the letter x.
func (s *script) fill(text string) string {
	return variable.ReplaceAllStringFunc(text, func(m string) string {
		parts := variable.FindStringSubmatch(m)
		if parts[2] != "" {
			n, _ := strconv.Atoi(parts[2])
			return strings.Repeat(parts[1], n)
		}
		v, ok := s.vars[parts[1]]
		if !ok {
			s.t.Fatalf("%s has no value", m)
		}
		return v
	})
}

func (s *script) request(text string) {
	s.seen = s.h.submits.n
	head, body, _ := strings.Cut(s.fill(text), "\n\n")
	lines := strings.Split(head, "\n")
	method, path, _ := strings.Cut(lines[0], " ")
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body == "" {
		r = httptest.NewRequest(method, path, nil)
	}
	r.RemoteAddr = "192.0.2.7:4711"
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+liveKey)
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		switch value = strings.TrimPrefix(value, " "); {
		case name == "From-Address":
			r.RemoteAddr = value + ":4711"
		case value == "(none)":
			r.Header.Del(name)
		default:
			r.Header.Set(name, value)
		}
	}
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, r)
	s.got = answer{w}
	for _, name := range []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} {
		if w.Header().Get(name) == "" {
			s.t.Errorf("%s: %d without %s", lines[0], w.Code, name)
		}
	}
}

// submit compares what reached the way in: "nothing", or the fields that are set.
func (s *script) submit(part section) {
	s.checked++
	if part.text == "nothing" {
		if s.h.submits.n != s.seen {
			s.t.Errorf("line %d: the request reached the way in", part.line)
		}
		return
	}
	if s.h.submits.n != s.seen+1 {
		s.t.Fatalf("line %d: nothing reached the way in: %d %s", part.line, s.got.Code, s.got.Body)
	}
	b, err := json.Marshal(shownRequest(s.h.submits.last), json.Deterministic(true))
	if err != nil {
		s.t.Fatal(err)
	}
	s.compare(part, s.fill(part.text), b)
}

func shownRequest(r *submit.Request) map[string]any {
	out := map[string]any{"via": r.Via}
	set := func(name string, v any, there bool) {
		if there {
			out[name] = v
		}
	}
	addresses := func(list []submit.AddressIn) (texts []string) {
		for _, a := range list {
			texts = append(texts, strings.TrimSpace(a.Name+" <"+a.Text+">"))
		}
		return texts
	}
	pairs := func(list []mail.Header) (texts []string) {
		for _, h := range list {
			texts = append(texts, h.Name+": "+h.Value)
		}
		return texts
	}
	if r.From != nil {
		out["from"] = addresses([]submit.AddressIn{*r.From})[0]
	}
	set("to", addresses(r.To), r.To != nil)
	set("cc", addresses(r.Cc), r.Cc != nil)
	set("bcc", addresses(r.Bcc), r.Bcc != nil)
	set("subject", r.Subject, r.Subject != nil)
	set("html", r.HTML, r.HTML != nil)
	set("text", r.Text, r.Text != nil)
	set("headers", pairs(r.Headers), r.Headers != nil)
	set("metadata", pairs(r.Metadata), r.Metadata != nil)
	set("tags", r.Tags, r.Tags != nil)
	set("priority", r.Tier, r.Tier != "")
	set("send_at", r.SendAt.UTC().Format(time.RFC3339), !r.SendAt.IsZero())
	set("key", r.Key, r.Key != "")
	var files []string
	for _, a := range r.Attachments {
		files = append(files, strings.TrimSpace(a.Filename+" "+a.ContentType+" "+string(a.Base64)))
	}
	set("attachments", files, files != nil)
	return out
}

// response compares status, headers and body. A header's value (none) is its absence, and
// * is any.
func (s *script) response(part section) {
	s.checked++
	head, body, _ := strings.Cut(part.text+"\n", "\n\n")
	lines := strings.Split(strings.TrimSpace(head), "\n")
	if want := lines[0]; strconv.Itoa(s.got.Code) != want {
		s.t.Errorf("line %d: status %d, want %s: %.800s", part.line, s.got.Code, want, s.got.Body)
		return
	}
	for _, line := range lines[1:] {
		name, want, _ := strings.Cut(line, ": ")
		got := s.got.Header().Get(name)
		if want == "(none)" && got != "" || want != "(none)" && want != "*" && got != s.fill(want) || want == "*" && got == "" {
			s.t.Errorf("line %d: %s is %q, want %s", part.line, name, got, want)
		}
	}
	if body != "" {
		s.compare(part, s.fill(body), s.got.Body.Bytes())
	}
}

func (s *script) compare(part section, want string, got []byte) {
	v := jsontext.Value(want)
	if !v.IsValid() {
		s.t.Fatalf("line %d: the fixture has no valid JSON: %s", part.line, want)
	}
	if said := s.match("", v, jsontext.Value(got)); said != "" {
		s.t.Errorf("line %d: %s\nin %.2000s", part.line, said, got)
	}
}

// match compares JSON. "<int>", "<text>", "<uuid>", "<time>" and "<any>" stand for whatever
// is one; "<int:name>" keeps it. "…" as an object's last member allows others.
func (s *script) match(at string, want, got jsontext.Value) string {
	want.Canonicalize()
	switch want.Kind() {
	case '"':
		var pattern string
		_ = json.Unmarshal(want, &pattern)
		if kind := wildcard.FindStringSubmatch(pattern); kind != nil {
			return s.matchKind(at, kind[1], got)
		}
	case '{':
		return s.matchObject(at, want, got)
	case '[':
		var wants, gots []jsontext.Value
		if json.Unmarshal(want, &wants) != nil || got.Kind() != '[' || json.Unmarshal(got, &gots) != nil || len(wants) != len(gots) {
			return fmt.Sprintf("%s: %d elements wanted", at, len(wants))
		}
		for i := range wants {
			if said := s.match(fmt.Sprintf("%s/%d", at, i), wants[i], gots[i]); said != "" {
				return said
			}
		}
		return ""
	}
	got = got.Clone()
	got.Canonicalize()
	if string(want) != string(got) {
		return fmt.Sprintf("%s: %s wanted, not %s", at, want, got)
	}
	return ""
}

var kinds = map[string]*regexp.Regexp{
	"int":  regexp.MustCompile(`^\d+$`),
	"text": regexp.MustCompile(`^".+"$`),
	"uuid": regexp.MustCompile(`^"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"$`),
	"mid":  regexp.MustCompile(`^"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}@[a-z.-]+"$`),
	"hex":  regexp.MustCompile(`^"[0-9a-f]{32}"$`),
	"any":  regexp.MustCompile(`^`),
}

var wildcard = regexp.MustCompile(`^<([a-z]+(?::[a-z0-9.]+)?)>$`)

func (s *script) matchKind(at, kind string, got jsontext.Value) string {
	kind, name, keep := strings.Cut(kind, ":")
	re := kinds[kind]
	if re == nil {
		s.t.Fatalf("%s: there is no <%s>", at, kind)
	}
	if !re.Match(got) {
		return fmt.Sprintf("%s: <%s> wanted, not %s", at, kind, got)
	}
	if keep {
		v := string(got)
		if got.Kind() == '"' {
			_ = json.Unmarshal(got, &v)
		}
		s.vars[name] = v
	}
	return ""
}

func (s *script) matchObject(at string, want, got jsontext.Value) string {
	var wants, gots map[string]jsontext.Value
	if json.Unmarshal(want, &wants) != nil || got.Kind() != '{' || json.Unmarshal(got, &gots) != nil {
		return at + ": an object wanted"
	}
	_, open := wants["…"]
	delete(wants, "…")
	for name, w := range wants {
		g, ok := gots[name]
		if !ok {
			return at + "/" + name + " is not there"
		}
		if said := s.match(at+"/"+name, w, g); said != "" {
			return said
		}
	}
	for name := range gots {
		if _, ok := wants[name]; !ok && !open {
			return at + "/" + name + " was not expected"
		}
	}
	return ""
}
