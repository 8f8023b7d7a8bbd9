package feedback_test

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/mail"
)

var statusText = regexp.MustCompile(`^[245]\.\d{1,3}\.\d{1,3} `)

// samples reads testdata/replies.txt.
func samples(t testing.TB, use func(line int, want mail.Class, stage string, r mail.Reply)) {
	t.Helper()
	text, err := os.ReadFile("testdata/replies.txt")
	if err != nil {
		t.Fatal(err)
	}
	for n, line := range strings.Split(string(text), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		part := strings.SplitN(line, " | ", 3)
		if len(part) != 3 {
			t.Fatalf("line %d: three columns are needed", n+1)
		}
		code, said, _ := strings.Cut(part[2], " ")
		r := mail.Reply{Text: strings.ReplaceAll(said, `\n`, "\n")}
		if r.Code, err = strconv.Atoi(code); err != nil {
			t.Fatalf("line %d: %v", n+1, err)
		}
		if status := statusText.FindString(r.Text); status != "" {
			r.Enhanced, r.Text = strings.TrimSpace(status), r.Text[len(status):]
		}
		use(n+1, mail.Class(part[0]), part[1], r)
	}
}

func TestRepliesOfRealSitesGetTheirClass(t *testing.T) {
	t.Parallel()
	n, seen := 0, map[mail.Class]bool{}
	samples(t, func(line int, want mail.Class, stage string, r mail.Reply) {
		n++
		seen[want] = true
		got, advice := feedback.Classify(r, stage)
		if got != want {
			t.Errorf("replies.txt:%d: %s, want %s: %d %s %q", line, got, want, r.Code, r.Enhanced, r.Text)
		}
		if advice == "" {
			t.Errorf("replies.txt:%d: no advice for %s", line, got)
		}
	})
	if n < 100 || len(seen) != 16 {
		t.Errorf("%d samples of %d classes", n, len(seen))
	}
}

func TestSecurityAndProtocolStatusesNeverBlameTheRecipient(t *testing.T) {
	t.Parallel()
	texts := []string{"user unknown", "No such user here", "account disabled", "domain does not exist", "mailbox disabled", "recipient not found"}
	samples(t, func(_ int, want mail.Class, _ string, r mail.Reply) {
		if want.Suppresses() {
			texts = append(texts, r.Text)
		}
	})
	for _, status := range []string{"5.7.1", "5.7.0", "5.7.26", "5.7.999", "5.5.0", "5.5.1"} {
		for _, code := range []int{550, 554, 553} {
			for _, text := range texts {
				if c, _ := feedback.Classify(mail.Reply{Code: code, Enhanced: status, Text: text}, "rcpt"); c.Suppresses() {
					t.Errorf("%d %s %q is %s", code, status, text, c)
				}
			}
		}
	}
}

func TestUserUnknownWithoutAnEnhancedCodeIsUnderstood(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"user unknown", "User Unknown", "no  such\nuser", "ada@there.test... User unknown"} {
		if c, _ := feedback.Classify(mail.Reply{Code: 550, Text: text}, "rcpt"); c != mail.ClassUnknownUser {
			t.Errorf("%q is %s", text, c)
		}
	}
}

func TestSuccessIsNoTrouble(t *testing.T) {
	t.Parallel()
	if c, advice := feedback.Classify(mail.Reply{Code: 250, Enhanced: "2.1.5", Text: "user unknown but will try"}, "rcpt"); c != mail.ClassNone || advice != "" {
		t.Error(c, advice)
	}
}

func TestEveryClassSaysWhoseFaultItIs(t *testing.T) {
	t.Parallel()
	for _, c := range []mail.Class{
		mail.ClassUnknownUser, mail.ClassInactive, mail.ClassBadDomain, mail.ClassMailboxFull, mail.ClassRateLimited, mail.ClassGreylisted,
		mail.ClassReputation, mail.ClassBlocklisted, mail.ClassContent, mail.ClassPolicy, mail.ClassAuth, mail.ClassSize, mail.ClassTLS,
		mail.ClassNetwork, mail.ClassProtocol, mail.ClassOther,
	} {
		blame := feedback.BlameOf(c)
		if blame == feedback.BlameNobody {
			t.Errorf("%s is nobody's fault", c)
		}
		if c.Suppresses() && blame != feedback.BlameRecipient {
			t.Errorf("%s suppresses, and is the fault of %s", c, blame)
		}
	}
	if feedback.BlameOf(mail.ClassNone) != feedback.BlameNobody {
		t.Error("success is somebody's fault")
	}
}

func FuzzClassify(f *testing.F) {
	samples(f, func(_ int, _ mail.Class, stage string, r mail.Reply) { f.Add(r.Code, r.Enhanced, r.Text, stage) })
	f.Fuzz(func(t *testing.T, code int, enhanced, text, stage string) {
		c, _ := feedback.Classify(mail.Reply{Code: code, Enhanced: enhanced, Text: text}, stage)
		if c.Suppresses() && (strings.HasPrefix(enhanced, "5.7.") || enhanced == "5.5.0") {
			t.Errorf("%d %s %q is %s", code, enhanced, text, c)
		}
	})
}

func BenchmarkClassifyUnknown(b *testing.B) {
	r := mail.Reply{Code: 554, Text: strings.Repeat("a text that none of the rules knows ", 8)}
	b.ReportAllocs()
	for b.Loop() {
		feedback.Classify(r, "dot")
	}
}
