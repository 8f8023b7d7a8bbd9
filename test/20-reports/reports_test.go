package reports

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/test/harness"
)

const unknown = "550 5.1.1 no such user"

// C1 and C3 of the Hyvor Relay dialect's list: null sender, CRLF, three recipients, mixed
// case and actions; told in its words, too.
func TestABounceReportOfThreeRecipientsIsToldOfEach(t *testing.T) {
	t.Parallel()
	s := open(t)
	hooks := make(chan []byte, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		hooks <- body
	}))
	t.Cleanup(receiver.Close)
	s.p.Must(t, 200, "POST", "/api/console/webhooks", harness.LiveKey, map[string]any{"url": receiver.URL, "events": []string{"send.recipient.bounced", "suppression.created"}})
	m := s.together("ada@site.test", "bob@site.test", "cyd@site.test", "dan@site.test")
	c := s.dial()
	c.brings("", m.path, dsn(group("Ada@SITE.test", "FAILED", "5.1.1", unknown), group("bob@site.test", "Delayed", "4.4.1", "connection timed out"),
		group("cyd@site.test", "failed", "5.2.2", "552 5.2.2 mailbox full")), "250")

	s.tells(m, "ada@site.test", "queued accepted delivered bounced")
	s.tells(m, "bob@site.test", "queued accepted delivered deferred")
	s.tells(m, "cyd@site.test", "queued accepted delivered bounced")
	s.tells(m, "dan@site.test", "queued accepted delivered")
	s.suppressed("ada@site.test", "hard_bounce")
	s.suppressed("cyd@site.test", "")
	if got := s.p.Status(t, harness.LiveKey, m.id); got != "bounced" {
		t.Errorf("the message is %s", got)
	}
	seen := map[string]bool{}
	for range 3 {
		var h struct {
			Event   string `json:"event"`
			Payload struct {
				Recipient   struct{ Address, Status string } `json:"recipient"`
				Bounce      struct{ Text, Status string }    `json:"bounce"`
				Suppression struct{ Email string }           `json:"suppression"`
			} `json:"payload"`
		}
		select {
		case body := <-hooks:
			if err := json.Unmarshal(body, &h); err != nil {
				t.Fatal(err)
			}
			seen[strings.Join([]string{h.Event, h.Payload.Recipient.Address, h.Payload.Recipient.Status, h.Payload.Bounce.Status, h.Payload.Bounce.Text, h.Payload.Suppression.Email}, " ")] = true
		case <-time.After(patience):
			t.Fatalf("no further hook came after %v", seen)
		}
	}
	for _, want := range []string{"send.recipient.bounced ada@site.test bounced 5.1.1 " + unknown + " ", "suppression.created     ada@site.test", "send.recipient.bounced cyd@site.test bounced 5.2.2 552 5.2.2 mailbox full "} {
		if !seen[want] {
			t.Errorf("no hook says %q; there were %v", want, seen)
		}
	}
	// The feedback of the send names the report that postroad reports shows.
	var sends []struct {
		ID int64 `json:"id"`
	}
	var send struct {
		Feedback []struct {
			Type   string `json:"type"`
			Report int64  `json:"debug_incoming_email_id"`
		} `json:"feedback"`
	}
	must(t, s.p.Must(t, 200, "GET", "/api/console/sends", harness.LiveKey, nil).Body, &sends)
	must(t, s.p.Must(t, 200, "GET", "/api/console/sends/"+strconv.FormatInt(sends[0].ID, 10), harness.LiveKey, nil).Body, &send)
	line := s.command("reports")
	row, _, _ := strings.Cut(line, " ")
	if len(send.Feedback) != 2 || send.Feedback[0].Type != "bounce" || strconv.FormatInt(send.Feedback[0].Report, 10) != row || !strings.Contains(line, m.id) || !strings.Contains(line, "recorded for 3") {
		t.Errorf("feedback %+v; reports: %s", send.Feedback, line)
	}
}

func must(t *testing.T, body []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatalf("%v in %.300s", err, body)
	}
}

func TestAReportWithLFOnlyAndAForwardedAddressIsFoundByItsReturnPath(t *testing.T) {
	t.Parallel()
	s := open(t)
	m := s.send("ada@site.test")
	letter := strings.ReplaceAll(dsn(group("ada.private@elsewhere.test", "failed", "5.1.1", unknown)), "\r\n", "\n")
	s.dial().brings("", m.path, letter, "250")
	s.tells(m, "ada@site.test", "queued accepted delivered bounced")
	s.suppressed("ada@site.test", "hard_bounce")
	s.suppressed("ada.private@elsewhere.test", "")
}

// C2 and D10: real complaints, two in one session, and both count.
func TestTwoComplaintsInOneSessionBothCount(t *testing.T) {
	t.Parallel()
	s := open(t)
	m, other := s.send("ada@site.test"), s.send("bob@site.test")
	c := s.dial()
	c.brings("fbl@site.test", m.path, arf("Original-Mail-From: <"+m.path+">\nOriginal-Rcpt-To: <Ada@site.test>\n", ""), "250")
	c.brings("fbl@site.test", "abuse@"+hostname, arf("", "Return-Path: <"+other.path+">\n"), "250")
	c.brings("fbl@site.test", "abuse@"+hostname, arf("", "Return-Path: <"+other.path+">\n"), "250") // again
	s.tells(m, "ada@site.test", "queued accepted delivered complained")
	s.tells(other, "bob@site.test", "queued accepted delivered complained")
	s.suppressed("ada@site.test", "complaint")
	s.suppressed("bob@site.test", "complaint")
	metrics := string(s.p.Must(t, 200, "GET", "/metrics", "", nil).Body)
	for _, line := range []string{`postroad_reports_total{kind="complaint",result="recorded"} 2`, `postroad_reports_total{kind="complaint",result="again"} 1`, `postroad_inbound_letters_total{outcome="accepted"} 3`} {
		if !strings.Contains(metrics, line) {
			t.Errorf("the metrics lack %s", line)
		}
	}
}

func TestAReportIsOnDiskBeforeItIsAnswered(t *testing.T) {
	t.Parallel()
	s := open(t)
	for round := range 3 {
		m := s.send("ada" + strconv.Itoa(round) + "@site.test")
		c := s.dial()
		c.brings("", m.path, dsn(group("ada"+strconv.Itoa(round)+"@site.test", "failed", "5.1.1", unknown)), "250")
		s.p.Kill()
		if err := s.p.Restart(); err != nil {
			t.Fatal(err)
		}
		s.tells(m, "ada"+strconv.Itoa(round)+"@site.test", "queued accepted delivered bounced")
		s.suppressed("ada"+strconv.Itoa(round)+"@site.test", "hard_bounce")
	}
}

// S6: whatever is not signed by us changes nothing, and nothing is relayed.
func TestForgedReportsChangeNothingAndOthersMailIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t)
	m := s.send("ada@site.test")
	local, host, _ := strings.Cut(m.path, "@")
	altered := local[:len(local)-1] + string("ab"[strings.Count(local[len(local)-1:], "a")]) + "@" + host
	c := s.dial()
	c.says("MAIL FROM:<>", "250")
	for _, to := range []string{altered, "bounces+1@" + host, "ada@site.test", "someone@elsewhere.test", "hello@acme.test", "abuse@acme.test"} {
		c.says("RCPT TO:<"+to+">", "550")
	}
	c = s.dial()
	forged := arf("Original-Mail-From: <"+altered+">\nOriginal-Rcpt-To: <ada@site.test>\n", "Return-Path: <"+altered+">\nList-Unsubscribe: <mailto:unsubscribe+aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@"+hostname+">\n")
	for _, office := range []string{"abuse@" + hostname, "fbl@" + hostname, "postmaster@" + hostname, "postmaster"} {
		c.brings("", office, strings.Replace(forged, "Thank you.", "Thank you, "+office, 1), "250")
	}
	c.brings("", "postmaster@"+hostname, dsn(group("ada@site.test", "failed", "5.1.1", unknown)), "250")
	time.Sleep(200 * time.Millisecond)
	s.tells(m, "ada@site.test", "queued accepted delivered")
	s.suppressed("ada@site.test", "")
	list := strings.Split(strings.TrimSpace(s.command("reports")), "\n")
	if len(list) != 5 || strings.Count(strings.Join(list, "\n"), "no address in it has a token of ours (kept)") != 5 {
		t.Errorf("reports: %q", list)
	}
	shown := s.command("reports", "show", strings.Fields(list[0])[1])
	if !strings.Contains(shown, "Return-Path: <>\nDelivered-To: <postmaster@"+hostname+">\n") || !strings.Contains(shown, "Final-Recipient: rfc822; ada@site.test") {
		t.Errorf("show: %s", shown)
	}
	for _, what := range []string{"ada@site.test", local} {
		if strings.Contains(s.p.Log(), what) {
			t.Errorf("%s is in the log", what)
		}
	}
}

func TestMailToUnsubscribeUnsubscribesOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	m := s.send("ada@site.test")
	s.p.Must(t, 200, "GET", "/v1/messages/"+m.id, harness.LiveKey, nil)
	id := s.p.Send(t, harness.LiveKey, map[string]any{"from": "hello@acme.test", "to": "bob@site.test", "subject": "News", "text": "News.", "topic": "news"})
	s.p.ExpectEvents(t, harness.LiveKey, id, "bob@site.test", "queued accepted delivered", patience)
	all := s.site.Messages()
	header := strings.ReplaceAll(string(all[len(all)-1].Data), "\r\n ", " ")
	found := regexp.MustCompile(`(?m)^List-Unsubscribe: .*<mailto:(unsubscribe\+[a-z2-7]{32}@[^?>]+)\?subject=unsubscribe>`).FindStringSubmatch(header)
	if found == nil || !strings.HasSuffix(found[1], "@"+hostname) {
		t.Fatalf("no address to unsubscribe at in\n%s", header)
	}
	for range 2 {
		s.dial().brings("bob@site.test", strings.ToUpper(found[1]), "From: bob@site.test\r\nSubject: unsubscribe\r\n\r\n", "250")
	}
	s.p.ExpectEvents(t, harness.LiveKey, id, "bob@site.test", "queued accepted delivered unsubscribed", patience)
	s.suppressed("bob@site.test", "unsubscribe")
	s.tells(m, "ada@site.test", "queued accepted delivered")
}

// What was kept of a letter goes when its address is erased: nothing of it is on disk.
func TestAnErasedAddressIsNotInWhatCameBack(t *testing.T) {
	t.Parallel()
	s := open(t)
	m := s.together("ada.erased@site.test", "bob@site.test", "cyd@site.test")
	c := s.dial()
	c.brings("", m.path, dsn(group("ada.erased@site.test", "failed", "5.1.1", "550 5.1.1 <ada.erased@site.test> unknown"), group("x@elsewhere.test", "failed", "5.1.1", unknown)), "250")
	c.brings("", "postmaster@"+hostname, crlf("Subject: about\n\nada.erased@site.test is not well.\n"), "250")
	s.tells(m, "ada.erased@site.test", "queued accepted delivered bounced")
	if n := strings.Count(s.command("reports"), "(kept)"); n != 2 {
		t.Fatalf("%d letters are kept", n)
	}
	order := s.p.Must(t, 202, "POST", "/v1/erasures", harness.LiveKey, map[string]any{"recipient": "ada.erased@site.test", "include_suppressions": true}).Text(t, "erasure_id")
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if a := s.p.Must(t, 200, "GET", "/v1/erasures/"+order, harness.LiveKey, nil); a.Text(t, "status") == "done" {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the erasure does not end")
		}
	}
	if list := s.command("reports"); list != "" {
		t.Errorf("there are still reports: %s", list)
	}
	backup, copied := filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "restored")
	s.command("backup", backup)
	s.dataDir = copied
	s.command("restore", backup)
	if where := onDisk(t, copied, "ada.erased"); where != "" {
		t.Errorf("in a backup the address is in %s", where)
	}
	if where := onDisk(t, copied, "bob@site.test"); where == "" {
		t.Error("another address is not found: this test looks in the wrong place")
	}
}

func onDisk(t *testing.T, dir, text string) (where string) {
	t.Helper()
	_ = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil //nolint:nilerr // files come and go
		}
		if all, err := os.ReadFile(path); err == nil && bytes.Contains(all, []byte(text)) {
			where = path
		}
		return nil
	})
	return where
}
