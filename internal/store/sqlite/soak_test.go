package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	zombie "zombiezen.com/go/sqlite"

	"github.com/postroad/postroad/internal/eventlog"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/store/sqlite"
	"github.com/postroad/postroad/internal/submit"
	"github.com/postroad/postroad/internal/webhook"
)

// owes plans a hook for every event of an endpoint.
type owes struct {
	endpoint webhook.Endpoint
	now      time.Time
}

func (o owes) Wants(mail.Owner, mail.EventType) bool { return true }

func (o owes) Hooks(entries []eventlog.Entry) (out []webhook.Hook) {
	for i := range entries {
		if n := &entries[i]; o.endpoint.Owed(n.Position) {
			out = append(out, webhook.Hook{Endpoint: o.endpoint.Row, Position: n.Position, CreatedAt: o.now, Due: o.now, Entry: n})
		}
	}
	return out
}

// postAll relays all there is and records that it was told, each a little later.
func postAll(t *testing.T, s *sqlite.Store, e webhook.Endpoint, now time.Time) {
	t.Helper()
	ctx := context.Background()
	leases, err := s.LeaseEndpoints(ctx, "bench", now, now.Add(time.Minute))
	if err != nil || len(leases) != 1 {
		t.Fatal(len(leases), err)
	}
	for {
		did, err := s.Relay(ctx, now, 500, func(context.Context, int64) (webhook.Planner, error) { return owes{e, now}, nil })
		if err != nil {
			t.Fatal(err)
		}
		if did.Passed == 0 {
			return
		}
		var results []webhook.Result
		for _, h := range did.Hooks {
			results = append(results, webhook.Result{Position: h.Position, Status: webhook.Delivered, Tries: 1,
				Record: webhook.Record{At: now, Duration: 30 * time.Millisecond, Status: 200, Response: "thanks"}})
		}
		if lost, err := s.SettleHooks(ctx, now, []webhook.Settlement{{Endpoint: e.Row, Token: leases[0].Token, Results: results}}); err != nil || len(lost) > 0 {
			t.Fatal(lost, err)
		}
	}
}

// bounded are tables that go on growing for a while by design: rows of forgotten keys stay
// beside living ones (see bodykey.go), days are counted for longer than this test runs.
var bounded = map[string]int64{"body_keys": 4096, "usage": 800}

// Mail comes and goes for months; what is kept stays as large as at the beginning.
func TestTheDatabaseIsFlatHoweverLongItRuns(t *testing.T) {
	t.Parallel()
	const rounds, warm, messages, between = 10, 5, 120, 10 * aDay
	ctx, dir := context.Background(), t.TempDir()
	s := open(t, dir)
	settings := project.DefaultSettings()
	settings.ContentDays, settings.EventDays = 7, 15 // contents of one round are there, messages of two
	p, err := s.CreateProject(ctx, project.Project{ID: mail.NewID(time.Now()), Name: "soak", Settings: settings}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	owner := mail.Owner{Project: p.Row}
	e, err := s.CreateEndpoint(ctx, webhook.Endpoint{ID: mail.NewID(time.Now()), Owner: owner, URL: "https://app.acme.test/hooks", Events: []string{"*"}, Payload: webhook.PayloadV1,
		Format: webhook.FormatStandard, Ordering: webhook.OrderNone, MaxPerSecond: 50, Status: webhook.Enabled, Secret: []byte("sealed"), CreatedAt: time.Now()}, 50, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	var sizes []int64
	var rows []map[string]int64
	for round := range rounds {
		now := start.Add(time.Duration(round) * between)
		all := make([]secret, messages)
		for i := range all {
			all[i] = newSecret(round*messages+i, owner, 4000)
			a := all[i].a
			a.Once = &mail.Once{Owner: owner, Route: "POST /v1/messages", Key: fmt.Sprint(round, "-", i), RequestID: "req_x", Created: now, Expires: now.Add(aDay)}
			a.Answer = func(submit.Receipt) mail.Answer { return mail.Answer{Status: 202, Body: []byte(`{"ok":true}`)} }
		}
		deliverAllAt(t, s, now, all)
		postAll(t, s, e, now)
		now = now.Add(between - time.Hour)
		sweep(t, s, now)
		if err := s.SweepKeys(ctx, now); err != nil {
			t.Fatal(err)
		}
		for more := true; more; {
			if more, err = s.SweepHooks(ctx, now, now.Add(-3*aDay)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Scrub(ctx); err != nil {
			t.Fatal(err)
		}
		count, err := s.TableRows()
		if err != nil {
			t.Fatal(err)
		}
		sizes, rows = append(sizes, databaseSize(t, dir)), append(rows, count)
	}
	t.Logf("the database after each of %d rounds of %d messages: %v bytes", rounds, messages, sizes)
	if sizes[rounds-1] > sizes[warm]+sizes[warm]/20 {
		t.Errorf("it grows: %v", sizes)
	}
	for table, n := range rows[rounds-1] {
		if n > rows[warm][table] && n > bounded[table] {
			t.Errorf("%s has %d rows, and had %d after %d rounds", table, n, rows[warm][table], warm+1)
		}
	}
	for _, table := range []string{"bodies", "idempotency", "webhook_hooks", "webhook_tries"} {
		if n := rows[rounds-1][table]; n != 0 {
			t.Errorf("%d rows of %s are left", n, table)
		}
	}
	if rows[rounds-1]["messages"] == 0 {
		t.Error("messages went before their time: this proves nothing")
	}
}

// growing are the tables that mail fills: nothing that runs all the time may read one whole.
var growing = []string{"messages", "bodies", "body_keys", "deliveries", "events", "attempts", "idempotency", "webhook_hooks", "webhook_tries", "suppressions", "past_suppressions", "files", "audit"}

// boundedScans are statements that may go along a table: they stop at a LIMIT.
var boundedScans = map[string]bool{
	"DELETE FROM audit WHERE row IN (SELECT row FROM audit ORDER BY row LIMIT ?) AND at < ?": true,
}

func TestNothingThatForgetsReadsAWholeTable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	conn, err := zombie.OpenConn(dir+"/"+sqlite.DatabaseName, zombie.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	statements := 0
	for _, file := range []string{"forget.go", "survey.go", "once.go", "webhooksweep.go", "erase.go", "erasure.go", "audit.go", "claim.go", "rescue.go", "settle.go", "hyvor.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("Prep\\(`([^`]+)`\\)").FindAllStringSubmatch(string(text), -1) {
			statements++
			sql := m[1]
			for _, line := range planOf(t, conn, sql) {
				if table := scanned(sql, line); table != "" && !boundedScans[sql] {
					t.Errorf("%s reads all of %s: %s\n%s", file, table, line, sql)
				}
			}
		}
	}
	if statements < 30 {
		t.Errorf("only %d statements were found: the test reads the sources wrong", statements)
	}
	t.Logf("%d statements", statements)
}

func planOf(t *testing.T, conn *zombie.Conn, sql string) (lines []string) {
	t.Helper()
	q, _, err := conn.PrepareTransient("EXPLAIN QUERY PLAN " + sql)
	if err != nil {
		t.Errorf("%v: %s", err, sql)
		return nil
	}
	defer q.Finalize()
	for {
		more, err := q.Step()
		if err != nil {
			t.Errorf("%v: %s", err, sql)
		}
		if err != nil || !more {
			return lines
		}
		lines = append(lines, q.ColumnText(3))
	}
}

// scanned tells which of the growing tables a line of a plan goes along without looking
// anything up, "" when none.
func scanned(sql, line string) string {
	name, ok := strings.CutPrefix(line, "SCAN ")
	if !ok {
		return ""
	}
	name, _, _ = strings.Cut(name, " ")
	for _, table := range growing {
		if name == table || regexp.MustCompile(`(?i)\b`+table+`\s+(as\s+)?`+regexp.QuoteMeta(name)+`\b`).MatchString(sql) {
			return table
		}
	}
	return ""
}
