package links_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/deliver"
	"github.com/postroad/postroad/internal/dkim"
	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/httpapi/links"
	"github.com/postroad/postroad/internal/lane"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/persona"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/queue"
	"github.com/postroad/postroad/internal/route"
	"github.com/postroad/postroad/internal/smtp"
	"github.com/postroad/postroad/internal/store/sqlite"
	"github.com/postroad/postroad/internal/submit"
	"github.com/postroad/postroad/internal/tracking"
)

var owner = mail.Owner{Project: 1, Env: mail.Live}

// world is mail from the one way in to a scripted exchanger, and the door that its links
// lead to, over the real store.
type world struct {
	*testing.T
	http.Handler
	store   *sqlite.Store
	submit  *submit.Service
	carrier *deliver.Carrier
	route   *route.Route
	mx      *persona.Server
	tokens  *tracking.Tokens
	seen    *visitors
}

var signing = sync.OnceValue(func() []dkim.Key {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	_, e, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return []dkim.Key{{Domain: "acme.test", Selector: "s1", Signer: r}, {Domain: "acme.test", Selector: "s2", Signer: e}}
})

func newWorld(t *testing.T, script string) *world {
	t.Helper()
	w := &world{T: t, tokens: tracking.NewTokens([32]byte{7}), seen: &visitors{}}
	var err error
	if w.store, err = sqlite.Open(sqlite.Options{Dir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.store.Close() })
	if err := w.store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	parsed, err := persona.Load(script)
	if strings.Contains(script, " ") {
		parsed, err = persona.Parse("test", "host mx.example.test\n"+script)
	}
	if err != nil {
		t.Fatal(err)
	}
	if w.mx, err = persona.Listen("127.0.0.1:0", parsed, persona.Options{Keep: true, Count: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.mx.Close() })
	w.submit = submit.NewService(submit.Options{Store: w.store, Domains: verified{}, Marking: submit.Marking{Base: "https://mail.acme.test", MailHost: "mx.acme.test"}})
	w.route = &route.Route{Destination: "example.test", Site: "mx.example.test", Hosts: []route.Host{{Name: "mx.example.test"}},
		Source: route.Source{Name: "default", EHLO: "out.acme.test"}}
	second := time.Minute
	w.carrier = deliver.New(deliver.Options{Hostname: "out.acme.test", Port: w.mx.Addr().Port(), Begin: begins{w.store}, Resolver: loopback{},
		Contents: w.store, Keys: verified{}, Stamps: w.tokens,
		Sign: func(c mail.Content, keys []dkim.Key, now time.Time) ([]byte, error) {
			return dkim.Sign(c, keys, dkim.Options{Time: now})
		},
		Timeouts: smtp.Timeouts{Connect: second, Banner: second, Command: second, DataInit: second, DataBlock: second, DataDone: second}})
	w.Handler = links.New(links.Options{Tokens: w.tokens, Wishes: feedback.NewService(w.store, nil), Visitors: w.seen})
	return w
}

type verified struct{}

func (verified) Domain(_ context.Context, _ int64, name string) (project.Domain, error) {
	return project.Domain{Name: name, Status: "verified"}, nil
}

func (verified) Signing(context.Context, int64, string) (project.Signing, error) {
	return project.Signing{Keys: signing()}, nil
}

type loopback struct{}

func (loopback) Addresses(context.Context, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// begins asks the store as the queue does.
type begins struct{ store *sqlite.Store }

func (b begins) Begin(ctx context.Context, works []*mail.Work, site string) ([]deliver.Verdict, error) {
	out := make([]deliver.Verdict, len(works))
	for i, w := range works {
		said, err := b.store.Begin(ctx, time.Now(), []queue.Beginning{{Lease: w.Lease, Message: w.Message.Row, Address: mail.FoldAddress(w.Delivery.Address),
			Topic: w.Message.Topic, Bypass: w.Message.Bypass, Owner: w.Delivery.Owner, Site: site}})
		if err != nil {
			return nil, err
		}
		out[i] = deliver.Verdict{Go: said[0].Go, Outcome: mail.OutcomeSuppressed}
	}
	return out, nil
}

type visit struct {
	kind     tracking.Kind
	delivery int64
	url      string
	v        tracking.Visit
}

type visitors struct {
	sync.Mutex
	all []visit
}

func (s *visitors) Visit(kind tracking.Kind, delivery int64, url string, v tracking.Visit, _ time.Time) {
	s.Lock()
	defer s.Unlock()
	s.all = append(s.all, visit{kind, delivery, url, v})
}

func who(scopes ...string) project.Principal {
	return project.Principal{Owner: owner, Key: &project.Key{ID: "k7f2q9xm", Scopes: scopes}, Project: &project.Project{Row: 1, Settings: project.DefaultSettings()}}
}

func request(to ...string) *submit.Request {
	subject, body := "News", "<p>Hëllo, see <a href=\"https://shop.example/a?b=1&amp;c=2\">this</a>, it is a line that is long enough to be folded more than once by quoted-printable</p>"
	r := &submit.Request{Via: "api", From: &submit.AddressIn{Text: "Acme <news@acme.test>", Field: "from"}, Subject: &subject, HTML: &body}
	for _, a := range to {
		r.To = append(r.To, submit.AddressIn{Text: a, Field: "to"})
	}
	return r
}

func (w *world) send(r *submit.Request) *submit.Accepted {
	w.Helper()
	out, err := w.submit.Submit(w.Context(), who("*"), r)
	if err != nil {
		w.Fatal(err)
	}
	return out
}

// carry claims what waits and carries it as one job.
func (w *world) carry() []mail.Attempt {
	w.Helper()
	now := time.Now()
	works, err := w.store.Claim(w.Context(), queue.ClaimParams{Node: "one", Now: now, Until: now.Add(time.Minute), Max: 100,
		Room: func(string, mail.Owner, mail.Tier) int { return 100 }})
	if err != nil || len(works) == 0 {
		w.Fatal(len(works), err)
	}
	session := w.carrier.Session(lane.Key{}, w.route)
	defer session.Close()
	return session.Carry(w.Context(), nil, &lane.Job{Message: works[0].Message, Works: works, Route: w.route, Offered: now})
}

func (w *world) get(target string) *httptest.ResponseRecorder { return w.ask("GET", target, nil) }

func (w *world) ask(method, target string, form url.Values) *httptest.ResponseRecorder {
	w.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0")
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	return rec
}

func (w *world) events(m *mail.Message) (all []string) {
	w.Helper()
	events, err := w.store.Events(w.Context(), owner, m.Row)
	if err != nil {
		w.Fatal(err)
	}
	for _, e := range events {
		all = append(all, string(e.Type)+" "+e.Recipient+" "+e.Detail.Method+e.Detail.Topic)
	}
	return all
}

func (w *world) suppressions() (all []mail.Suppression) {
	w.Helper()
	all, err := w.store.Suppressions(w.Context(), feedback.Query{Owner: owner, Ascending: true})
	if err != nil {
		w.Fatal(err)
	}
	return all
}
