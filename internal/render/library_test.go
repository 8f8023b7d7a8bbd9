package render_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/render"
	"github.com/postroad/postroad/internal/store/sqlite"
)

// countedStore is a real store that counts reads and fails when told to.
type countedStore struct {
	*sqlite.Store
	heads, versions atomic.Int64
	down            atomic.Bool
}

var errDown = errors.New("the store is down")

func (s *countedStore) TemplateByAlias(ctx context.Context, project int64, alias string) (render.Template, error) {
	s.heads.Add(1)
	if s.down.Load() {
		return render.Template{}, errDown
	}
	return s.Store.TemplateByAlias(ctx, project, alias)
}

func (s *countedStore) TemplateVersion(ctx context.Context, row int64, number int) (render.Version, error) {
	s.versions.Add(1)
	if s.down.Load() {
		return render.Version{}, errDown
	}
	return s.Store.TemplateVersion(ctx, row, number)
}

// shelf is a library over a real store, with a clock that is moved by hand.
type shelf struct {
	*render.Library
	t     *testing.T
	store *countedStore
	now   atomic.Pointer[time.Time]
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	store, err := sqlite.Open(sqlite.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := &shelf{t: t, store: &countedStore{Store: store}}
	now := time.Date(2026, 4, 19, 12, 0, 0, 0, time.UTC)
	s.now.Store(&now)
	s.Library = render.NewLibrary(render.LibraryOptions{Store: s.store, Now: func() time.Time { return *s.now.Load() }})
	return s
}

func (s *shelf) pass(d time.Duration) {
	later := s.now.Load().Add(d)
	s.now.Store(&later)
}

func (s *shelf) publish(alias string, parts render.Parts) {
	s.t.Helper()
	if _, _, err := s.Create(s.t.Context(), 1, render.NewTemplate{Template: render.Template{Alias: alias}, Version: render.Version{Parts: parts}}, nil, nil); err != nil {
		s.t.Fatal(err)
	}
	if _, _, _, err := s.Publish(s.t.Context(), 1, alias, render.Publication{Number: 1}, nil, nil); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shelf) subject(alias, data string) (string, error) {
	b, err := s.Render(s.t.Context(), &render.Source{Owner: mail.Owner{Project: 1}, Template: alias, Data: []byte(data)})
	return b.Subject, err
}

func TestATemplateIsReadOnceASecondAndCompiledOnce(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.publish("footer", render.Parts{Text: "bye"})
	s.publish("welcome", render.Parts{Subject: "Hi {{name}}", Text: "{{> footer}}"})
	render := func(times int) {
		for range times {
			if got, err := s.subject("welcome", `{"name":"Ada"}`); err != nil || got != "Hi Ada" {
				t.Fatalf("%q, %v", got, err)
			}
		}
	}
	render(1)
	heads, versions := s.store.heads.Load(), s.store.versions.Load()
	render(100)
	if s.store.heads.Load() != heads || s.store.versions.Load() != versions {
		t.Errorf("%d and %d reads more", s.store.heads.Load()-heads, s.store.versions.Load()-versions)
	}
	s.pass(time.Second)
	render(100)
	if got := s.store.heads.Load() - heads; got != 2 || s.store.versions.Load() != versions {
		t.Errorf("after a second %d and %d reads more, want 2 and 0", got, s.store.versions.Load()-versions)
	}
}

func TestAStoreThatIsDownDoesNotStopWhatIsKnown(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.publish("welcome", render.Parts{Subject: "Hi", Text: "x"})
	s.publish("parted", render.Parts{Subject: "Hi", Text: "{{> other}}"})
	s.publish("other", render.Parts{Text: "x"})
	if _, err := s.subject("welcome", ""); err != nil {
		t.Fatal(err)
	}
	s.store.down.Store(true)
	s.pass(time.Minute)
	if got, err := s.subject("welcome", ""); err != nil || got != "Hi" {
		t.Errorf("%q, %v", got, err)
	}
	s.store.down.Store(false)
	if _, err := s.subject("parted", ""); err != nil {
		t.Fatal(err)
	}
	fresh := render.NewLibrary(render.LibraryOptions{Store: s.store})
	s.store.down.Store(true)
	for _, alias := range []string{"welcome", "parted"} {
		if _, err := fresh.Render(t.Context(), &render.Source{Owner: mail.Owner{Project: 1}, Template: alias}); !errors.Is(err, errDown) {
			t.Errorf("%s: %v, want the store's error and not the caller's", alias, err)
		}
	}
}

func TestProjectsDoNotSeeEachOthersTemplates(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.publish("welcome", render.Parts{Subject: "Hi", Text: "x"})
	for range 2 { // the second time from memory
		_, err := s.Render(t.Context(), &render.Source{Owner: mail.Owner{Project: 2}, Template: "welcome"})
		var faults mail.Faults
		if !errors.As(err, &faults) || faults[0].Code != "template_not_found" {
			t.Errorf("%v", err)
		}
	}
}

func TestManyRenderWhileItIsPublished(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.publish("welcome", render.Parts{Subject: "version 1", Text: "x"})
	var all sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		all.Go(func() {
			last := ""
			for {
				select {
				case <-stop:
					return
				default:
				}
				got, err := s.subject("welcome", "")
				if err != nil || got < last {
					t.Errorf("%q after %q, %v", got, last, err)
					return
				}
				last = got
			}
		})
	}
	for n := 2; n <= 9; n++ {
		subject, text := fmt.Sprint("version ", n), "x"
		if _, _, err := s.AddDraft(t.Context(), 1, "welcome", render.Draft{Subject: &subject, Text: &text}, 0, nil, nil); err != nil {
			t.Error(err)
		}
		if _, _, _, err := s.Publish(t.Context(), 1, "welcome", render.Publication{Number: n}, nil, nil); err != nil {
			t.Error(err)
		}
		if got, err := s.subject("welcome", ""); err != nil || got != subject {
			t.Errorf("%q after %q was published, %v", got, subject, err)
		}
	}
	close(stop)
	all.Wait()
}

func TestHostileTemplatesEndWithinTheirBudget(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.publish("loop", render.Parts{Subject: "s", Text: "{{> loop}}"})
	s.publish("ping", render.Parts{Subject: "s", Text: "{{> pong}}"})
	s.publish("pong", render.Parts{Text: "{{> ping}}"})
	s.publish("grow", render.Parts{Subject: "s", Text: "{{#each a}}{{#each @root.a}}{{#each @root.a}}{{#each @root.a}}{{this}}{{/each}}{{/each}}{{/each}}{{/each}}"})
	s.publish("proto", render.Parts{Subject: "s", Text: "{{__proto__.x}}{{constructor.name}}{{../../etc/passwd}}"})
	list := "[" + strings.TrimSuffix(strings.Repeat(`"xxxxxxxxxxxxxxxxxxxx",`, 300), ",") + "]"
	for alias, want := range map[string]string{"loop": "template_render_error", "ping": "template_render_error", "grow": "template_render_error", "proto": "template_variable_missing"} {
		began := time.Now()
		_, err := s.subject(alias, `{"a":`+list+`}`)
		var faults mail.Faults
		if !errors.As(err, &faults) || faults[0].Code != want || faults[0].Line != 1 {
			t.Errorf("%s: %v", alias, err)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s took %s", alias, took)
		}
	}
}

func TestALargeTemplateIsRenderedEvenWhenItIsNotKept(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	for n := range 12 {
		s.publish(fmt.Sprint("large", n), render.Parts{Subject: "s", Text: strings.Repeat("x", 2<<20)})
	}
	for range 2 {
		for n := range 12 {
			if _, err := s.subject(fmt.Sprint("large", n), ""); err != nil {
				t.Error(err)
			}
		}
	}
}

func BenchmarkRender(b *testing.B) {
	store, err := sqlite.Open(sqlite.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	if err := store.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	library := render.NewLibrary(render.LibraryOptions{Store: store})
	if _, _, err := library.Create(b.Context(), 1, render.NewTemplate{Template: render.Template{Alias: "otp"}, Version: render.Version{Parts: render.Parts{
		Subject: "{{code}} is your code", HTML: "<p>Your code is <b>{{code}}</b>. It is good for {{minutes}} minutes.</p>", Text: "Your code is {{code}}."}}}, nil, nil); err != nil {
		b.Fatal(err)
	}
	if _, _, _, err := library.Publish(b.Context(), 1, "otp", render.Publication{Number: 1}, nil, nil); err != nil {
		b.Fatal(err)
	}
	s := render.Source{Owner: mail.Owner{Project: 1}, Template: "otp", Data: []byte(`{"code":"482913","minutes":5}`)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := library.Render(b.Context(), &s); err != nil {
			b.Fatal(err)
		}
	}
}
