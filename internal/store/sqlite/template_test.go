package sqlite

import (
	"strings"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/render"
)

func TestAPublicationIsInTheLogOrDidNotHappen(t *testing.T) {
	t.Parallel()
	s, err := Open(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, now := t.Context(), time.Now()
	if err := s.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	one := render.Template{ID: mail.NewID(now), Project: 1, Alias: "welcome", Draft: 1, Latest: 1}
	first := render.Version{Number: 1, State: render.VersionDraft}
	if one, err = s.CreateTemplate(ctx, one, first, nil, nil); err != nil {
		t.Fatal(err)
	}
	c := render.Change{Template: one, Publish: &first, Events: []mail.Event{{ID: mail.NewID(now), Owner: mail.Owner{Project: 1}, Type: mail.EventTemplatePublished,
		At: now, Detail: mail.Detail{Template: "welcome", Version: 2, Before: 1}}}}
	count := func() (n int, detail string) {
		if err := s.read(ctx, func(conn *sqlite.Conn) error {
			q := conn.Prep(`SELECT detail FROM events WHERE type = 'template.published'`)
			return each(q, func(q *sqlite.Stmt) error {
				n, detail = n+1, q.ColumnText(0)
				return nil
			})
		}); err != nil {
			t.Fatal(err)
		}
		return n, detail
	}
	bad := c
	bad.Publish = &render.Version{Number: 7}
	if _, err := s.ChangeTemplate(ctx, bad); err == nil {
		t.Error("a version that is not there was published")
	}
	if n, _ := count(); n != 0 {
		t.Errorf("%d events of what did not happen", n)
	}
	if _, err := s.ChangeTemplate(ctx, c); err != nil {
		t.Fatal(err)
	}
	if n, detail := count(); n != 1 || !strings.HasPrefix(detail, `{"template":"welcome","version":2,"previous_version":1,"facts":{"template_id":"tmpl_`) {
		t.Errorf("%d events, %s", n, detail)
	}
}
