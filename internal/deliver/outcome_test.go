package deliver_test

import (
	"strings"
	"testing"

	"github.com/postroad/postroad/internal/deliver"
	"github.com/postroad/postroad/internal/mail"
)

func TestAMessageArrivesAsItWasStored(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, "plain")
	content := ".a dot\r\n..two\r\n\r\n. \r\nend without a line's end"
	job := s.job(content, "ada@example.test", "bob@example.test")
	session := s.session()
	attempts := session.Carry(t.Context(), nil, job)
	want(t, attempts, "delivered 250", "delivered 250")
	got := s.mx(1).Messages()
	if len(got) != 1 {
		t.Fatalf("%d messages received, want 1 for both recipients", len(got))
	}
	raw := string(job.Works[0].Content.(mail.Bytes)) + "\r\n"
	if string(got[0].Data) != raw {
		t.Errorf("received %q, want %q", got[0].Data, raw)
	}
	if strings.Join(got[0].To, " ") != "ada@example.test bob@example.test" || got[0].From != "billing@sender.test" || got[0].Hello != "out.sender.test" {
		t.Errorf("envelope: %+v", got[0])
	}
	a := attempts[0]
	if a.Host != "mx1.example.test" || a.IP != "127.0.0.1" || a.Site != "mx1.example.test" || a.Number != 1 ||
		a.EHLO != "out.sender.test" || a.Source != "default" || len(a.MX) != 1 || a.ID.IsZero() || a.Duration <= 0 || a.At.IsZero() {
		t.Errorf("attempt not filled in: %+v", a)
	}
	if a.TLS == nil || a.TLS.Verified || a.TLS.Error == "" || got[0].TLS == "" {
		t.Errorf("TLS with a certificate nobody knows: got %+v", a.TLS)
	}
	if !said(a, "RCPT TO:<ada@example.test>") || !said(a, "bytes)") || said(a, "a dot") {
		t.Errorf("transcript:\n%s", transcript(attempts))
	}
	if !session.Reusable() || s.begin.count() != 1 {
		t.Errorf("reusable %v, begun %d times", session.Reusable(), s.begin.count())
	}
}

// classify is a small stand-in for feedback.Classify.
func classify(o *deliver.Options) {
	o.Classify = func(r mail.Reply, stage string) (mail.Class, string) {
		switch {
		case strings.Contains(r.Text, "reylist"):
			return mail.ClassGreylisted, "stage " + stage
		case r.Enhanced == "5.1.1":
			return mail.ClassUnknownUser, "stage " + stage
		}
		return mail.ClassOther, "stage " + stage
	}
}

func TestWhatASiteSaysDecides(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script string
		to     []string
		want   []string
	}{
		"greylisting":           {"greylist", []string{"a@example.test"}, []string{"deferred 451 greylisted"}},
		"mixed replies":         {"mixed", []string{"ok@example.test", "nobody@example.test", "full@example.test", "moved@example.test"}, []string{"delivered 250", "bounced 550 unknown_user", "deferred 452 other", "delivered 250"}},
		"all refused":           {"on RCPT: 550 5.1.1 no\non DATA: 554 5.5.1 nobody", []string{"a@example.test", "b@example.test"}, []string{"bounced 550 unknown_user", "bounced 550 unknown_user"}},
		"DATA granted for none": {"on RCPT: 550 5.1.1 no\non DATA: 354 go on", []string{"a@example.test"}, []string{"bounced 550 unknown_user"}},
		"251":                   {"251", []string{"a@example.test"}, []string{"delivered 250"}},
		"252":                   {"on RCPT: 252 2.1.5 cannot verify", []string{"a@example.test"}, []string{"delivered 250"}},
		"552 after the dot":     {"size-refused", []string{"a@example.test"}, []string{"bounced 552 other"}},
		"DATA refused":          {"data-refused", []string{"a@example.test"}, []string{"bounced 554 other"}},
		"DATA refused for now":  {"on DATA: 451 4.3.0 later", []string{"a@example.test", "b@example.test"}, []string{"deferred 451 other", "deferred 451 other"}},
		"MAIL refused":          {"on MAIL: 550 5.7.1 not you", []string{"a@example.test"}, []string{"bounced 550 other"}},
		"421 at RCPT":           {"on RCPT <b@*>: 421 4.7.0 slow down; close", []string{"a@example.test", "b@example.test", "c@example.test"}, []string{"deferred 421 other", "deferred 421 other", "deferred 421 other"}},
		"421 after a refusal":   {"on RCPT <a@*>: 550 5.1.1 no\non RCPT <b@*>: 421 4.7.0 slow down; close", []string{"a@example.test", "b@example.test"}, []string{"bounced 550 unknown_user", "deferred 421 other"}},
		"421 after the dot":     {"on dot: 421 4.7.28 too fast; close", []string{"a@example.test"}, []string{"deferred 421 other"}},
		"closed before dot":     {"close-before-dot", []string{"a@example.test"}, []string{"deferred 0 network"}},
		"closed during a small content, which the dot came with": {"on content: close", []string{"a@example.test"}, []string{"uncertain 0 network"}},
		"closed at RCPT":        {"on RCPT: close", []string{"a@example.test"}, []string{"deferred 0 network"}},
		"reset at DATA":         {"on DATA: reset", []string{"a@example.test"}, []string{"deferred 0 network"}},
		"closed after dot":      {"close-after-dot", []string{"a@example.test", "b@example.test"}, []string{"uncertain 0 network", "uncertain 0 network"}},
		"silent after dot":      {"on dot: sleep 1h", []string{"a@example.test"}, []string{"uncertain 0 network"}},
		"nonsense after dot":    {"on dot: raw ok\\r\\n", []string{"a@example.test"}, []string{"uncertain 0 protocol"}},
		"non-UTF-8":             {"nonutf8", []string{"a@example.test"}, []string{"bounced 550 unknown_user"}},
		"several lines":         {"multiline", []string{"a@example.test"}, []string{"bounced 550 other"}},
		"a megabyte":            {"mega-reply", []string{"a@example.test"}, []string{"deferred 0 protocol"}},
		"no code":               {"on RCPT: raw hello there\\r\\n", []string{"a@example.test"}, []string{"deferred 0 protocol"}},
		"250 to DATA":           {"on DATA: 250 2.0.0 fine", []string{"a@example.test"}, []string{"deferred 0 protocol"}},
		"354 to RCPT":           {"on RCPT: 354 go on", []string{"a@example.test"}, []string{"deferred 0 protocol"}},
		"refused in the middle": {"on content: 552 5.3.4 too much; close", []string{"a@example.test"}, []string{"bounced 552 other"}},
		"tarpit":                {"on connect: drip 200ms", []string{"a@example.test"}, []string{"deferred 0 network"}},
		"slow but fine":         {"on connect: drip 1ms", []string{"a@example.test"}, []string{"delivered 250"}},
		"no extensions":         {"offer nothing\non RCPT <b@*>: 550 5.1.1 no", []string{"a@example.test", "b@example.test"}, []string{"delivered 250", "bounced 550 unknown_user"}},
		"no extensions, none":   {"offer nothing\non RCPT: 550 5.1.1 no", []string{"a@example.test"}, []string{"bounced 550 unknown_user"}},
		"HELO only":             {"on EHLO once: 502 5.5.1 what", []string{"a@example.test"}, []string{"delivered 250"}},
		"too large by EHLO":     {"offer SIZE=10", []string{"a@example.test"}, []string{"bounced 0 size"}},
		"UTF-8 not offered":     {"offer PIPELINING", []string{"ok@example.test", "grüße@example.test"}, []string{"delivered 250", "bounced 0 protocol"}},
		"UTF-8 offered":         {"plain", []string{"grüße@example.test"}, []string{"delivered 250"}},
		"too many, split":       {"mixed", []string{"a@example.test", "many1@example.test", "many2@example.test"}, []string{"delivered 250", "delivered 250", "delivered 250"}},
		"too many, for ever":    {"on RCPT <many*>: 452 4.5.3 Too many recipients", []string{"a@example.test", "many@example.test"}, []string{"delivered 250", "deferred 452 other"}},
		"too many, old code":    {"on RCPT <many*> once: 552 Too many recipients", []string{"a@example.test", "many@example.test"}, []string{"delivered 250", "delivered 250"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, classify, c.script)
			attempts := s.carry(c.to...)
			want(t, attempts, c.want...)
			if s.begin.count() != 1 {
				t.Errorf("begun %d times, want once", s.begin.count())
			}
			for _, a := range attempts {
				if len(a.Transcript) == 0 || a.Host == "" {
					t.Errorf("without transcript or host: %+v", a)
				}
			}
		})
	}
}

func TestARepliesTextIsCleanAndItsEnhancedCodeApart(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, "nonutf8")
	reply := s.carry("a@example.test")[0].Reply
	if reply.Enhanced != "5.1.1" || reply.Text != "Empf\uFFFDnger unbekannt  [31m rot" {
		t.Errorf("got %q %q", reply.Enhanced, reply.Text)
	}
	s = newSite(t, nil, "multiline")
	reply = s.carry("a@example.test")[0].Reply
	if reply.Enhanced != "5.7.1" || reply.Text != "Our system has detected that this message is\nlikely unsolicited mail.\nGo away" {
		t.Errorf("got %q %q", reply.Enhanced, reply.Text)
	}
}

func TestASessionIsGoodForAnotherMessageAfterARefusal(t *testing.T) {
	t.Parallel()
	for _, offer := range []string{"offer PIPELINING", "offer nothing"} {
		for _, trouble := range []string{
			"on RCPT <a@*>: 550 5.1.1 no", "on RCPT <a@*>: 550 5.1.1 no\non DATA once: 354 go on", "on MAIL once: 451 later",
			"on DATA once: 451 later", "on dot once: 451 later",
		} {
			t.Run(offer+" "+trouble, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, nil, offer+"\n"+trouble)
				session := s.session()
				first := s.carryOver(session, "a@example.test")
				if first[0].Outcome == mail.OutcomeDelivered {
					t.Fatalf("the first was delivered:\n%s", transcript(first))
				}
				want(t, s.carryOver(session, "b@example.test"), "delivered 250")
				if n := s.mx(1).Sessions(); n != 1 {
					t.Errorf("%d connections, want 1", n)
				}
			})
		}
	}
}

func TestASecondHostWithoutSMTPUTF8StillTakesWhoDoesNotNeedIt(t *testing.T) {
	t.Parallel()
	s := newSite(t, classify, "on MAIL: close", "offer PIPELINING")
	want(t, s.carry("ok@example.test", "grüße@example.test"), "delivered 250", "bounced 0 protocol")
}
