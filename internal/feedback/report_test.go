package feedback_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/mail"
)

// told writes a report as testdata/reports/expected.txt has it.
func told(r feedback.Report) string {
	var b strings.Builder
	b.WriteString(string(r.Kind))
	for _, t := range r.Recipients {
		fmt.Fprintf(&b, " | %s %s %s %s", or(t.Final), t.Action, or(t.Status), or(string(t.Class())))
		if t.Original != "" {
			b.WriteString(" for " + t.Original)
		}
	}
	if r.Complaint != nil {
		fmt.Fprintf(&b, " | %s by %s of %s", r.Complaint.Type, or(r.Complaint.Reporter), or(strings.Join(r.Complaint.Recipients, " ")))
	}
	return b.String()
}

func or(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// reportSamples calls use with each mail of testdata/reports, and what expected.txt says of it.
func reportSamples(t testing.TB, use func(name string, content []byte, want string)) {
	t.Helper()
	table, err := os.ReadFile("testdata/reports/expected.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for line := range strings.Lines(string(table)) {
		if name, says, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && name[0] != '#' {
			want[name] = says
		}
	}
	files, err := filepath.Glob("testdata/reports/*.eml")
	if err != nil || len(files) < 50 || len(files) != len(want) {
		t.Fatalf("%d mails, of %d something is expected: %v", len(files), len(want), err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".eml")
		use(name, content, want[name])
	}
}

// endings gives a mail with its lines ended in each way.
func endings(lf []byte) map[string][]byte {
	crlf := bytes.ReplaceAll(lf, []byte("\n"), []byte("\r\n"))
	mixed := []byte{}
	for i, line := range bytes.SplitAfter(lf, []byte("\n")) {
		if i%3 == 1 {
			line = bytes.Replace(line, []byte("\n"), []byte("\r\n"), 1)
		}
		mixed = append(mixed, line...)
	}
	return map[string][]byte{"LF": lf, "CRLF": crlf, "mixed": mixed}
}

func TestReportsOfRealSystemsAreReadWhateverEndsTheirLines(t *testing.T) {
	t.Parallel()
	kinds := map[feedback.Kind]int{}
	reportSamples(t, func(name string, content []byte, want string) {
		plain := feedback.ReadReport(content)
		kinds[plain.Kind]++
		for ending, content := range endings(content) {
			r := feedback.ReadReport(content)
			if got := told(r); got != want {
				t.Errorf("%s (%s):\n got %s\nwant %s", name, ending, got, want)
			}
			if !reflect.DeepEqual(r, plain) {
				t.Errorf("%s: %s tells another thing than LF:\n%+v\n%+v", name, ending, r, plain)
			}
			check(t, r)
		}
	})
	if kinds[feedback.KindBounce] < 30 || kinds[feedback.KindComplaint] < 4 || kinds[feedback.KindAutoReply] < 4 || kinds[feedback.KindOther] < 8 {
		t.Errorf("too few of a kind: %v", kinds)
	}
}

// check holds a report against what its type promises, whatever it was read from.
func check(t *testing.T, r feedback.Report) {
	t.Helper()
	fit := func(what, s string, limit int) {
		if len(s) > limit || !utf8.ValidString(s) || strings.ContainsFunc(s, func(c rune) bool { return c != '\n' && unicode.IsControl(c) }) {
			t.Errorf("%s does not fit: %d octets, %.200q", what, len(s), s)
		}
	}
	address := func(what, s string) {
		if a, err := mail.ParseAddress(s); s != "" && (err != nil || mail.FoldAddress(a.Email) != s) {
			t.Errorf("%s is no folded address: %q %v", what, s, err)
		}
	}
	fit("text", r.Text, 2<<10)
	fit("message id", r.MessageID, 1000)
	for _, p := range r.Paths {
		address("path", p)
	}
	for _, u := range r.Unsubs {
		fit("unsubscribe", u, 4<<10)
	}
	if len(r.Recipients) > 100 || len(r.Paths) > 100 || len(r.Unsubs) > 100 || (r.Kind == feedback.KindBounce) != (len(r.Recipients) > 0) || (r.Kind == feedback.KindComplaint) != (r.Complaint != nil) {
		t.Errorf("%s of %d recipients, %d paths, %d unsubscribes, complaint %v", r.Kind, len(r.Recipients), len(r.Paths), len(r.Unsubs), r.Complaint)
	}
	for _, one := range r.Recipients {
		checkReported(t, one, fit, address)
	}
	if g := r.Complaint; g != nil {
		fit("type", g.Type, 255)
		fit("reporter", g.Reporter, 255)
		if g.Type == "" || g.Type != strings.ToLower(g.Type) || len(g.Recipients) > 100 {
			t.Errorf("complaint %+v", g)
		}
		for _, a := range g.Recipients {
			address("complaint", a)
		}
	}
}

func checkReported(t *testing.T, r feedback.Reported, fit func(string, string, int), address func(string, string)) {
	t.Helper()
	address("final", r.Final)
	address("original", r.Original)
	fit("diagnostic", r.Diagnostic, 2<<10)
	fit("remote", r.RemoteMTA, 255)
	reply := r.Reply()
	fit("reply", reply.Text, 2<<10)
	went := r.Action == "delivered" || r.Action == "relayed" || r.Action == "expanded"
	switch {
	case !went && r.Action != "failed" && r.Action != "delayed":
		t.Errorf("action %q", r.Action)
	case went && (reply.Code/100 != 2 || r.Class() != mail.ClassNone):
		t.Errorf("%+v went on and is %+v, %s", r, reply, r.Class())
	case r.Action == "delayed" && !reply.Temporary(), !went && reply.Code/100 != 4 && reply.Code/100 != 5, strings.HasPrefix(r.Status, "4") && reply.Code/100 == 5:
		t.Errorf("%+v is %+v", r, reply)
	case reply.Enhanced != "" && int(reply.Enhanced[0]-'0') != reply.Code/100:
		t.Errorf("%+v: code and status contradict: %+v", r, reply)
	}
}

func TestACutReportTellsOfFewerRecipientsNeverOfOthers(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(20260419, 7))
	reportSamples(t, func(name string, lf []byte, _ string) {
		for ending, content := range endings(lf) {
			full := feedback.ReadReport(content)
			for range 80 {
				cut := random.IntN(len(content))
				r := feedback.ReadReport(content[:cut])
				check(t, r)
				if extra := gained(full, r); extra != "" {
					t.Fatalf("%s (%s) cut at %d of %d tells of %s:\n%s", name, ending, cut, len(content), extra, content[max(0, cut-200):cut])
				}
			}
		}
	})
}

// gained tells what a cut report has that the whole one has not.
func gained(full, cut feedback.Report) string {
	for _, c := range cut.Recipients {
		known := false
		for _, f := range full.Recipients {
			known = known || c.Final == f.Final && c.Action == f.Action && (c.Original == f.Original || c.Original == "")
		}
		if !known {
			return fmt.Sprintf("%+v", c)
		}
	}
	if g := cut.Complaint; g != nil {
		for _, a := range g.Recipients {
			if full.Complaint == nil || !strings.Contains(strings.Join(full.Complaint.Recipients, " ")+" ", a+" ") {
				return a
			}
		}
	}
	return ""
}

func TestTheWayBackToTheDeliveryIsFoundWhereverItStands(t *testing.T) {
	t.Parallel()
	const path, unsubscribe = "bounces+aaaaaaaaaaaabcqtc4ydkxvw3y@send.acme.test", "unsubscribe+aaaaaaaaaaaabcqtc4ydkxvw3yaaaaaa@mail.acme.test"
	seen := 0
	reportSamples(t, func(name string, content []byte, _ string) {
		returned := bytes.Contains(content, []byte("\nMessage-ID: <0196f0a1-7c3e@acme.test>"))
		if !returned || strings.HasPrefix(name, "bounce-forwarded") {
			return
		}
		seen++
		toUs := []byte("To: " + path + "\n") // that would be enough, so it goes
		r := feedback.ReadReport(bytes.ReplaceAll(content, toUs, nil))
		if !strings.Contains(strings.Join(r.Paths, " "), path) || r.MessageID != "0196f0a1-7c3e@acme.test" || len(r.Unsubs) != 2 || r.Unsubs[1] != unsubscribe {
			t.Errorf("%s: %v %q %v", name, r.Paths, r.MessageID, r.Unsubs)
		}
	})
	if seen < 30 {
		t.Errorf("%d reports return a message", seen)
	}
	own := feedback.ReadReport([]byte("From: MAILER-DAEMON\nTo: <" + path + ">\nContent-Type: message/delivery-status\n\nX-Postfix-Sender: rfc822; other+" + path + "\n"))
	if got := strings.Join(own.Paths, " "); got != "other+"+path+" "+path {
		t.Errorf("of a report's own fields: %s", got)
	}
}

func TestWhatSurroundsTheVerdictIsKept(t *testing.T) {
	t.Parallel()
	reportSamples(t, func(name string, content []byte, _ string) {
		r := feedback.ReadReport(content)
		switch name {
		case "postfix-unknown-user":
			if r.Recipients[0].RemoteMTA != "inner.there.example" || !strings.HasPrefix(r.Text, "This is the mail system at host") || strings.Contains(r.Text, "Thank you") {
				t.Errorf("%s: %+v", name, r)
			}
		case "postfix-delayed":
			if want := time.Date(2026, 4, 24, 14, 30, 0, 0, time.UTC); !r.Recipients[0].RetryUntil.Equal(want) {
				t.Errorf("%s: retried until %v", name, r.Recipients[0].RetryUntil)
			}
		case "arf-redacted":
			if want := time.Date(2026, 4, 19, 12, 30, 0, 0, time.UTC); !r.Complaint.ArrivedAt.Equal(want) {
				t.Errorf("%s: arrived %v", name, r.Complaint.ArrivedAt)
			}
		case "gmail-new-words":
			if strings.Contains(r.Text, "<p") || strings.Contains(r.Text, "color") || !strings.Contains(r.Text, "couldn’t be found") {
				t.Errorf("%s: %q", name, r.Text)
			}
		}
	})
}

// statusReport is a report with one recipient group.
func statusReport(fields ...string) []byte {
	return []byte("From: MAILER-DAEMON\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x.example\r\n\r\n" +
		strings.Join(fields, "\r\n") + "\r\n\r\n--b--\r\n")
}

func TestAddressesAreReadInEverySpelling(t *testing.T) {
	t.Parallel()
	for spelling, want := range map[string]string{
		"rfc822; ada@there.example": "ada@there.example", "RFC822;<Ada@There.Example>": "ada@there.example", "ada@there.example": "ada@there.example",
		"<ada@there.example>": "ada@there.example", "rfc822; rfc822; ada@there.example": "ada@there.example", "rfc822; \"ada@there.example\"": "ada@there.example",
		"rfc822; 'ada@there.example'": "ada@there.example", "rfc822; ada@there.example (gone)": "ada@there.example", "rfc822;SMTP:ada@there.example": "ada@there.example",
		"rfc822; mailto:ada@there.example": "ada@there.example", "rfc822; Ada <ada@there.example>": "ada@there.example", "rfc822; \"Ada; L\" <ada@there.example>": "ada@there.example",
		"rfc822; ada@there.example.": "ada@there.example", "rfc822; \"a b\"@there.example": "\"a b\"@there.example", "rfc822; \"a(b\"@there.example": "\"a(b\"@there.example",
		"rfc822; ada+2Btag@there.example": "ada+tag@there.example", "rfc822; ada+10@there.example": "ada+10@there.example", "rfc822; ada+2Btag+x@there.example": "ada+2btag+x@there.example",
		"rfc822; a+3Db@there.example": "a=b@there.example", "utf-8; \\x{7528}\\x{6237}@there.example": "用户@there.example", "UTF-8; zöe@bücher.example": "zöe@xn--bcher-kva.example",
		"rfc822; =?utf-8?q?ada=40there=2Eexample?=": "ada@there.example", "utf-8; \\x{110000}@there.example": "", "rfc822; ada": "", "X400; /C=DE/S=ada": "", "rfc822;": "", "rfc822; <ada@there.example": "",
		"rfc822; ada@there.example, bob@there.example": "", "rfc822; \xff@there.example": "",
	} {
		r := feedback.ReadReport(statusReport("Final-Recipient: "+spelling, "Action: failed", "Status: 5.1.1"))
		if len(r.Recipients) != 1 || r.Recipients[0].Final != want {
			t.Errorf("%s: %+v, want %q", spelling, r.Recipients, want)
		}
	}
}

func TestAReportThatContradictsItselfIsTakenTheMilderWay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		action, status, said string
		want                 mail.Reply
		class                mail.Class
	}{
		{"failed", "5.1.1", "smtp; 550 5.1.1 no such user", mail.Reply{Code: 550, Enhanced: "5.1.1", Text: "no such user"}, mail.ClassUnknownUser},
		{"failed", "5.1.1", "", mail.Reply{Code: 550, Enhanced: "5.1.1"}, mail.ClassUnknownUser},
		{"failed", "5.0.0", "smtp; 550 5.7.1 Access denied, user unknown", mail.Reply{Code: 550, Enhanced: "5.7.1", Text: "Access denied, user unknown"}, mail.ClassPolicy},
		{"failed", "", "smtp; 550 5.2.2 full", mail.Reply{Code: 550, Enhanced: "5.2.2", Text: "full"}, mail.ClassMailboxFull},
		{"failed", "none", "x-unix; 67 user unknown", mail.Reply{Code: 550, Text: "67 user unknown"}, mail.ClassUnknownUser},
		{"failed", "5.0.0", "smtp; 451 user unknown for now", mail.Reply{Code: 451, Enhanced: "4.0.0", Text: "user unknown for now"}, mail.ClassOther},
		{"failed", "5.1.2", "smtp; 450 no such domain", mail.Reply{Code: 450, Text: "no such domain"}, mail.ClassOther},
		{"failed", "4.2.2", "smtp; 552 over quota", mail.Reply{Code: 450, Enhanced: "4.2.2", Text: "over quota"}, mail.ClassMailboxFull},
		{"delayed", "5.4.0", "smtp; 554 user unknown", mail.Reply{Code: 450, Text: "user unknown"}, mail.ClassOther},
		{"delivered", "5.1.1", "smtp; 550 user unknown", mail.Reply{Code: 250, Text: "user unknown"}, mail.ClassNone},
		{"failed", "5.4.4", "smtp; host 5.1.1.2 port 587 said nothing in 450 seconds", mail.Reply{Code: 550, Enhanced: "5.4.4", Text: "host 5.1.1.2 port 587 said nothing in 450 seconds"}, mail.ClassNetwork},
		{"failed", "", "smtp; host 5.1.1.2 of version 5.1.1-b or 4.94.2 did not answer", mail.Reply{Code: 550, Text: "host 5.1.1.2 of version 5.1.1-b or 4.94.2 did not answer"}, mail.ClassOther},
	} {
		r := feedback.ReadReport(statusReport("Final-Recipient: rfc822; ada@there.example", "Action: "+c.action, "Status: "+c.status, "Diagnostic-Code: "+c.said))
		if len(r.Recipients) != 1 || r.Recipients[0].Reply() != c.want || r.Recipients[0].Class() != c.class {
			t.Errorf("%+v:\n got %+v", c, r.Recipients)
			for _, one := range r.Recipients {
				t.Errorf("     %+v %s", one.Reply(), one.Class())
			}
		}
	}
}

// A mail made to be costly or to overflow is read within the bounds of its type.
func TestAHostileReportStaysWithinItsBounds(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	fill := func(head, piece string) []byte {
		return []byte(head + strings.Repeat(piece, (size-len(head))/len(piece)))[:size]
	}
	group := "Final-Recipient: rfc822; ada@there.example\nAction: failed\nStatus: 5.1.1\n\n"
	top := "From: MAILER-DAEMON@x.example\nContent-Type: "
	for name, content := range map[string][]byte{
		"recipients": fill(top+"message/delivery-status\n\n", group),
		"in_base64":  fill(top+"message/delivery-status\nContent-Transfer-Encoding: base64\n\n", "RmluYWwtUmVjaXBpZW50Og==\n"),
		"in_quoted":  fill(top+"message/delivery-status\nContent-Transfer-Encoding: quoted-printable\n\n", "=46inal-Recipient: a@b.example=\n"),
		"one_line":   fill(top+"message/delivery-status\n\nDiagnostic-Code: ", "550 5.1.1 "),
		"folds":      fill(top+"message/delivery-status\n\nFinal-Recipient: rfc822; a\n", " b\n"),
		"parts":      fill(top+"multipart/report; boundary=b\n\n", "--b\nContent-Type: message/delivery-status\n\n"+group),
		"nested":     fill(top+"multipart/mixed; boundary=b\n\n", "--b\nContent-Type: multipart/mixed; boundary=b\n\n"),
		"header":     fill("", "X: (((((((\n"),
		"comments":   fill(top+"message/delivery-status\n\n", "Final-Recipient: ((((((((((((((((((((\nAction: failed\n\n"),
		"qmail":      fill(top+"text/plain\n\nHi. This is the qmail-send program. A permanent error.\n", "<ada@there.example>:\n550 5.1.1 no\n\n"),
		"listed":     fill(top+"text/plain\n\nDelivery to the following recipient failed permanently:\n", "ada@there.example\n"),
		"html":       fill(top+"text/html\n\n", "<p>a<b><style>"),
		"complaint":  fill(top+"message/feedback-report\n\nFeedback-Type: abuse\n", "Original-Rcpt-To: <a@there.example>\n"),
		"unsubs":     fill(top+"text/rfc822-headers\n\n", "List-Unsubscribe: <https://x.example/u>, <mailto:%41@x.example>\n"),
		"nul":        fill(top+"text/plain; charset=utf-7\n\n", "\x00\xff\u202e\r"),
		"no_lines":   fill("", "a"),
	} {
		for ending, content := range endings(content) {
			r := feedback.ReadReport(content)
			check(t, r)
			if t.Failed() {
				t.Fatalf("%s (%s)", name, ending)
			}
			if full := name == "recipients" || name == "qmail" || name == "listed"; full && len(r.Recipients) != 100 {
				t.Errorf("%s (%s): %d recipients", name, ending, len(r.Recipients))
			}
		}
	}
}

func FuzzReadReport(f *testing.F) {
	reportSamples(f, func(_ string, content []byte, _ string) {
		if len(content) < 1500 {
			f.Add(content, uint16(len(content)/2))
		}
	})
	f.Add(statusReport("Original-Recipient: utf-8; \\x{7528}@x.example", "Final-Recipient: rfc822;<a@x.example>", "Action: DELAYED", "Will-Retry-Until: 1 Jan 2026 00:00 +0000"), uint16(9))
	f.Fuzz(func(t *testing.T, content []byte, at uint16) {
		full := feedback.ReadReport(content)
		check(t, full)
		if cut := feedback.ReadReport(content[:min(int(at), len(content))]); gained(full, cut) != "" && full.Kind == cut.Kind {
			t.Errorf("cut at %d it tells of %s", at, gained(full, cut))
		}
		if bytes.IndexByte(content, '\r') >= 0 {
			return
		}
		if crlf := feedback.ReadReport(bytes.ReplaceAll(content, []byte("\n"), []byte("\r\n"))); !reflect.DeepEqual(crlf, full) {
			t.Errorf("with CRLF %+v\nwith LF %+v", crlf, full)
		}
	})
}

func BenchmarkReadReport(b *testing.B) {
	content, err := os.ReadFile("testdata/reports/postfix-unknown-user.eml")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		feedback.ReadReport(content)
	}
}
