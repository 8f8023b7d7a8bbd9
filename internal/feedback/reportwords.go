package feedback

import (
	"slices"
	"strings"
)

// shape is one way in which mail systems tell in words, without a delivery status, that they
// could not deliver. All of it must be there, in a mail that a mail system sent: then it is
// certain.
type shape struct {
	system string
	says   []string // all stand in how the text begins, lower case, blanks and line breaks single
	from   []string // the line behind which the recipients stand ends in one of these; none: from the start
	read   func(lines []string) []Reported
	action string
}

// shapes are tried from the top. A warning must stand before the failure it is worded like.
var shapes = [...]shape{
	{"qmail", []string{"this is the qmail-send program", "permanent error"}, nil, readBracketed, "failed"},
	{"yahoo", []string{"unable to deliver", "following address"}, nil, readBracketed, "failed"},
	{"postfix", []string{"could not be delivered to one or more recipients"}, nil, readBracketed, "failed"},
	{"old postfix", []string{"returned below could not be delivered to one or more destinations"}, nil, readBracketed, "failed"},
	{"opensmtpd warning", []string{"this is the mailer-daemon", "a message is delayed"}, []string{"list of recipients:"}, readColon, "delayed"},
	{"opensmtpd", []string{"this is the mailer-daemon", "an error has occurred while attempting to deliver"}, []string{"list of recipients:"}, readColon, "failed"},
	{"dragonfly", []string{"this is the dragonfly mail agent", "there was an error delivering your mail to"}, nil, readSentence("There was an error delivering your mail to ", ".\n"), "failed"},
	{"exim warning", []string{"created automatically by mail delivery software", "has not yet been delivered"}, []string{"delivered is:", "delivered are:"}, readListed, "delayed"},
	{"exim", []string{"created automatically by mail delivery software", "could not be delivered"}, []string{"failed:"}, readListed, "failed"},
	{"sendmail warning", []string{"addresses had transient non-fatal errors"}, []string{"transient non-fatal errors -----"}, readListed, "delayed"},
	{"sendmail", []string{"addresses had permanent fatal errors"}, []string{"permanent fatal errors -----"}, readListed, "failed"},
	{"gmail warning", []string{"delivery to the following recipient", "has been delayed"}, []string{"delayed:"}, readListed, "delayed"},
	{"gmail", []string{"delivery to the following recipient", "failed permanently"}, []string{"failed permanently:"}, readListed, "failed"},
	{"gmail", []string{"your message wasn't delivered to "}, nil, readSentence("Your message wasn't delivered to ", " because"), "failed"},
	{"exchange", []string{"did not reach some or all of the intended recipients"}, []string{"could not be reached:"}, readDated, "failed"},
	{"old exchange", []string{"did not reach the following recipient(s):"}, []string{"following recipient(s):"}, readDated, "failed"},
	{"exchange warning", []string{"delivery is delayed to these recipients"}, []string{"recipients or groups:", "recipients:"}, readListed, "delayed"},
	{"exchange", []string{"delivery has failed to these recipients"}, []string{"information for administrators:"}, readListed, "failed"},
	{"domino", []string{"was not delivered to:", "because:"}, []string{"was not delivered to:"}, readListed, "failed"},
	{"ironport", []string{"the following message to ", "was undeliverable.", "the reason for the problem:"}, nil, readSentence("The following message to ", "was undeliverable"), "failed"},
}

const (
	maxShapeStart = 2 << 10 // octets in which a shape's words must stand
	maxShapeLines = 1000
)

// spokenIn parts a text into what the mail itself says, and the header of the message that it
// copies below that.
func spokenIn(text string) (spoken string, copied fields) {
	for at := 0; at < len(text); {
		line, _, _ := strings.Cut(text[at:], "\n")
		next := min(at+len(line)+1, len(text))
		switch {
		case separates(line):
			return text[:at], copiedHeader(text[next:])
		case strings.HasPrefix(line, "Received: ") || strings.HasPrefix(line, "Return-Path: "):
			return text[:at], copiedHeader(text[at:])
		}
		at = next
	}
	return text, nil
}

// separates tells of the lines that mail systems put before a copy of the message: "--- Below
// this line is a copy of the message.", "   ----- Original message follows -----".
func separates(line string) bool {
	line = strings.ToLower(strings.TrimSpace(line))
	if len(line) > 200 {
		return false
	}
	for _, lead := range [...]string{"original message headers:", "below is a copy of the original message:", "message headers follow", "original message follows"} {
		if strings.HasPrefix(line, lead) {
			return true
		}
	}
	return strings.HasPrefix(line, "--") && (strings.Contains(line, "message") || strings.Contains(line, "header"))
}

// copiedHeader reads a header below such a line, which may be indented and have empty lines
// before it.
func copiedHeader(text string) fields {
	text = strings.TrimLeft(text, " \t\n")
	head, _, _ := readFields([]byte(text[:min(len(text), maxReportHeader)]))
	return head
}

// bouncesInWords looks for a shape in what a mail system says.
func (r *Report) bouncesInWords(head fields, spoken string) bool {
	if !fromMachine(head) {
		return false
	}
	start := fold(strings.ReplaceAll(spoken[:min(len(spoken), maxShapeStart)], "\u2019", "'"))
	for i := range shapes {
		s := &shapes[i]
		if !s.opens(start) {
			continue
		}
		told := s.read(s.list(spoken))
		told = slices.DeleteFunc(told, func(t Reported) bool { return t.Final == "" })
		for i := range told {
			told[i].Action = s.action
			told[i].Diagnostic = clean(told[i].Diagnostic, maxReportSaid)
			told[i].Status = verdictOf(told[i].Diagnostic).status
		}
		if len(told) > 0 {
			r.Kind, r.Recipients = KindBounce, told[:min(len(told), maxReported)]
			return true
		}
	}
	return false
}

func (s *shape) opens(start string) bool {
	for _, words := range s.says {
		if !strings.Contains(start, words) {
			return false
		}
	}
	return true
}

// list gives the lines in which the recipients stand; none when what leads to them is missing.
func (s *shape) list(spoken string) []string {
	lines := strings.SplitN(spoken, "\n", maxShapeLines+1)
	lines = lines[:min(len(lines), maxShapeLines)]
	if len(s.from) == 0 {
		return lines
	}
	for i, line := range lines {
		line = fold(line)
		for _, end := range s.from {
			if strings.HasSuffix(line, end) {
				return lines[i+1:]
			}
		}
	}
	return nil
}

// fromMachine tells whether a mail system may have sent this: the null sender, or one of the
// names they write as. A person's mail has neither, whatever it quotes.
func fromMachine(head fields) bool {
	return strings.ReplaceAll(head.first("return-path"), " ", "") == "<>" || namedMachine(head)
}

// namedMachine tells whether it was sent in the name of a mail system. Automatic replies of
// people have the null sender too, but not such a name.
func namedMachine(head fields) bool {
	from := strings.ToLower(withoutComments(head.first("from")))
	if open := strings.LastIndexByte(from, '<'); open >= 0 {
		from = from[open+1:]
	}
	local, _, _ := strings.Cut(from, "@")
	local = strings.Trim(local, ` <>"`)
	switch local {
	case "mailer-daemon", "mailer_daemon", "mailerdaemon", "postmaster", "mail-daemon", "maildaemon":
		return true
	}
	return strings.HasPrefix(local, "microsoftexchange") || local == "" && strings.Contains(from, ">")
}

// readBracketed reads "<ada@x.example>:" at a line's start, then what was said about it up to
// an empty line.
func readBracketed(lines []string) (told []Reported) {
	open := false
	for _, line := range lines {
		inside, said, is := strings.Cut(line, ">:")
		if is && strings.HasPrefix(inside, "<") {
			told = append(told, Reported{Final: addressIn(inside[1:]), Diagnostic: strings.TrimSpace(said)})
			open = true
			continue
		}
		if open = open && strings.TrimSpace(line) != ""; open {
			told[len(told)-1].say(line)
		}
	}
	return told
}

// readColon reads "ada@x.example: 550 5.1.1 no" at a line's start.
func readColon(lines []string) (told []Reported) {
	for _, line := range lines {
		if who, said, is := strings.Cut(line, ": "); is && listedAddress(who) != "" {
			told = append(told, Reported{Final: listedAddress(who), Diagnostic: strings.TrimSpace(said)})
		}
	}
	return told
}

// readListed reads addresses that have lines of their own, each followed by what was said
// about it, at once or behind an empty line. What is said about several together is told of
// those that it names.
func readListed(lines []string) (told []Reported) {
	var common []string
	open := false // what comes next is said about the last one
	for _, line := range lines {
		line = strings.TrimSpace(line)
		last := len(told) - 1
		switch address := listedAddress(line); {
		case len(told) > maxReported: // the rest costs nothing more
			return told
		case address != "":
			told, open = append(told, Reported{Final: address}), true
		case line == "":
			open = false
		case last < 0:
		case open && told[last].parent(line):
		case open:
			told[last].say(line)
		default:
			common = append(common, line)
		}
	}
	var silent []*Reported
	for i := range told {
		if told[i].Diagnostic == "" {
			silent = append(silent, &told[i])
		}
	}
	for _, line := range common {
		lower := strings.ToLower(line)
		for _, t := range silent {
			if len(silent) == 1 || strings.Contains(lower, t.Final) {
				t.say(line)
			}
		}
	}
	return told
}

// listedAddress reads a line that is an address and nothing else: "ada@x.example",
// "ada@x.example<mailto:ada@x.example>", "<ada@x.example>  (unrecoverable error)".
func listedAddress(line string) string {
	if len(line) > 600 || !strings.Contains(line, "@") {
		return ""
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, ","), ":")
	if plain, link, linked := strings.Cut(line, "<mailto:"); linked && strings.HasSuffix(link, ">") {
		line = plain
	}
	line = strings.TrimSpace(withoutComments(line))
	if inside, is := strings.CutPrefix(line, "<"); is {
		line = strings.TrimSuffix(inside, ">")
	}
	if strings.ContainsAny(line, " \t<>;:") {
		return ""
	}
	return addressIn(line)
}

// parent reads the address that was written to, where the one told of comes from an alias:
// "(generated from ada@x.example)", "(expanded from: <ada@x.example>)".
func (r *Reported) parent(line string) bool {
	line = strings.Trim(line, "()")
	for _, lead := range [...]string{"generated from ", "generated by ", "expanded from: "} {
		if address, is := cutFold(line, lead); is {
			r.Original = addressIn(address)
			return true
		}
	}
	return false
}

// say adds a line to what is said about a recipient.
func (r *Reported) say(line string) {
	if len(r.Diagnostic) > maxReportSaid {
		return
	}
	if r.Diagnostic != "" {
		r.Diagnostic += "\n"
	}
	r.Diagnostic += strings.TrimSpace(line)
}

// readDated reads Exchange's "ada@x.example on 4/19/2026 2:30 PM", and what is said below.
func readDated(lines []string) (told []Reported) {
	for _, line := range lines {
		line = strings.TrimSpace(line)
		who, _, dated := strings.Cut(line, " on ")
		if address := listedAddress(who); dated && address != "" {
			told = append(told, Reported{Final: address})
		} else if line != "" && len(told) > 0 {
			told[len(told)-1].say(line)
		}
	}
	return told
}

// readSentence reads the address that stands in a sentence between lead and end, and takes
// what the other server answered, or else all below the sentence, for what was said about it.
func readSentence(lead, end string) func(lines []string) []Reported {
	return func(lines []string) []Reported {
		text := strings.ReplaceAll(strings.Join(lines, "\n"), "\u2019", "'")
		_, after, found := strings.Cut(text, lead)
		if !found {
			return nil
		}
		stop := strings.Index(after, end)
		if stop < 0 || stop > 600 {
			return nil
		}
		r := Reported{Final: listedAddress(strings.TrimSpace(after[:stop]))}
		said := after[stop+len(end):]
		for _, answer := range [...]string{"The response was:", "The response from the remote server was:", "The reason for the problem:"} {
			if _, below, found := strings.Cut(said, answer); found {
				said = below
				break
			}
		}
		r.Diagnostic = strings.TrimSpace(said[:min(len(said), 2*maxReportSaid)])
		return []Reported{r}
	}
}
