package hyvor

import (
	"strings"
	"time"

	"github.com/postroad/postroad/internal/archive"
	"github.com/postroad/postroad/internal/mail"
)

type attemptOut struct {
	ID            int64                      `json:"id"`
	CreatedAt     int64                      `json:"created_at"`
	Status        string                     `json:"status"`
	Try           int                        `json:"try_count"`
	Domain        string                     `json:"domain"`
	Resolved      []string                   `json:"resolved_mx_hosts"`
	Responded     *string                    `json:"responded_mx_host"`
	Conversations map[string]conversationOut `json:"smtp_conversations"`
	Duration      int64                      `json:"duration_ms"`
	Recipients    []attemptRecipientOut      `json:"recipients"`
	RecipientIDs  []int64                    `json:"recipient_ids"`
	Error         *string                    `json:"error"`
}

type attemptRecipientOut struct {
	ID         int64   `json:"id"`
	CreatedAt  int64   `json:"created_at"`
	Recipient  int64   `json:"recipient_id"`
	Status     string  `json:"recipient_status"`
	Code       int     `json:"smtp_code"`
	Enhanced   *string `json:"smtp_enhanced_code"`
	Message    string  `json:"smtp_message"`
	Suppressed bool    `json:"is_suppressed"`
}

type conversationOut struct {
	Start    string    `json:"start_time"`
	Duration int64     `json:"duration_ms"`
	Trouble  string    `json:"network_error"`
	Steps    []stepOut `json:"steps"`
}

type stepOut struct {
	Name     string `json:"name"`
	Duration int64  `json:"duration_ms"`
	Command  string `json:"command"`
	Code     int    `json:"reply_code"`
	Text     string `json:"reply_text"`
}

// groupKey names one of this dialect's attempts: all tries of one number at recipients of
// one domain.
type groupKey struct {
	domain string
	nth    int // of all tries of a recipient, those before a retry counted too
}

// attemptsOf groups our attempts, which have one recipient each, newest first.
func attemptsOf(r *archive.Record, attempts []archive.AttemptOf) []attemptOut {
	deliveries := make(map[mail.ID]*mail.Delivery, len(r.Deliveries))
	for i := range r.Deliveries {
		deliveries[r.Deliveries[i].ID] = &r.Deliveries[i]
	}
	last := make(map[mail.ID]int64, len(deliveries))
	for i := range attempts {
		last[attempts[i].Recipient] = attempts[i].Row
	}
	out := []attemptOut{}
	tries, at := make(map[mail.ID]int), make(map[groupKey]int)
	for i := range attempts {
		a := &attempts[i]
		d := deliveries[a.Recipient]
		if d == nil {
			continue
		}
		tries[d.ID]++
		key := groupKey{d.Destination, tries[d.ID]}
		n, known := at[key]
		if !known {
			n, at[key] = len(out), len(out)
			out = append(out, newAttempt(a, d))
		}
		out[n].add(a, d, last[d.ID] == a.Row)
	}
	for i := range out {
		out[i].conclude()
	}
	newestFirst(out, func(a *attemptOut) int64 { return a.ID })
	return out
}

func newAttempt(a *archive.AttemptOf, d *mail.Delivery) attemptOut {
	out := attemptOut{ID: a.Row, CreatedAt: a.At.Unix(), Try: a.Number, Domain: d.Destination, Resolved: a.MX, Responded: orNull(a.Host),
		Conversations: map[string]conversationOut{}, Recipients: []attemptRecipientOut{}, RecipientIDs: []int64{}}
	if out.Resolved == nil {
		out.Resolved = []string{}
	}
	return out
}

func (out *attemptOut) add(a *archive.AttemptOf, d *mail.Delivery, last bool) {
	status := outcomeOf(a.Outcome)
	if last && statusOf(d) == statusFailed {
		status = statusFailed
	}
	out.Recipients = append(out.Recipients, attemptRecipientOut{ID: a.Row, CreatedAt: a.At.Unix(), Recipient: d.Row, Status: status,
		Code: a.Reply.Code, Enhanced: orNull(a.Reply.Enhanced), Message: a.Reply.Text, Suppressed: status == statusBounced && a.Class.Suppresses()})
	out.RecipientIDs = append(out.RecipientIDs, d.Row)
	out.Duration = max(out.Duration, a.Duration.Milliseconds())
	if out.Responded == nil {
		out.Responded = orNull(a.Host)
	}
	if a.Reply.Code == 0 && a.Reply.Text != "" && out.Error == nil {
		text := a.Reply.Text
		out.Error = &text
	}
	for host, c := range conversations(&a.Attempt) {
		if _, there := out.Conversations[host]; !there { // of one transaction all recipients have the same
			out.Conversations[host] = c
		}
	}
}

// conclude tells what came of the whole: all alike, some accepted, or else deferred over
// bounced over failed.
func (out *attemptOut) conclude() {
	seen := map[string]bool{}
	for _, r := range out.Recipients {
		seen[r.Status] = true
	}
	switch {
	case seen[statusAccepted] && len(seen) > 1:
		out.Status = statusPartial
	case seen[statusAccepted]:
		out.Status = statusAccepted
	case seen[statusDeferred]:
		out.Status = statusDeferred
	case seen[statusBounced]:
		out.Status = statusBounced
	default:
		out.Status = statusFailed
	}
}

func outcomeOf(o mail.Outcome) string {
	switch o {
	case mail.OutcomeDelivered:
		return statusAccepted
	case mail.OutcomeBounced:
		return statusBounced
	case mail.OutcomeSuppressed:
		return statusSuppressed
	case mail.OutcomeFailed, mail.OutcomeCancelled, mail.OutcomeExpired:
		return statusFailed
	}
	return statusDeferred // also where the reply to the end of the data never came
}

// connectedTo begins the note with which a transcript tells of a new connection.
const connectedTo = "connected to "

// conversations takes an attempt's transcript apart: one for each host talked to.
func conversations(a *mail.Attempt) map[string]conversationOut {
	out := map[string]conversationOut{}
	if len(a.Transcript) == 0 {
		return out
	}
	t := talk{host: a.Host, at: a.At}
	keep := func(end time.Duration) {
		if len(t.steps) == 0 && t.trouble == "" {
			return
		}
		if t.host == "" {
			t.host = "unknown"
		}
		out[t.host] = t.conversation(end)
	}
	for _, l := range a.Transcript {
		if name, ok := strings.CutPrefix(l.Text, connectedTo); ok && l.From == "!" {
			keep(l.At)
			host, _, _ := strings.Cut(name, " ")
			t = talk{host: host, at: a.At, since: l.At, last: l.At}
			continue
		}
		t.line(l)
	}
	keep(max(a.Duration, t.last))
	return out
}

// talk is a conversation while its lines are read. Commands may go out in one flight;
// the replies come in their order.
type talk struct {
	host    string
	at      time.Time
	since   time.Duration
	last    time.Duration
	steps   []stepOut
	waiting []int // steps without a reply
	open    int   // the step whose reply goes on in the next line; 0: none, else one more
	trouble string
}

func (t *talk) line(l mail.Line) {
	switch l.From {
	case "C":
		t.open = 0
		name := stepOf(l.Text)
		if name == "data_close" && len(t.steps) > 0 && t.steps[len(t.steps)-1].Name == name {
			return // the content, then the dot: one step
		}
		t.steps = append(t.steps, stepOut{Name: name, Command: l.Text})
		t.waiting = append(t.waiting, len(t.steps)-1)
	case "S":
		t.reply(l)
	default:
		t.trouble = l.Text
		if strings.HasPrefix(l.Text, "TLS: ") || l.Text == "going on in clear" {
			t.trouble = "" // nothing is wrong
		}
	}
	if l.From != "!" {
		t.last = l.At
	}
}

func (t *talk) reply(l mail.Line) {
	if t.open == 0 {
		if len(t.waiting) == 0 { // the greeting
			t.steps = append(t.steps, stepOut{Name: "dial"})
			t.waiting = append(t.waiting, len(t.steps)-1)
		}
		t.open = t.waiting[0] + 1
		t.waiting = t.waiting[1:]
		t.steps[t.open-1].Duration = max(l.At-t.last, 0).Milliseconds()
	}
	s := &t.steps[t.open-1]
	s.Code = l.Code
	if s.Text != "" {
		s.Text += "\n"
	}
	s.Text += textOfReply(l)
	if len(l.Text) < 4 || l.Text[3] != '-' { // RFC 5321 §4.2.1: a hyphen says that there is more
		t.open = 0
	}
}

// textOfReply is a reply's line without its code.
func textOfReply(l mail.Line) string {
	if l.Code != 0 && len(l.Text) >= 3 {
		return strings.TrimLeft(l.Text[3:], " -")
	}
	return l.Text
}

// stepOf names what a command does.
func stepOf(command string) string {
	verb, _, _ := strings.Cut(strings.ToUpper(command), " ")
	switch verb {
	case "EHLO", "HELO", "LHLO":
		return "hello"
	case "STARTTLS":
		return "starttls"
	case "MAIL":
		return "mail"
	case "RCPT":
		return "rcpt"
	case "DATA":
		return "data"
	case "QUIT", "RSET":
		return "quit"
	}
	return "data_close" // the content and its dot
}

func (t *talk) conversation(end time.Duration) conversationOut {
	steps := t.steps
	if steps == nil {
		steps = []stepOut{}
	}
	return conversationOut{Start: t.at.Add(t.since).UTC().Format(time.RFC3339), Duration: max(end-t.since, 0).Milliseconds(), Trouble: t.trouble, Steps: steps}
}
