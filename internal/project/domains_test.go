package project_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/dns"
	"github.com/postroad/postroad/internal/dns/dnstest"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/seal"
)

// shelf is a DomainStore in memory.
type shelf struct {
	mu      sync.Mutex
	domains map[mail.ID]project.Domain
	events  []mail.Event
	answers map[string]mail.Answer
	reads   int
	lists   int // readings of all domains
	due     int // readings of the due ones
	broken  error
	traffic project.Traffic // what health is told
	asked   string          // the bounds of health's last question
}

func newShelf() *shelf {
	return &shelf{domains: map[mail.ID]project.Domain{}, answers: map[string]mail.Answer{}}
}

func (s *shelf) CreateDomain(_ context.Context, d project.Domain, _ *mail.Once, answer func(project.Domain) mail.Answer) (project.Domain, error) {
	if _, err := s.DomainByName(context.Background(), d.Project, d.Name); err == nil {
		return project.Domain{}, mail.ErrExists
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d.Version = 1
	s.domains[d.ID] = d
	if answer != nil {
		answer(d)
	}
	return d, nil
}

func (s *shelf) DomainByName(_ context.Context, owner int64, name string) (project.Domain, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	for _, d := range s.domains {
		if d.Project == owner && d.Name == name {
			return d, s.broken
		}
	}
	return project.Domain{}, errors.Join(s.broken, mail.ErrNotFound)
}

func (s *shelf) DomainByID(_ context.Context, owner int64, id mail.ID) (project.Domain, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d, ok := s.domains[id]; ok && d.Project == owner {
		return d, nil
	}
	return project.Domain{}, mail.ErrNotFound
}

func (s *shelf) Domains(context.Context, int64) ([]project.Domain, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists++
	var list []project.Domain
	for _, d := range s.domains {
		list = append(list, d)
	}
	return list, nil
}

func (s *shelf) UpdateDomain(_ context.Context, d project.Domain, ifVersion int64, events []mail.Event) (project.Domain, error) {
	return s.keep(d, ifVersion, 1, events)
}

func (s *shelf) UpdateDomainOnce(_ context.Context, d project.Domain, once *mail.Once, answer func(project.Domain) mail.Answer) (project.Domain, error) {
	d, err := s.keep(d, 0, 1, nil)
	if err == nil && once != nil {
		s.answers[once.Key] = answer(d)
	}
	return d, err
}

func (s *shelf) RecordCheck(_ context.Context, d project.Domain, events []mail.Event) (project.Domain, error) {
	return s.keep(d, 0, 0, events)
}

func (s *shelf) keep(d project.Domain, ifVersion, edits int64, events []mail.Event) (project.Domain, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, ok := s.domains[d.ID]
	if !ok {
		return project.Domain{}, mail.ErrNotFound
	}
	if d.Revision != now.Revision || ifVersion != 0 && ifVersion != now.Version {
		return project.Domain{}, mail.ErrStale
	}
	d.Version, d.Revision = now.Version+edits, now.Revision+1
	s.domains[d.ID], s.events = d, append(s.events, events...)
	return d, nil
}

func (s *shelf) HealthOfDomain(_ context.Context, _ int64, _ string, since time.Time, limit int) (project.Traffic, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = fmt.Sprint(since.UTC().Format(time.DateOnly), " ", limit)
	return s.traffic, s.broken
}

func (s *shelf) DomainsDue(_ context.Context, now time.Time, limit int) (due []project.Domain, next time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.due++
	for _, d := range s.domains {
		if !d.NextCheckAt.After(now) && len(due) < limit {
			due = append(due, d)
		} else if next.IsZero() || d.NextCheckAt.Before(next) {
			next = d.NextCheckAt
		}
	}
	return due, next, s.broken
}

func (s *shelf) Remembered(_ context.Context, _ mail.Owner, _, key string, _ time.Time) (mail.Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, ok := s.answers[key]; ok {
		return a, nil
	}
	return mail.Answer{}, mail.ErrNotFound
}

func (s *shelf) DeleteDomain(_ context.Context, _ int64, id mail.ID, _ bool, _ string, _ time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.domains, id)
	return nil
}

// types lists the events' types since the last call.
func (s *shelf) types() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, e := range s.events {
		list = append(list, string(e.Type)+" from "+e.Detail.Previous)
	}
	s.events = nil
	return strings.Join(list, ", ")
}

type world struct {
	*project.Domains
	store *shelf
	dns   *dnstest.Server
	mu    sync.Mutex
	now   time.Time
}

func (w *world) clock() time.Time     { w.mu.Lock(); defer w.mu.Unlock(); return w.now }
func (w *world) pass(d time.Duration) { w.mu.Lock(); defer w.mu.Unlock(); w.now = w.now.Add(d) }

const hosts = "mx.post.test. A 192.0.2.25\n"

func start(t *testing.T) *world {
	t.Helper()
	w := &world{store: newShelf(), dns: dnstest.Start(t, hosts), now: time.Now()}
	ring, err := seal.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	resolver := dns.New(dns.Options{Servers: []netip.AddrPort{netip.MustParseAddrPort(w.dns.Addr())}, PerTry: time.Minute, Budget: 2 * time.Minute, Now: w.clock})
	t.Cleanup(func() { _ = resolver.Close() })
	w.Domains = project.NewDomains(project.DomainsOptions{
		Store: w.store, Ring: ring, Resolver: resolver, Hostname: "mx.post.test", Now: w.clock, Log: slog.New(slog.DiscardHandler),
	})
	return w
}

// create makes a domain with an Ed25519 key only, which is quick.
func (w *world) create(t *testing.T, name string) project.Domain {
	t.Helper()
	d, err := w.Create(t.Context(), 1, project.NewDomain{Name: name, Algorithm: project.Ed25519}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// zone writes records as a zone file.
func zone(records []project.Record) string {
	text := hosts
	for _, r := range records {
		value := r.Value
		if r.Type == "TXT" {
			value = quoted(value)
		} else {
			value += "."
		}
		text += fmt.Sprintf("%s. %s %s\n", r.FQDN, r.Type, value)
	}
	return text
}

// quoted writes a text as strings of at most 255 characters.
func quoted(text string) string {
	var parts []string
	for ; len(text) > 250; text = text[250:] {
		parts = append(parts, `"`+text[:250]+`"`)
	}
	return strings.Join(append(parts, `"`+text+`"`), " ")
}

func (w *world) publish(t *testing.T, text string) {
	t.Helper()
	if err := w.dns.Set(text); err != nil {
		t.Fatal(err)
	}
}

func TestADomainIsVerifiedOnceItsRecordsArePublished(t *testing.T) {
	t.Parallel()
	w := start(t)
	d, err := w.Create(t.Context(), 1, project.NewDomain{Name: "Acme.Test."}, nil, nil)
	if err != nil || d.Name != "acme.test" || d.Status != project.DomainPending || len(d.Keys) != 2 {
		t.Fatalf("%+v, %v", d, err)
	}
	for i, want := range []string{"s1 rsa2048 pending", "s2 ed25519 pending"} {
		if k := d.Keys[i]; k.Selector+" "+k.Algorithm+" "+k.State != want {
			t.Errorf("key %d is %s %s %s", i, k.Selector, k.Algorithm, k.State)
		}
	}
	if g, err := w.Signing(t.Context(), 1, "acme.test"); err != nil || len(g.Keys) != 0 || g.ReturnPath != "" {
		t.Errorf("a pending domain signs with %+v, %v", g, err)
	}
	records := w.Records(d)
	if len(records) != 6 || !records[0].Required || records[1].Required || records[0].State != project.RecordUnchecked {
		t.Fatalf("records %+v", records)
	}
	w.publish(t, zone(records))
	if d, err = w.Verify(t.Context(), 1, "acme.test"); err != nil || d.Status != project.DomainVerified || !d.CanSend() || !d.ReturnPathOK {
		t.Fatalf("%+v, %v", d, err)
	}
	for side, want := range map[string]string{"dkim": "pass", "spf": "pass", "return_path": "pass", "dmarc": "warn"} {
		if d.Checks[side] != want {
			t.Errorf("%s is %s, want %s", side, d.Checks[side], want)
		}
	}
	for _, r := range w.Records(d) {
		if r.State != project.RecordFound || len(r.Found) != 1 || r.Resolver == "" || r.CheckedAt == nil {
			t.Errorf("record %+v", r)
		}
	}
	if got := w.store.types(); got != "domain.verified from pending" {
		t.Errorf("events: %s", got)
	}
	g, err := w.Signing(t.Context(), 1, "acme.test")
	if err != nil || len(g.Keys) != 2 || g.ReturnPath != "bounce.acme.test" || g.Keys[0].Domain != "acme.test" {
		t.Fatalf("it signs with %+v, %v", g, err)
	}
	if _, ok := g.Keys[0].Signer.(*rsa.PrivateKey); !ok || g.Keys[0].Selector != "s1" {
		t.Errorf("the first key is %s, a %T", g.Keys[0].Selector, g.Keys[0].Signer)
	}
	public, err := x509.ParsePKIXPublicKey(d.Keys[0].Public)
	if err != nil || !g.Keys[0].Signer.Public().(*rsa.PublicKey).Equal(public) {
		t.Errorf("the record's key is another than the one that signs: %v", err)
	}
	if private, ok := g.Keys[1].Signer.(ed25519.PrivateKey); !ok || string(private.Public().(ed25519.PublicKey)) != string(d.Keys[1].Public) {
		t.Error("the Ed25519 record's key is another than the one that signs")
	}
	if _, err := w.Verify(t.Context(), 1, d.ID.Text(mail.PrefixDomain)); err != nil || w.store.types() != "" {
		t.Errorf("a second check must tell nothing new: %v", err)
	}
}

func TestTheRSARecordIsNeededAndTheEd25519OneIsNot(t *testing.T) {
	t.Parallel()
	w := start(t)
	d, err := w.Create(t.Context(), 1, project.NewDomain{Name: "acme.test"}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	records := w.Records(d)
	w.publish(t, zone(records[1:2]))
	if d, err = w.Verify(t.Context(), 1, "acme.test"); err != nil || d.Status != project.DomainPending {
		t.Errorf("with the Ed25519 record alone: %s, %v", d.Status, err)
	}
	w.publish(t, zone(records[:1]))
	if d, err = w.Verify(t.Context(), 1, "acme.test"); err != nil || d.Status != project.DomainVerified {
		t.Errorf("with the RSA record alone: %s, %v", d.Status, err)
	}
	g, err := w.Signing(t.Context(), 1, "acme.test")
	if err != nil || len(g.Keys) != 1 || g.Keys[0].Selector != "s1" || g.ReturnPath != "" {
		t.Errorf("it signs with %+v, %v", g, err)
	}
}

func TestAResolverThatIsDownChangesNothing(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.create(t, "acme.test")
	w.publish(t, zone(w.Records(d)))
	if d, _ = w.Verify(t.Context(), 1, "acme.test"); d.Status != project.DomainVerified {
		t.Fatalf("%+v", d)
	}
	w.store.types()
	for _, mode := range []dnstest.Mode{dnstest.ServFail, dnstest.Refused, dnstest.Lame} {
		w.dns.Fail("*.", mode)
		w.pass(30 * time.Hour)
		d, err := w.Verify(t.Context(), 1, "acme.test")
		if err != nil || d.Status != project.DomainVerified || d.Checks["dkim"] != project.CheckUnknown || !d.ReturnPathOK || w.store.types() != "" {
			t.Errorf("mode %v: %+v, %v", mode, d, err)
		}
		if wait := d.NextCheckAt.Sub(w.clock()); wait > 6*time.Minute {
			t.Errorf("asked again only after %v", wait)
		}
		if r := w.Records(d)[0]; r.State != project.RecordUnknown || r.Diagnosis == "" {
			t.Errorf("record %+v", r)
		}
	}
}

func TestADomainWhoseRecordVanishedHasADay(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.create(t, "acme.test")
	published := zone(w.Records(d))
	check := func(after time.Duration, zone, status, events string, keys int) {
		t.Helper()
		w.publish(t, zone)
		w.pass(after)
		d, err := w.Verify(t.Context(), 1, "acme.test")
		if got := w.store.types(); err != nil || d.Status != status || got != events {
			t.Errorf("%s with events %q, %v; want %s with %q", d.Status, got, err, status, events)
		}
		if g, err := w.Signing(t.Context(), 1, "acme.test"); err != nil || len(g.Keys) != keys {
			t.Errorf("%s signs with %d keys, %v", status, len(g.Keys), err)
		}
	}
	check(0, published, "verified", "domain.verified from pending", 1)
	check(time.Hour, hosts, "degraded", "domain.degraded from verified", 1)
	check(time.Hour, published, "verified", "domain.verified from degraded", 1)
	check(time.Hour, hosts, "degraded", "domain.degraded from verified", 1)
	check(23*time.Hour, hosts, "degraded", "", 1)
	check(time.Hour, hosts, "failed", "domain.failed from degraded", 0)
	check(time.Hour, hosts, "failed", "", 0)
	check(time.Hour, published, "verified", "domain.verified from failed", 1)
}

func TestDomainsAreCheckedWhenItIsTheirTime(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.create(t, "acme.test")
	w.publish(t, zone(w.Records(d)))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	w.pass(2 * time.Minute)
	go func() { done <- w.Run(ctx) }()
	for range 6000 {
		if d, _ := w.Find(ctx, 1, "acme.test"); d.Status == project.DomainVerified {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	d, _ = w.Find(t.Context(), 1, "acme.test")
	if wait := d.NextCheckAt.Sub(w.clock()); d.Status != project.DomainVerified || wait < 5*time.Hour || wait > 7*time.Hour {
		t.Errorf("%s, next check in %v", d.Status, wait)
	}
}

func TestEveryFaultOfANewDomainIsToldAtOnce(t *testing.T) {
	t.Parallel()
	w := start(t)
	_, err := w.Create(t.Context(), 1, project.NewDomain{Name: "http://acme.test/", Selector: "_s", Algorithm: "dsa", ReturnPath: "a.b"}, nil, nil)
	var faults mail.Faults
	if !errors.As(err, &faults) || len(faults) != 4 {
		t.Fatalf("got %v", err)
	}
	for i, pointer := range []string{"#/name", "#/dkim/selector", "#/return_path", "#/dkim/algorithm"} {
		if f := faults[i]; f.Pointer != pointer || f.Code != "invalid_value" || f.Message == "" {
			t.Errorf("%+v", f)
		}
	}
	for name, code := range map[string]string{
		"": "missing_required_field", "localhost": "invalid_value", "192.0.2.1": "invalid_value", "acme.123": "invalid_value", "a@acme.test": "invalid_value",
		"acme..test": "invalid_value", "a_b.test": "invalid_value", "sandbox.test": "invalid_value", "x.sandbox.test": "invalid_value", "a b.test": "invalid_value",
		"acme.test\r\nX: y": "invalid_value", "\x00.test": "invalid_value", strings.Repeat("abcdefgh.", 25) + "test": "too_long",
	} {
		_, err := w.Create(t.Context(), 1, project.NewDomain{Name: name, Algorithm: project.Ed25519}, nil, nil)
		if !errors.As(err, &faults) || faults[0].Code != code {
			t.Errorf("%q: %v, want %s", name, err, code)
		}
	}
	if d := w.create(t, "Bücher.example"); d.Name != "xn--bcher-kva.example" {
		t.Errorf("an IDN is kept as %q", d.Name)
	}
	if _, err := w.Create(t.Context(), 1, project.NewDomain{Name: "bücher.example"}, nil, nil); !errors.Is(err, mail.ErrExists) {
		t.Errorf("a domain made twice: %v", err)
	}
}

func pemOf(t *testing.T, kind string, private any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if key, ok := private.(*rsa.PrivateKey); ok && kind == "RSA PRIVATE KEY" {
		der, err = x509.MarshalPKCS1PrivateKey(key), nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestAPrivateKeyCanBeBroughtAlong(t *testing.T) {
	t.Parallel()
	w := start(t)
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	for name, c := range map[string]struct{ pem, algorithm string }{
		"pkcs8.test": {pemOf(t, "PRIVATE KEY", key), "rsa1024"},
		"pkcs1.test": {pemOf(t, "RSA PRIVATE KEY", key), "rsa1024"},
		"ed.test":    {pemOf(t, "PRIVATE KEY", ed), "ed25519"},
		"line.test":  {strings.ReplaceAll(pemOf(t, "PRIVATE KEY", key), "\n", `\n`), "rsa1024"},
	} {
		d, err := w.Create(t.Context(), 1, project.NewDomain{Name: name, Selector: "Old", PrivateKey: c.pem}, nil, nil)
		if err != nil || len(d.Keys) != 1 || d.Keys[0].Algorithm != c.algorithm || d.Keys[0].Selector != "old" || !w.Records(d)[0].Required {
			t.Errorf("%s: %+v, %v", name, d.Keys, err)
			continue
		}
		w.publish(t, zone(w.Records(d)))
		if _, err := w.Verify(t.Context(), 1, name); err != nil {
			t.Error(err)
		}
		if g, err := w.Signing(t.Context(), 1, name); err != nil || len(g.Keys) != 1 {
			t.Errorf("%s signs with %+v, %v", name, g, err)
		}
	}
	encrypted := "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
	for text, want := range map[string]string{
		weakPEM:                           "too weak (512 bits)",
		"nonsense":                        "invalid or poorly formatted",
		encrypted:                         "without a passphrase",
		pemOf(t, "PRIVATE KEY", key)[:90]: "invalid or poorly formatted",
		"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n": "invalid or poorly formatted",
	} {
		_, err := w.Create(t.Context(), 1, project.NewDomain{Name: "bad.test", PrivateKey: text}, nil, nil)
		var faults mail.Faults
		if !errors.As(err, &faults) || len(faults) != 1 || faults[0].Pointer != "#/dkim/private_key" || !strings.Contains(faults[0].Message, want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	_, err = w.Create(t.Context(), 1, project.NewDomain{Name: "bad.test", PrivateKey: pemOf(t, "PRIVATE KEY", ed), Algorithm: project.RSA2048}, nil, nil)
	if err == nil {
		t.Error("a key of another algorithm was taken")
	}
}

func TestWhatIsKnownIsReadRarelyAndChangesAtOnce(t *testing.T) {
	t.Parallel()
	w := start(t)
	for range 100 {
		if _, err := w.Domain(t.Context(), 1, "acme.test"); !errors.Is(err, mail.ErrNotFound) {
			t.Fatal(err)
		}
		if g, err := w.Signing(t.Context(), 1, "acme.test"); err != nil || len(g.Keys) != 0 {
			t.Fatalf("mail of a domain nobody registered: %+v, %v", g, err)
		}
	}
	if w.store.reads != 1 {
		t.Errorf("the store was asked %d times for a domain that is not there", w.store.reads)
	}
	d := w.create(t, "acme.test")
	if got, err := w.Domain(t.Context(), 1, "acme.test"); err != nil || got.ID != d.ID {
		t.Errorf("just made: %+v, %v", got, err)
	}
	if _, err := w.Domain(t.Context(), 2, "acme.test"); !errors.Is(err, mail.ErrNotFound) {
		t.Errorf("of another project: %v", err)
	}
	w.publish(t, zone(w.Records(d)))
	if _, err := w.Verify(t.Context(), 1, "acme.test"); err != nil {
		t.Fatal(err)
	}
	required, wrong := "required", "someone@else.test"
	if _, err := w.Update(t.Context(), 1, "acme.test", project.DomainChange{TLS: &required}, 0); err != nil {
		t.Fatal(err)
	}
	if g, _ := w.Signing(t.Context(), 1, "acme.test"); !g.RequireTLS || len(g.Keys) != 1 {
		t.Errorf("after the change: %+v", g)
	}
	if _, err := w.Update(t.Context(), 1, "acme.test", project.DomainChange{TLS: &required}, 1); !errors.Is(err, mail.ErrStale) {
		t.Errorf("a change to an old version: %v", err)
	}
	var faults mail.Faults
	if _, err := w.Update(t.Context(), 1, "acme.test", project.DomainChange{DefaultFrom: &wrong}, 0); !errors.As(err, &faults) {
		t.Errorf("another domain's address as default: %v", err)
	}
	reads := w.store.reads
	for range 100 {
		_, _ = w.Domain(t.Context(), 1, "acme.test")
		_, _ = w.Signing(t.Context(), 1, "acme.test")
	}
	if w.store.reads != reads {
		t.Errorf("the store was asked %d times for what is known", w.store.reads-reads)
	}
	w.pass(time.Minute)
	w.store.broken = errors.New("disk on fire")
	if g, err := w.Signing(t.Context(), 1, "acme.test"); err != nil || len(g.Keys) != 1 {
		t.Errorf("with the store down: %+v, %v", g, err)
	}
	w.store.broken = nil
	if err := w.Delete(t.Context(), 1, "acme.test", false, "key_x"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Domain(t.Context(), 1, "acme.test"); !errors.Is(err, mail.ErrNotFound) {
		t.Errorf("after it was deleted: %v", err)
	}
}

func TestKnownDomainsCostNoAllocation(t *testing.T) {
	w := start(t)
	w.create(t, "acme.test")
	ctx := t.Context()
	_, _ = w.Signing(ctx, 1, "acme.test")
	if n := testing.AllocsPerRun(1000, func() {
		_, _ = w.Signing(ctx, 1, "acme.test")
		_, _ = w.Domain(ctx, 1, "acme.test")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestPublishedMistakesAreNamed(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.create(t, "acme.test")
	key := base64.StdEncoding.EncodeToString(d.Keys[0].Public)
	right := "v=DKIM1; k=ed25519; p=" + key
	const at = "s1._domainkey.acme.test."
	for name, c := range map[string]struct {
		zone, host string // of the record looked at
		state      string
		diagnosis  string
	}{
		"nothing there":          {"", "s1._domainkey", "missing", "There is no TXT record"},
		"host added twice":       {"s1._domainkey.acme.test.acme.test. TXT " + quoted(right), "s1._domainkey", "missing", "added the domain a second time"},
		"right":                  {at + " TXT " + quoted(right), "s1._domainkey", "found", ""},
		"right, split in spaces": {at + " TXT \"v=DKIM1;k=ed25519;\" \" p=" + key[:20] + " \" \" " + key[20:] + "\"", "s1._domainkey", "found", ""},
		"another key":            {at + ` TXT "v=DKIM1; k=ed25519; p=AAAAAAAAAAAAAAAAAAAAAAAAAAAA"`, "s1._domainkey", "mismatch", "not ours"},
		"revoked":                {at + ` TXT "v=DKIM1; p="`, "s1._domainkey", "mismatch", "revoked"},
		"only the key":           {at + " TXT " + quoted(key), "s1._domainkey", "mismatch", "Only the key was pasted"},
		"quotes inside":          {at + ` TXT "v=DKIM1; k=ed25519; p=` + key[:20] + `\" \"` + key[20:] + `"`, "s1._domainkey", "mismatch", "split wrongly"},
		"cut off":                {at + " TXT " + quoted(right[:len(right)-10]), "s1._domainkey", "mismatch", "cut off"},
		"two halves":             {at + " TXT " + quoted(right[:40]) + "\n" + at + " TXT " + quoted(right[40:]), "s1._domainkey", "mismatch", "split over 2 TXT records"},
		"two records":            {at + " TXT " + quoted(right) + "\n" + at + " TXT other", "s1._domainkey", "mismatch", "another TXT record"},
		"a wildcard":             {`*.acme.test. TXT "v=spf1 -all"`, "s1._domainkey", "mismatch", "wildcard"},
		"of the wrong kind":      {at + " TXT " + quoted("v=DKIM1; p="+key), "s1._domainkey", "mismatch", "k must be ed25519"},
		"in small letters":       {at + " TXT " + quoted("v=dkim1; k=ed25519; p="+key), "s1._domainkey", "mismatch", "v=DKIM1, in capitals"},
		"without SHA-256":        {at + " TXT " + quoted("h=sha1; "+right), "s1._domainkey", "mismatch", "forbids SHA-256"},
		"not for mail":           {at + " TXT " + quoted(right+"; s=tlsrpt"), "s1._domainkey", "mismatch", "forbids its use for mail"},
		"a test":                 {at + " TXT " + quoted(right+"; t=y:s"), "s1._domainkey", "found", "t=y"},
		"an alias":               {"s1._domainkey.acme.test. CNAME keys.host.test.\nkeys.host.test. TXT " + quoted(right), "s1._domainkey", "found", ""},

		"bounces elsewhere":           {"bounce.acme.test. MX 10 mx.other.test.\nmx.other.test. A 192.0.2.99", "bounce", "mismatch", "another server"},
		"bounces by alias":            {"bounce.acme.test. CNAME mx.post.test.", "bounce", "found", ""},
		"bounces by address":          {"bounce.acme.test. A 192.0.2.25", "bounce", "found", ""},
		"bounces by another name":     {"bounce.acme.test. MX 10 in.acme.test.\nin.acme.test. A 192.0.2.25", "bounce", "found", ""},
		"bounces to another address":  {"bounce.acme.test. A 192.0.2.99", "bounce", "mismatch", "not mx.post.test's"},
		"bounces, host added twice":   {"bounce.acme.test.acme.test. MX 10 mx.post.test.", "bounce", "missing", "added the domain a second time"},
		"bounces refused for good":    {"bounce.acme.test. MX 0 .", "bounce", "mismatch", "another server"},
		"DMARC by the one above":      {`_dmarc.test. TXT "v=DMARC1; p=reject"`, "_dmarc", "found", "the policy of test holds (p=reject)"},
		"two DMARC records":           {"_dmarc.acme.test. TXT \"v=DMARC1; p=none\"\n_dmarc.acme.test. TXT \"v=DMARC1; p=reject\"", "_dmarc", "mismatch", "2 DMARC records"},
		"DMARC that only watches":     {`_dmarc.acme.test. TXT "v=DMARC1; p=none"`, "_dmarc", "found", "only watches"},
		"DMARC without policy":        {`_dmarc.acme.test. TXT "v=DMARC1; rua=mailto:a@b.test"`, "_dmarc", "found", "Write p first"},
		"DMARC nobody can read":       {`_dmarc.acme.test. TXT "v=DMARC1; p=maybe"`, "_dmarc", "mismatch", "no policy"},
		"two SPF records":             {"acme.test. TXT \"v=spf1 -all\"\nacme.test. TXT \"v=spf1 a:mx.post.test -all\"", "@", "mismatch", "2 SPF records"},
		"SPF without us":              {`acme.test. TXT "v=spf1 include:_spf.other.test -all"` + "\n" + `_spf.other.test. TXT "v=spf1 ip4:198.51.100.0/24 ?all"`, "@", "mismatch", "a:mx.post.test"},
		"SPF with our network":        {`acme.test. TXT "v=spf1 ip4:192.0.2.0/24 -all"`, "@", "found", ""},
		"SPF that asks too much":      {`acme.test. TXT "v=spf1 a mx ptr include:a include:b include:c include:d include:e include:f include:g a:mx.post.test -all"`, "@", "mismatch", "11 look-ups"},
		"no SPF, other texts":         {`acme.test. TXT "v=spf10 is not SPF"`, "@", "missing", "optional"},
		"SPF that lets us fail":       {`acme.test. TXT "v=spf1 -a:mx.post.test ?all"`, "@", "mismatch", "does not name"},
		"a hostile text stays a text": {`acme.test. TXT "v=spf1 \000\027\255<script>"`, "@", "mismatch", "cannot be read"},
	} {
		w.publish(t, hosts+c.zone)
		d, err := w.Verify(t.Context(), 1, "acme.test")
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range w.Records(d) {
			if r.Host != c.host {
				continue
			}
			if r.State != c.state || c.diagnosis == "" && r.Diagnosis != "" || !strings.Contains(r.Diagnosis, c.diagnosis) {
				t.Errorf("%s: %s, %q", name, r.State, r.Diagnosis)
			}
			break
		}
	}
}

func TestAFallibleSubdomainTakesThePolicyAbove(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.create(t, "news.acme.test")
	w.publish(t, `_dmarc.acme.test. TXT "v=DMARC1; p=reject"`)
	d, err := w.Verify(t.Context(), 1, "news.acme.test")
	if err != nil || d.Checks["dmarc"] != project.CheckPass {
		t.Errorf("%v, %v", d.Checks, err)
	}
}

const weakPEM = `-----BEGIN RSA PRIVATE KEY-----
MIIBOgIBAAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf9Cnzj4p4WGeKLs1Pt8Qu
KUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQJAIJLixBy2qpFoS4DSmoEm
o3qGy0t6z09AIJtH+5OeRV1be+N4cDYJKffGzDa88vQENZiRm0GRq6a+HPGQMd2k
TQIhAKMSvzIBnni7ot/OSie2TmJLY4SwTQAevXysE2RbFDYdAiEBCUEaRQnMnbp7
9mxDXDf6AU0cN/RPBjb9qSHDcWZHGzUCIG2Es59z8ugGrDY+pxLQnwfotadxd+Uy
v/Ow5T0q5gIJAiEAyS4RaI9YG8EWx/2w0T67ZUVAw8eOMB6BIUg0Xcu+3okCIBOs
/5OiPgoTdSy7bcF9IGpSE8ZgGKzgYQVZeN97YE00
-----END RSA PRIVATE KEY-----`
