package storetest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/audit"
	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/submit"
)

var accessClauses = []clause{
	{"a key's follower and the key's end commit together, once", func(w *world) {
		p := w.project("default")
		old, err := w.s.CreateKey(w.ctx, w.key(p, "aaaaaaaa"), nil, nil)
		w.must(err)
		stale := old
		stale.Version++
		_, err = w.s.RotateKey(w.ctx, stale, w.key(p, "bbbbbbbb"), nil, nil)
		w.wantErr(err, mail.ErrStale)
		_, err = w.s.KeyByID(w.ctx, "bbbbbbbb")
		w.wantErr(err, mail.ErrNotFound)
		old.ExpiresAt, old.ReplacedBy = w.now.Add(time.Hour), "bbbbbbbb"
		answer := func(k project.Key) mail.Answer { return mail.Answer{Status: 201, Body: []byte(k.ID)} }
		next, err := w.s.RotateKey(w.ctx, old, w.key(p, "bbbbbbbb"), w.once("r"), answer)
		w.must(err)
		equal(w, "version", next.Version, 1)
		kept, err := w.s.KeyByID(w.ctx, old.ID)
		w.must(err)
		equal(w, "old ends", kept.ExpiresAt, old.ExpiresAt)
		equal(w, "follower", kept.ReplacedBy, "bbbbbbbb")
		var replayed *mail.Replayed
		if _, err = w.s.RotateKey(w.ctx, kept, w.key(p, "cccccccc"), w.once("r"), answer); !errors.As(err, &replayed) || string(replayed.Answer.Body) != "bbbbbbbb" {
			w.Fatalf("got %v, want a replay", err)
		}
		equal(w, "events", w.others(old.Project, mail.EventKeyRotated), 1)
		w.must(w.s.RevokeKey(w.ctx, p.Row, kept.ID, "x", w.now))
		_, err = w.s.RotateKey(w.ctx, kept, w.key(p, "dddddddd"), nil, nil)
		w.wantErr(err, mail.ErrNotFound)
	}},
	{"keys that expire are found, and each warning is given once", func(w *world) {
		p := w.project("default")
		for i, id := range []string{"aaaaaaaa", "bbbbbbbb", "cccccccc", "dddddddd", "eeeeeeee"} {
			k := w.key(p, id)
			k.ExpiresAt = w.now.Add(time.Duration(i) * 24 * time.Hour)
			switch id {
			case "bbbbbbbb":
				k.ReplacedBy = "cccccccc"
			case "eeeeeeee":
				k.ExpiresAt = time.Time{}
			}
			_, err := w.s.CreateKey(w.ctx, k, nil, nil)
			w.must(err)
		}
		w.must(w.s.RevokeKey(w.ctx, p.Row, "dddddddd", "x", w.now))
		found, err := w.s.ExpiringKeys(w.ctx, w.now, w.now.Add(14*24*time.Hour))
		w.must(err)
		if len(found) != 1 || found[0].ID != "cccccccc" {
			w.Fatalf("found %v", found)
		}
		k := found[0]
		for _, c := range []struct {
			days int
			told bool
		}{{14, true}, {14, false}, {3, true}, {14, false}, {1, true}, {1, false}} {
			told, err := w.s.WarnKey(w.ctx, k, c.days, w.event(mail.EventKeyExpiring))
			w.must(err)
			equal(w, fmt.Sprintf("told %d days before", c.days), told, c.told)
		}
		again, err := w.s.KeyByID(w.ctx, k.ID)
		w.must(err)
		equal(w, "warned", again.Warned, 1)
		equal(w, "version", again.Version, k.Version)
		k.ExpiresAt = k.ExpiresAt.Add(time.Hour)
		told, err := w.s.WarnKey(w.ctx, k, 1, w.event(mail.EventKeyExpiring))
		w.must(err)
		equal(w, "told of an end it has not", told, false)
		equal(w, "events", w.others(p.Row, mail.EventKeyExpiring), 3)
	}},
	{"a project is made once, suspended with a reason, and deleted when nothing of it waits", func(w *world) {
		p := w.project("default")
		equal(w, "row", p.Row, w.owner.Project)
		answer := func(p project.Project) mail.Answer { return mail.Answer{Status: 201, Body: []byte(p.Name)} }
		_, err := w.s.CreateProject(w.ctx, project.Project{ID: mail.NewID(w.now), Name: "shop", CreatedAt: w.now}, w.once("p"), answer)
		w.must(err)
		var replayed *mail.Replayed
		if _, err = w.s.CreateProject(w.ctx, project.Project{ID: mail.NewID(w.now), Name: "shop2", CreatedAt: w.now}, w.once("p"), answer); !errors.As(err, &replayed) {
			w.Fatalf("got %v, want a replay", err)
		}
		p.Suspended, p.SuspendedReason, p.SuspendedAt, p.LiveDisabled = true, "spam", w.now, true
		p, err = w.s.UpdateProject(w.ctx, p, p.Version)
		w.must(err)
		byID, err := w.s.ProjectByID(w.ctx, p.ID)
		w.must(err)
		equal(w, "project", fmt.Sprintf("%+v", byID), fmt.Sprintf("%+v", p))
		equal(w, "reason", byID.SuspendedReason, "spam")
		equal(w, "live disabled", byID.LiveDisabled, true)

		_, err = w.s.CreateKey(w.ctx, w.key(p, "aaaaaaaa"), nil, nil)
		w.must(err)
		_, err = w.s.CreateDomain(w.ctx, w.domain(p, "acme.test"), nil, nil)
		w.must(err)
		a := w.letter("ada@example.com")
		w.accept(a)
		w.wantErr(w.s.DeleteProject(w.ctx, p.Row, "key_x", w.now), mail.ErrExists)
		works := w.claim(10)
		w.wantErr(w.s.DeleteProject(w.ctx, p.Row, "key_x", w.now), mail.ErrExists)
		w.goes(works[0])
		w.settle(w.delivered(works[0]))
		w.must(w.s.DeleteProject(w.ctx, p.Row, "key_x", w.now))
		w.wantErr(w.s.DeleteProject(w.ctx, p.Row, "key_x", w.now), mail.ErrNotFound)
		_, err = w.s.ProjectByName(w.ctx, "default")
		w.wantErr(err, mail.ErrNotFound)
		k, err := w.s.KeyByID(w.ctx, "aaaaaaaa")
		w.must(err)
		equal(w, "key revoked", k.RevokedAt, w.now)
		domains, err := w.s.Domains(w.ctx, p.Row)
		w.must(err)
		equal(w, "domains", len(domains), 0)
		all, err := w.s.Projects(w.ctx)
		w.must(err)
		equal(w, "projects", len(all), 1)
		_, err = w.s.UpdateProject(w.ctx, byID, 0)
		w.wantErr(err, mail.ErrNotFound)
		gone, err := w.s.ProjectByRow(w.ctx, p.Row)
		w.must(err)
		equal(w, "deleted", gone.DeletedAt, w.now)
		_, err = w.s.ProjectByName(w.ctx, gone.Name)
		w.wantErr(err, mail.ErrNotFound)
		_, err = w.s.CreateKey(w.ctx, w.key(p, "bbbbbbbb"), nil, nil)
		w.wantErr(err, mail.ErrNotFound)
		_ = w.project("default") // the name is free
		_ = w.record(a.Message.ID)
	}},
	{"a change and its audit entry are one commit, whoever makes it", func(w *world) {
		p := w.project("default")
		ctx := audit.Begin(w.ctx, audit.Entry{At: w.now, Owner: w.owner, Actor: "key_a", ActorName: "ops", IP: "192.0.2.1", Agent: "curl", RequestID: "req_1", Action: "domains.create"})
		audit.Changed(ctx, "dom_x", nil, map[string]any{"name": "acme.test"})
		d := w.domain(p, "acme.test")
		_, err := w.s.CreateDomain(ctx, d, nil, nil)
		w.must(err)
		_, err = w.s.CreateDomain(ctx, w.domain(p, "other.test"), nil, nil) // the same request: one entry
		w.must(err)
		failing := audit.Begin(w.ctx, audit.Entry{At: w.now, Owner: w.owner, Action: "domains.create"})
		_, err = w.s.CreateDomain(failing, d, nil, nil)
		w.wantErr(err, mail.ErrExists)
		all := w.audit(audit.Query{Project: p.Row})
		equal(w, "entries", len(all), 1)
		e := all[0]
		equal(w, "entry", fmt.Sprint(e.At, e.Owner, e.Actor, e.ActorName, e.IP, e.Agent, e.RequestID, e.Action, e.Target), fmt.Sprint(w.now, w.owner, "key_a", "ops", "192.0.2.1", "curl", "req_1", "domains.create", "dom_x"))
		equal(w, "change", fmt.Sprintf("%s %s %s", e.Changes[0].Field, e.Changes[0].From, e.Changes[0].To), `name null "acme.test"`)
		equal(w, "id", e.ID.IsZero(), false)

		// What fails after it wrote leaves neither; what changes nothing leaves no entry.
		k, err := w.s.CreateKey(w.ctx, w.key(p, "aaaaaaaa"), nil, nil)
		w.must(err)
		w.must(w.s.RevokeKey(w.ctx, p.Row, k.ID, "x", w.now))
		again := audit.Begin(w.ctx, audit.Entry{At: w.now, Owner: w.owner, Action: "api_keys.delete"})
		w.must(w.s.RevokeKey(again, p.Row, k.ID, "x", w.now))
		equal(w, "entries after a change that was none", len(w.audit(audit.Query{})), 1)
		replayed := audit.Begin(w.ctx, audit.Entry{At: w.now, Owner: w.owner, Action: "api_keys.create"})
		answer := func(k project.Key) mail.Answer { return mail.Answer{Status: 201, Body: []byte(k.ID)} }
		_, err = w.s.CreateKey(replayed, w.key(p, "bbbbbbbb"), w.once("k"), answer)
		w.must(err)
		_, err = w.s.CreateKey(audit.Begin(w.ctx, audit.Entry{At: w.now, Owner: w.owner, Action: "api_keys.create"}), w.key(p, "cccccccc"), w.once("k"), answer)
		if err == nil {
			w.Fatal("no replay")
		}
		equal(w, "entries after a replay", len(w.audit(audit.Query{})), 2)
	}},
	{"audit entries are filtered, paged and forgotten", func(w *world) {
		p := w.project("default")
		actions := []string{"api_keys.create", "api_keys.rotate", "domains.create", "api_keysmith.create"}
		for i, action := range actions {
			owner := mail.Owner{Project: p.Row, Env: mail.Env(i % 2)}
			ctx := audit.Begin(w.ctx, audit.Entry{At: w.now.Add(time.Duration(i) * time.Hour), Owner: owner, Actor: "key_" + action[:3], Action: action, Target: fmt.Sprint("t", i)})
			_, err := w.s.CreateDomain(ctx, w.domain(p, fmt.Sprintf("d%d.test", i)), nil, nil)
			w.must(err)
		}
		for name, c := range map[string]struct {
			q    audit.Query
			want string
		}{
			"all":        {audit.Query{}, "3 2 1 0"},
			"ascending":  {audit.Query{Ascending: true}, "0 1 2 3"},
			"project":    {audit.Query{Project: p.Row + 1}, ""},
			"test only":  {audit.Query{TestOnly: true}, "3 1"},
			"actor":      {audit.Query{Actor: "key_dom"}, "2"},
			"action":     {audit.Query{Action: "api_keys.rotate"}, "1"},
			"of a kind":  {audit.Query{Action: "api_keys.*", TestOnly: true}, "1"},
			"of a kind2": {audit.Query{Action: "api_keys.*"}, "1 0"},
			"target":     {audit.Query{Target: "t2"}, "2"},
			"times":      {audit.Query{After: w.now.Add(time.Hour), Before: w.now.Add(3 * time.Hour)}, "2 1"},
		} {
			c.q.Limit = 100
			var got []string
			for _, e := range w.audit(c.q) {
				got = append(got, strings.TrimPrefix(e.Target, "t"))
			}
			equal(w, name, strings.Join(got, " "), c.want)
		}
		first := w.audit(audit.Query{Limit: 2})
		rest := w.audit(audit.Query{Limit: 9, From: first[1].Row})
		equal(w, "rest", len(rest), 2)
		equal(w, "next", rest[0].Target, "t1")
		n, err := w.s.ForgetAudit(w.ctx, w.now.Add(90*time.Minute))
		w.must(err)
		equal(w, "forgotten", n, 2)
		equal(w, "left", len(w.audit(audit.Query{Limit: 9})), 2)
	}},
	{"what is accepted counts by day and key, and a quota holds to the message", func(w *world) {
		three, two := project.Quota{On: true, Limit: 3}, project.Quota{On: true, Limit: 2}
		send := func(key string, q project.Quotas, to ...string) error {
			a := w.letter(to...)
			a.Message.KeyID, a.Quotas = key, q
			_, err := w.s.Accept(w.ctx, []*submit.Acceptance{a})
			return err
		}
		quota := func(err error, policy string, used int64) {
			w.Helper()
			var q *project.QuotaError
			if !errors.As(err, &q) || q.Policy != policy || q.Used != used || !q.Resets.Equal(time.Date(2026, 4, 20, 0, 0, 0, 0, time.UTC)) {
				w.Fatalf("got %v (%+v), want the quota of the %s with %d used", err, q, policy, used)
			}
		}
		w.must(send("k1", project.Quotas{Project: three, Key: two}, "a@x.test", "b@x.test"))
		w.must(send("k1", project.Quotas{Project: three, Key: two}, "a@x.test"))
		quota(send("k1", project.Quotas{Project: three, Key: two}, "a@x.test"), "key", 2)
		w.must(send("k2", project.Quotas{Project: three, Key: two}, "a@x.test"))
		quota(send("k2", project.Quotas{Project: three, Key: two}, "a@x.test"), "project", 3)
		w.must(send("k2", project.Quotas{}, "a@x.test"))
		zero := project.Quotas{Project: project.Quota{On: true}}
		quota(send("k3", zero, "a@x.test"), "project", 4)
		equal(w, "used", w.used(0), "k1 2/3/10 k2 2/2/10")
		w.owner.Env = mail.Test // counted apart
		w.must(send("k1", project.Quotas{Project: three}, "a@x.test"))
		w.owner.Env = mail.Live
		w.now = w.now.Add(24 * time.Hour)
		w.must(send("k1", project.Quotas{Project: three, Key: two}, "a@x.test"))
		equal(w, "used the day after", w.used(0), "k1 1/1/5")
		equal(w, "used the day before", w.used(-1), "k1 2/3/10 k2 2/2/10")
	}},
	{"a replay counts nothing and a batch counts its new messages, all or none", func(w *world) {
		q := project.Quotas{Project: project.Quota{On: true, Limit: 3}}
		first := keyed(w, w.letter("a@x.test"), "one")
		first.Quotas = q
		w.accept(first)
		for range 3 {
			again := keyed(w, w.letter("a@x.test"), "one")
			again.Quotas = q
			if r := w.accept(again); r.Replayed == nil {
				w.Fatal("no replay")
			}
		}
		batch := func(n int, extra ...*submit.Acceptance) error {
			b := &submit.BatchAcceptance{Items: extra}
			for range n {
				b.Items = append(b.Items, w.letter("a@x.test"))
			}
			for _, a := range b.Items {
				a.Quotas = q
			}
			_, err := w.s.AcceptBatch(w.ctx, b)
			return err
		}
		var over *project.QuotaError
		if err := batch(3); !errors.As(err, &over) {
			w.Fatalf("got %v", err)
		}
		equal(w, "used after a refusal", w.used(0), "k7f2q9xm 1/1/5")
		w.must(batch(2, keyed(w, w.letter("a@x.test"), "one")))
		equal(w, "used", w.used(0), "k7f2q9xm 3/3/15")
		last := w.letter("a@x.test")
		last.Quotas = q
		if _, err := w.s.Accept(w.ctx, []*submit.Acceptance{last}); !errors.As(err, &over) {
			w.Fatalf("got %v", err)
		}
		all := []*submit.Acceptance{w.letter("a@x.test"), w.letter("a@x.test"), w.letter("a@x.test")}
		for _, a := range all {
			a.Quotas = project.Quotas{Project: project.Quota{On: true, Limit: 5}}
		}
		receipts, err := w.s.Accept(w.ctx, all) // in one commit, each for itself
		if !errors.As(err, &over) || receipts[0].Row == 0 || receipts[1].Row == 0 || receipts[2].Row != 0 {
			w.Fatalf("got %v %+v", err, receipts)
		}
	}},
	{"clearing removes what has come to its end, in steps, and nothing else", func(w *world) {
		var gone []mail.ID
		for range 20 {
			a := w.letter("ada@example.com", "bob@example.com")
			for i := range a.Deliveries {
				d := &a.Deliveries[i]
				d.Status, d.Wait, d.CompletedAt = mail.Suppressed, mail.NoWait, w.now
			}
			w.accept(a)
			gone = append(gone, a.Message.ID)
		}
		half := w.letter("ada@example.com", "bob@example.com")
		half.Deliveries[0].Status, half.Deliveries[0].Wait = mail.Suppressed, mail.NoWait
		w.accept(half)
		other := w.owner
		w.owner.Env = mail.Test
		foreign := w.letter("ada@example.com")
		w.accept(foreign)
		w.owner = other
		removed := 0
		for after, steps := int64(0), 0; ; steps++ {
			done, last, err := w.s.Clear(w.ctx, w.owner, after)
			w.must(err)
			removed += done.Messages
			if last == 0 {
				break
			}
			if last <= after || steps > 100 {
				w.Fatalf("no end: %d after %d", last, after)
			}
			after = last
		}
		equal(w, "removed", removed, len(gone))
		for _, id := range gone {
			_, err := w.s.Message(w.ctx, w.owner, id)
			w.wantErr(err, mail.ErrNotFound)
		}
		_ = w.record(half.Message.ID)
		w.owner.Env = mail.Test
		_ = w.record(foreign.Message.ID)
	}},
	{"users and sessions are made, seen, ended and forgotten", func(w *world) {
		u, err := w.s.CreateUser(w.ctx, project.User{ID: mail.NewID(w.now), Name: "admin", Password: "$x", CreatedAt: w.now, ChangedAt: w.now})
		w.must(err)
		_, err = w.s.CreateUser(w.ctx, project.User{ID: mail.NewID(w.now), Name: "admin", Password: "$y", CreatedAt: w.now})
		w.wantErr(err, mail.ErrExists)
		_, err = w.s.UserByName(w.ctx, "bob")
		w.wantErr(err, mail.ErrNotFound)
		kept, err := w.s.UserByName(w.ctx, "admin")
		w.must(err)
		equal(w, "user", fmt.Sprint(kept), fmt.Sprint(u))
		session := func(n byte) project.Session {
			return project.Session{ID: mail.NewID(w.now), Hash: [32]byte{n}, User: u.Row, UserID: u.ID, UserName: u.Name, CreatedAt: w.now, SeenAt: w.now,
				ExpiresAt: w.now.Add(time.Hour), IP: "192.0.2.1", Agent: "browser"}
		}
		one, two, three := session(1), session(2), session(3)
		for _, s := range []project.Session{one, two, three} {
			w.must(w.s.CreateSession(w.ctx, s))
		}
		read, err := w.s.SessionByHash(w.ctx, one.Hash)
		w.must(err)
		equal(w, "session", fmt.Sprint(read), fmt.Sprint(one))
		w.must(w.s.TouchSession(w.ctx, one.Hash, w.now.Add(time.Minute), "192.0.2.9"))
		read, err = w.s.SessionByHash(w.ctx, one.Hash)
		w.must(err)
		equal(w, "seen", fmt.Sprint(read.SeenAt, read.IP), fmt.Sprint(w.now.Add(time.Minute), "192.0.2.9"))
		w.wantErr(w.s.EndSession(w.ctx, u.Row+1, two.ID), mail.ErrNotFound)
		w.must(w.s.EndSession(w.ctx, u.Row, two.ID))
		w.wantErr(w.s.EndSession(w.ctx, u.Row, two.ID), mail.ErrNotFound)
		w.must(w.s.SetPassword(w.ctx, u.Row, "$z", one.Hash, w.now.Add(time.Minute)))
		all, err := w.s.SessionsOf(w.ctx, u.Row)
		w.must(err)
		if len(all) != 1 || all[0].ID != one.ID {
			w.Fatalf("sessions left: %v", all)
		}
		w.wantErr(w.s.SetPassword(w.ctx, u.Row+1, "$z", one.Hash, w.now), mail.ErrNotFound)
		w.must(w.s.ForgetSessions(w.ctx, w.now, w.now))
		_, err = w.s.SessionByHash(w.ctx, one.Hash)
		w.must(err)
		w.must(w.s.ForgetSessions(w.ctx, w.now, w.now.Add(2*time.Minute)))
		_, err = w.s.SessionByHash(w.ctx, one.Hash)
		w.wantErr(err, mail.ErrNotFound)
	}},
}

// others counts a project's events of a type that is about no message.
func (w *world) others(row int64, kind mail.EventType) (n int) {
	w.Helper()
	for _, env := range []mail.Env{mail.Live, mail.Test} {
		entries, _, err := w.s.Log(w.ctx, eventlog.Query{Owner: mail.Owner{Project: row, Env: env}, Limit: 100, Types: []string{string(kind)}})
		w.must(err)
		n += len(entries)
	}
	return n
}

func (w *world) audit(q audit.Query) []audit.Entry {
	w.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	all, err := w.s.AuditEntries(w.ctx, q)
	w.must(err)
	return all
}

// used is the owner's usage of a day (0 = today): key, messages, recipients, bytes.
func (w *world) used(days project.Day) string {
	w.Helper()
	at := project.DayOf(w.now) + days
	all, err := w.s.Usage(w.ctx, w.owner, at, at)
	w.must(err)
	var out []string
	for _, u := range all {
		out = append(out, fmt.Sprintf("%s %d/%d/%d", u.KeyID, u.Messages, u.Recipients, u.Bytes))
	}
	return strings.Join(out, " ")
}
