package sandbox

import (
	"strconv"
	"time"

	"github.com/postroad/postroad/internal/feedback"
	"github.com/postroad/postroad/internal/lane"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/route"
)

const host = "mx.sandbox.test"

var mxNames = []string{host} // shared: nobody changes an attempt's

// play is what a recipient's part makes of an attempt.
func play(part part, w *mail.Work, job *lane.Job, took time.Duration) mail.Attempt {
	a := mail.Attempt{
		Duration: took, Site: job.Route.Site, Host: host, MX: mxNames,
		Source: job.Route.Source.Name, EHLO: job.Route.Source.EHLO,
		Outcome: mail.OutcomeDelivered, Reply: mail.Reply{Code: 250, Enhanced: "2.0.0", Text: "OK: captured"},
	}
	if part.stage != "" {
		trouble(&a, part)
	}
	switch part.Kind {
	case route.MagicBounced:
		a.Outcome = mail.OutcomeBounced
		a.Reply = mail.Reply{Code: part.Code, Enhanced: part.Enhanced, Text: "<" + w.Delivery.Address + ">: " + meaning(part.Enhanced)}
		a.Class, a.Advice = feedback.Classify(a.Reply, "rcpt")
	case route.MagicDeferred:
		if w.Delivery.Tries >= part.Count {
			break
		}
		a.Outcome = mail.OutcomeDeferred
		a.Reply = mail.Reply{Code: 451, Enhanced: "4.7.1", Text: "<" + w.Delivery.Address + ">: Greylisted, try again later"}
		a.Class, a.Advice = feedback.Classify(a.Reply, "rcpt")
	case route.MagicTLSFail:
		a.Outcome, a.Class = mail.OutcomeDeferred, mail.ClassTLS
		a.Reply = mail.Reply{Code: 451, Enhanced: "4.7.5", Text: "TLS handshake failure"}
		_, a.Advice = feedback.Classify(a.Reply, "starttls")
		a.TLS = &mail.TLSFacts{Error: "remote error: tls: handshake failure"}
	}
	a.Transcript = transcript(&a, part, w, job)
	return a
}

// trouble is what chaos makes of an attempt: a refusal of the class "other" or what its code
// means, never one that blames the recipient.
func trouble(a *mail.Attempt, part part) {
	a.Outcome, a.Reply = mail.OutcomeDeferred, mail.Reply{Code: part.Code, Enhanced: "4.3.0", Text: "Trouble on purpose at " + part.stage}
	if part.Code >= 500 {
		a.Outcome, a.Reply.Enhanced = mail.OutcomeBounced, "5.3.0"
	}
	a.Class, a.Advice = feedback.Classify(a.Reply, part.stage)
}

// meaning puts a permanent status into the words a site would use (RFC 3463 §3).
func meaning(status string) string {
	switch status {
	case "5.1.1":
		return "Recipient address rejected: User unknown"
	case "5.1.2":
		return "Recipient address rejected: Domain not found"
	case "5.1.6":
		return "Recipient has moved"
	case "5.1.10":
		return "Recipient domain does not accept mail (nullMX)"
	case "5.2.1":
		return "Mailbox disabled, not accepting messages"
	case "5.2.2":
		return "Mailbox full"
	case "5.2.3", "5.3.4":
		return "Message size exceeds fixed limit"
	case "5.7.1":
		return "Delivery not authorized, message refused"
	}
	return "Recipient refused"
}

// transcript is the conversation there would have been.
func transcript(a *mail.Attempt, part part, w *mail.Work, job *lane.Job) []mail.Line {
	t := make(talk, 0, 13)
	refused := func(stage string) bool {
		if part.stage == stage {
			t.server(a.Reply.Code, strconv.Itoa(a.Reply.Code)+" "+a.Reply.Enhanced+" "+a.Reply.Text)
		}
		return part.stage == stage
	}
	if refused("connect") {
		return t
	}
	t.server(220, "220 "+host+" ESMTP sandbox")
	t.client("EHLO " + job.Route.Source.EHLO)
	t.server(250, "250-"+host)
	t.server(250, "250 STARTTLS")
	if part.Kind == route.MagicTLSFail {
		t.client("STARTTLS")
		t.server(220, "220 2.0.0 Ready to start TLS")
		return append(t, mail.Line{From: "!", Text: "remote error: tls: handshake failure"})
	}
	t.client("MAIL FROM:<" + job.Message.From.Email + ">")
	if refused("mail") {
		return t
	}
	t.server(250, "250 2.1.0 Ok")
	t.client("RCPT TO:<" + w.Delivery.Address + ">")
	if a.Outcome != mail.OutcomeDelivered && part.stage != "data" {
		t.server(a.Reply.Code, strconv.Itoa(a.Reply.Code)+" "+a.Reply.Enhanced+" "+a.Reply.Text)
		return t
	}
	t.server(250, "250 2.1.5 Ok")
	t.client("DATA")
	t.server(354, "354 End data with <CR><LF>.<CR><LF>")
	t.client("(" + strconv.FormatInt(job.Message.Size, 10) + " bytes)")
	if refused("data") {
		return t
	}
	t.server(250, "250 2.0.0 OK: captured")
	t[len(t)-1].At = a.Duration
	return t
}

type talk []mail.Line

func (t *talk) client(text string) { *t = append(*t, mail.Line{From: "C", Text: text}) }
func (t *talk) server(code int, text string) {
	*t = append(*t, mail.Line{From: "S", Text: text, Code: code})
}
