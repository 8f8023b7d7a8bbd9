package feedback

import (
	"bytes"
	"strings"

	"github.com/postroad/postroad/internal/mail"
)

const (
	maxReported     = 100       // recipients of one report
	maxReportStatus = 256 << 10 // octets of a delivery status
)

// actions are the values of Action (RFC 3464 §2.3.3).
var actions = [...]string{"failed", "delayed", "delivered", "relayed", "expanded"}

// readStatus reads the fields of a delivery status: a group for the message, then one for each
// recipient, with empty lines between (RFC 3464 §2.1, RFC 6533 §3). It gives all fields too.
func readStatus(text []byte, cut bool) (told []Reported, all fields) {
	for len(text) > 0 && len(told) < maxReported {
		var group fields
		var ended bool
		group, text, ended = readFields(text)
		all = append(all, group...)
		if cut && !ended && len(group) > 0 { // its last field may have gone on
			group = group[:len(group)-1]
		}
		for _, one := range recipientsOf(group) {
			if r, ok := readReported(one, ended || !cut); ok && len(told) < maxReported {
				told = append(told, r)
			}
		}
	}
	return told, all
}

// blankLinesEmpty makes lines of nothing but blanks empty: here they stand between groups,
// while in a header they would continue a field.
func blankLinesEmpty(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		var line []byte
		line, text = nextLine(text)
		if len(bytes.TrimSpace(line)) > 0 {
			out = append(out, line...)
		}
		out = append(out, '\n')
	}
	return out
}

// recipientsOf parts a group that tells of several recipients, as systems write that forget
// the empty line. Each begins at its Final-Recipient, or at an Original-Recipient right before.
func recipientsOf(group fields) []fields {
	var starts []int
	for i := range group {
		if group[i].name == "final-recipient" {
			if i > 0 && group[i-1].name == "original-recipient" && len(starts) > 0 {
				i--
			}
			starts = append(starts, i)
		}
	}
	if len(starts) < 2 {
		return []fields{group}
	}
	var each []fields
	for i, start := range starts {
		if i == 0 {
			start = 0
		}
		end := len(group)
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		each = append(each, group[start:end])
	}
	return each
}

// readReported reads the group of one recipient. False: it tells of none, or not what became
// of it. Of a group that may lack fields nothing is concluded from those that are there.
func readReported(group fields, complete bool) (r Reported, ok bool) {
	final, original := group.first("final-recipient"), group.first("original-recipient")
	if final == "" && original == "" {
		return r, false
	}
	if !complete && final != "" && group[len(group)-1].name == "original-recipient" {
		original = "" // the next recipient's, where no empty line stands between
	}
	r.Final, r.Original = addressIn(final), addressIn(original)
	r.RemoteMTA = saidIn(untyped(group.first("remote-mta")), maxReportName)
	r.RetryUntil = dateIn(group.first("will-retry-until"))
	r.Diagnostic = saidIn(untyped(group.first("diagnostic-code")), maxReportSaid)
	status := group.first("status")
	r.Status = findStatus(status, 0)
	if r.Diagnostic == "" { // some tell it behind the status: "5.1.1 (no such user)"
		_, behind, _ := strings.Cut(status, r.Status)
		r.Diagnostic = clean(strings.Trim(behind, " -:()"), maxReportSaid)
	}
	r.refine()
	r.Action = actionIn(group.first("action"))
	if r.Action == "" && complete {
		r.Action = actionOf(r.Status)
	}
	return r, r.Action != ""
}

// refine takes from the diagnostic what the status does not tell: all of it when it is missing
// or no status, the detail when that is 0, "other" (RFC 3463 §3), as Exim and IronPort write
// whatever the site said. That nothing for good comes of "try again later", a temporary code
// wins over such a status.
func (r *Reported) refine() {
	if r.Status != "" && !strings.HasSuffix(r.Status, ".0") {
		return
	}
	said := verdictOf(r.Diagnostic)
	switch {
	case said.status != "" && (r.Status == "" || said.status[0] == r.Status[0] || said.code/100 == 4):
		r.Status = said.status
	case said.code/100 == 4 && r.Status != "" && r.Status[0] == '5':
		r.Status = "4.0.0"
	}
}

func actionIn(value string) string {
	value = strings.ToLower(strings.TrimSpace(withoutComments(value)))
	for _, action := range actions {
		if rest, is := strings.CutPrefix(value, action); is && (rest == "" || !partOfWord(rest[0])) {
			return action
		}
	}
	return ""
}

// actionOf tells what a status means where no action stands (RFC 3463 §2): delivered, not
// now, or never.
func actionOf(status string) string {
	switch {
	case strings.HasPrefix(status, "2"):
		return "delivered"
	case strings.HasPrefix(status, "4"):
		return "delayed"
	case strings.HasPrefix(status, "5"):
		return "failed"
	}
	return ""
}

// Reply is what the report tells as the reply a site would have given to us, for the rules
// that read replies. Of what contradicts itself the milder stands: temporary, when the
// diagnostic's code, the status or the action is. Code is made up from status or action when
// no code was told.
func (r Reported) Reply() mail.Reply {
	said := verdictOf(r.Diagnostic)
	reply := mail.Reply{Code: said.code, Enhanced: r.Status, Text: said.rest}
	class := 5
	switch {
	case r.Action == "delivered" || r.Action == "relayed" || r.Action == "expanded":
		class = 2
	case r.Action == "delayed" || said.code/100 == 4 || strings.HasPrefix(r.Status, "4"):
		class = 4
	}
	if reply.Code/100 != class {
		reply.Code = class*100 + 50
	}
	if r.Status == "" || int(r.Status[0]-'0') != class {
		reply.Enhanced = ""
		if said.status != "" && int(said.status[0]-'0') == class {
			reply.Enhanced = said.status
		}
	}
	return reply
}

// Class is the kind of trouble the report means; none when the mail went on. What a site says
// to MAIL FROM is about the sender, so it never blames the recipient.
func (r Reported) Class() mail.Class {
	class, _ := Classify(r.Reply(), "")
	if class.Suppresses() && saidToSender(r.Diagnostic) {
		return mail.ClassPolicy
	}
	return class
}

// saidToSender tells whether the words say so, as Exim and Postfix do.
func saidToSender(diagnostic string) bool {
	words := fold(diagnostic)
	return strings.Contains(words, "after mail from") || strings.Contains(words, "in reply to mail from")
}
