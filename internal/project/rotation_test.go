package project_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/dns/dnstest"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// keys tells a domain's keys: "s1 retired, s2 active".
func keys(d project.Domain) string {
	var list []string
	for _, k := range d.Keys {
		list = append(list, k.Selector+" "+k.State)
	}
	return strings.Join(list, ", ")
}

// signs tells which selectors mail is signed with.
func (w *world) signs(t *testing.T) string {
	t.Helper()
	g, err := w.Signing(t.Context(), 1, "acme.test")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, k := range g.Keys {
		list = append(list, k.Selector)
	}
	return strings.Join(list, " ")
}

func (w *world) verify(t *testing.T) project.Domain {
	t.Helper()
	d, err := w.Verify(t.Context(), 1, "acme.test")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (w *world) rotate(t *testing.T, r project.Rotation) (project.Domain, project.DKIMKey) {
	t.Helper()
	d, k, err := w.Rotate(t.Context(), 1, "acme.test", r, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d, k
}

// verified makes a domain with one Ed25519 key that signs.
func (w *world) verified(t *testing.T) project.Domain {
	t.Helper()
	d := w.create(t, "acme.test")
	w.publish(t, zone(w.Records(d)))
	if d = w.verify(t); d.Status != project.DomainVerified {
		t.Fatalf("%+v", d)
	}
	w.store.types()
	return d
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestANewKeySignsOnceItsRecordIsFoundAndTheOldOneIsKeptForAWhile(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.verified(t)
	old := w.Records(d)
	d, made := w.rotate(t, project.Rotation{})
	want(t, "keys", keys(d), "s1 active, s2 pending")
	want(t, "algorithm", made.Algorithm, project.Ed25519)
	if made.OverlapHours != 72 || d.NextCheckAt.Sub(w.clock()) > time.Minute {
		t.Errorf("%d h, checked in %v", made.OverlapHours, d.NextCheckAt.Sub(w.clock()))
	}
	for _, r := range w.Records(d)[:2] {
		if r.Required != (r.Host == "s1._domainkey") {
			t.Errorf("required: %+v", r)
		}
	}

	w.pass(time.Hour)
	d = w.verify(t) // not published yet
	want(t, "keys", keys(d), "s1 active, s2 pending")
	want(t, "signs with", w.signs(t), "s1")
	want(t, "status", d.Status, project.DomainVerified)
	if wait := d.NextCheckAt.Sub(w.clock()); wait > 6*time.Minute {
		t.Errorf("a key waits, and is looked for again only after %v", wait)
	}

	w.publish(t, zone(w.Records(d)))
	d = w.verify(t)
	want(t, "keys", keys(d), "s1 retired, s2 active")
	want(t, "signs with", w.signs(t), "s2")
	want(t, "events", w.store.types(), "")
	until := w.clock().Add(72 * time.Hour)
	if k := d.Keys[0]; !k.KeepUntil.Equal(until) || !k.RetiredAt.Equal(w.clock()) || len(k.Sealed) == 0 {
		t.Errorf("retired: %+v", k)
	}
	kept := w.Records(d)[0]
	if kept.Host != "s1._domainkey" || kept.Required || kept.KeepUntil == nil || *kept.KeepUntil != until.UTC().Format("2006-01-02T15:04:05.000Z") {
		t.Errorf("the record of the retired key: %+v", kept)
	}

	w.publish(t, strings.Replace(zone(w.Records(d)), "s1._domainkey", "gone", 1))
	d = w.verify(t)
	want(t, "status without the old record", d.Status, project.DomainVerified)
	if r := w.Records(d)[0]; r.State != project.RecordMissing || !strings.Contains(r.Diagnosis, "keep its record until") {
		t.Errorf("the old record taken away too early: %+v", r)
	}

	w.pass(73 * time.Hour)
	d = w.verify(t)
	if r := w.Records(d)[0]; r.Host != "s2._domainkey" || len(d.Keys[0].Sealed) != 0 {
		t.Errorf("after the overlap: %+v, sealed %d bytes", r, len(d.Keys[0].Sealed))
	}
	w.publish(t, zone(old))
	if _, err := w.Activate(t.Context(), 1, "acme.test", "s1", true, 0, "key_x"); !conflict(err, "private key is gone") {
		t.Errorf("a key retired for good: %v", err)
	}
	w.publish(t, zone(w.Records(d)))
	w.pass(31 * 24 * time.Hour)
	want(t, "keys in the end", keys(w.verify(t)), "s2 active")
}

func conflict(err error, words string) bool {
	var c *project.KeyConflict
	return errors.As(err, &c) && strings.Contains(c.Message, words)
}

func TestEachKindOfKeyIsRotatedByItself(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.verified(t)
	d, k := w.rotate(t, project.Rotation{Algorithm: project.RSA2048})
	want(t, "keys", keys(d), "s1 active, s2 pending")
	if d = w.verify(t); d.Status != project.DomainVerified {
		t.Errorf("an RSA key that is yet to join made the domain %s", d.Status)
	}
	w.publish(t, zone(w.Records(d)))
	d = w.verify(t)
	want(t, "keys", keys(d), "s1 active, s2 active")
	want(t, "signs with", w.signs(t), "s2 s1")
	if !w.Records(d)[1].Required || w.Records(d)[0].Required {
		t.Error("once there is an RSA key the domain hangs on it")
	}
	w.pass(time.Hour)
	none := 0
	d, k = w.rotate(t, project.Rotation{Algorithm: project.RSA2048, OverlapHours: &none})
	w.publish(t, zone(w.Records(d)))
	d = w.verify(t)
	want(t, "keys", keys(d), "s1 active, s2 retired, "+k.Selector+" active")
	want(t, "signs with", w.signs(t), "s3 s1")
	for _, r := range w.Records(d) {
		if r.Host == "s2._domainkey" {
			t.Error("without overlap the old record is not needed")
		}
	}
}

func TestOnlyOneKeyOfAKindWaits(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.verified(t)
	w.rotate(t, project.Rotation{Selector: "NEW"})
	if _, _, err := w.Rotate(t.Context(), 1, "acme.test", project.Rotation{}, nil, nil); !conflict(err, "'new' waits for its record already") {
		t.Errorf("a second rotation: %v", err)
	}
	if err := w.RemoveKey(t.Context(), 1, "acme.test", "new", 0, "key_x"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Rotate(t.Context(), 1, "acme.test", project.Rotation{Selector: "s1"}, nil, nil); !conflict(err, "used by another key") {
		t.Errorf("a selector used twice: %v", err)
	}
	if _, k := w.rotate(t, project.Rotation{}); k.Selector != "s2" {
		t.Errorf("after the other one was deleted: %s", k.Selector)
	}
	hours := 721
	_, _, err := w.Rotate(t.Context(), 1, "acme.test", project.Rotation{Algorithm: "dsa", OverlapHours: &hours, Selector: "a.b"}, nil, nil)
	var faults mail.Faults
	if !errors.As(err, &faults) || len(faults) != 3 {
		t.Errorf("faults: %v", err)
	}
	if _, _, err := w.Rotate(t.Context(), 2, "acme.test", project.Rotation{}, nil, nil); !errors.Is(err, mail.ErrNotFound) {
		t.Errorf("of another project: %v", err)
	}
}

func TestARotationAskedTwiceMakesOneKey(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.verified(t)
	once := &mail.Once{Key: "k"}
	answer := func(d project.Domain, k project.DKIMKey) mail.Answer {
		return mail.Answer{Status: 201, Body: []byte(k.Selector)}
	}
	if _, _, err := w.Rotate(t.Context(), 1, "acme.test", project.Rotation{}, once, answer); err != nil {
		t.Fatal(err)
	}
	var replayed *mail.Replayed
	if _, _, err := w.Rotate(t.Context(), 1, "acme.test", project.Rotation{}, once, answer); !errors.As(err, &replayed) || string(replayed.Answer.Body) != "s2" {
		t.Errorf("the second time: %v", err)
	}
	if _, _, err := w.Rotate(t.Context(), 1, "acme.test", project.Rotation{}, &mail.Once{Key: "other"}, answer); !conflict(err, "waits") {
		t.Errorf("under another key: %v", err)
	}
}

func TestRotationsAtTheSameTimeMakeOneKey(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.verified(t)
	var wait sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for range 8 {
		wait.Go(func() {
			_, _, err := w.Rotate(t.Context(), 1, "acme.test", project.Rotation{}, nil, nil)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made++
			} else if !conflict(err, "waits") {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	d, err := w.Find(t.Context(), 1, "acme.test")
	if made != 1 || err != nil || len(d.Keys) != 2 {
		t.Errorf("%d made, %s, %v", made, keys(d), err)
	}
}

func TestAKeyIsActivatedByOrder(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.verified(t)
	activate := func(selector string, force bool) (project.Domain, error) {
		return w.Activate(t.Context(), 1, "acme.test", selector, force, 0, "key_x")
	}
	w.rotate(t, project.Rotation{})
	if _, err := activate("s2", false); !conflict(err, "was not found. There is no TXT record") {
		t.Errorf("without its record: %v", err)
	}
	w.dns.Fail("s2._domainkey.acme.test", dnstest.ServFail)
	if _, err := activate("s2", false); !conflict(err, "gave no answer") {
		t.Errorf("with the name server down: %v", err)
	}
	w.dns.Fail("s2._domainkey.acme.test", dnstest.OK)
	if _, err := activate("s9", true); !errors.Is(err, mail.ErrNotFound) {
		t.Errorf("a key that is not there: %v", err)
	}
	if _, err := w.Activate(t.Context(), 1, "acme.test", "s2", true, 99, "key_x"); !errors.Is(err, mail.ErrStale) {
		t.Errorf("of another version: %v", err)
	}
	d, err := activate("s2", true)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "by force", keys(d), "s1 retired, s2 active")
	want(t, "signs with", w.signs(t), "s2")
	if err := w.RemoveKey(t.Context(), 1, "acme.test", "s2", 0, "key_x"); !conflict(err, "signs mail now") {
		t.Errorf("deleting the key that signs: %v", err)
	}

	// Back to the old one, whose record is still there; a later check leaves it so.
	if d, err = activate("S1", false); err != nil {
		t.Fatal(err)
	}
	want(t, "back", keys(d), "s1 active, s2 retired")
	w.publish(t, zone(w.Records(d)))
	want(t, "after a check", keys(w.verify(t)), "s1 active, s2 retired")
	version := w.verify(t).Version
	if d, err = activate("s1", false); err != nil || d.Version != version {
		t.Errorf("activating what is active: %d → %d, %v", version, d.Version, err)
	}
	if err := w.RemoveKey(t.Context(), 1, "acme.test", "s2", 0, "key_x"); err != nil {
		t.Fatal(err)
	}
	d, _ = w.Find(t.Context(), 1, "acme.test")
	want(t, "in the end", keys(d), "s1 active")
}

func TestTheOnlyKeyOfADomainStays(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.create(t, "acme.test")
	if err := w.RemoveKey(t.Context(), 1, "acme.test", "s1", 0, "key_x"); !conflict(err, "only one") {
		t.Errorf("%v", err)
	}
}

func TestANewKeySavesADomainWhoseOldRecordIsGone(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.verified(t)
	w.publish(t, hosts)
	if d := w.verify(t); d.Status != project.DomainDegraded {
		t.Fatalf("%+v", d)
	}
	w.pass(time.Hour)
	d, k := w.rotate(t, project.Rotation{})
	w.publish(t, hosts+fmt.Sprintf("s2._domainkey.acme.test. TXT %s\n", quoted(k.Record())))
	d = w.verify(t)
	want(t, "status", d.Status, project.DomainVerified)
	want(t, "keys", keys(d), "s1 retired, s2 active")

	// And one that had failed: the key that signed once does not stand in the way.
	w.publish(t, hosts)
	w.verify(t)
	w.pass(25 * time.Hour)
	if d = w.verify(t); d.Status != project.DomainFailed {
		t.Fatalf("%s", d.Status)
	}
	want(t, "failed", keys(d), "s1 retired, s2 pending")
	d, k = w.rotate(t, project.Rotation{})
	w.publish(t, hosts+fmt.Sprintf("s3._domainkey.acme.test. TXT %s\n", quoted(k.Record())))
	d = w.verify(t)
	want(t, "status", d.Status, project.DomainVerified)
	want(t, "keys", keys(d), "s1 retired, s2 retired, s3 active")
}

func TestChecksDoNotDisturbWhoEditsTheDomain(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.verified(t)
	for range 3 {
		w.verify(t)
	}
	required := "required"
	changed, err := w.Update(t.Context(), 1, "acme.test", project.DomainChange{TLS: &required}, d.Version)
	if err != nil || changed.Version != d.Version+1 || changed.Status != project.DomainVerified {
		t.Fatalf("%+v, %v", changed, err)
	}
	// And what is remembered on the way of mail follows the checks, which move no version.
	_, k := w.rotate(t, project.Rotation{})
	want(t, "signs with", w.signs(t), "s1")
	d, _ = w.Find(t.Context(), 1, "acme.test")
	w.publish(t, zone(w.Records(d)))
	w.verify(t)
	want(t, "signs with", w.signs(t), k.Selector)
}

func TestManyDueDomainsAreCheckedWithoutReadingTheOthers(t *testing.T) {
	t.Parallel()
	w := start(t)
	for i := range 30 {
		w.create(t, fmt.Sprintf("a%d.test", i))
	}
	w.pass(2 * time.Minute)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	for range 6000 {
		if due, _, _ := w.store.DomainsDue(t.Context(), w.clock(), 100); len(due) == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if due, _, _ := w.store.DomainsDue(t.Context(), w.clock(), 100); len(due) != 0 {
		t.Errorf("%d domains were not checked", len(due))
	}
	if w.store.lists != 0 || w.store.due == 0 {
		t.Errorf("all domains were read %d times, the due ones %d times", w.store.lists, w.store.due)
	}
}
