package persona

import (
	"embed"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed personas/*.persona
var builtIn embed.FS

// Script is a persona as written. It does not change while it is played.
type Script struct {
	Name  string
	About string
	host  string
	offer []string
	cert  string
	rules [events][]*rule
}

type event uint8

const (
	onConnect event = iota
	onHello
	onStartTLS
	onMail
	onRcpt
	onData
	onContent
	onDot
	onReset
	onQuit
	events
)

var eventNames = map[string]event{
	"connect": onConnect, "ehlo": onHello, "starttls": onStartTLS, "mail": onMail, "rcpt": onRcpt,
	"data": onData, "content": onContent, "dot": onDot, "rset": onReset, "quit": onQuit,
}

// Names gives the built-in personas, sorted.
func Names() []string {
	files, _ := builtIn.ReadDir("personas")
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), ".persona"))
	}
	return names
}

// Load reads a built-in persona by its name, or a file.
func Load(nameOrFile string) (*Script, error) {
	if slices.Contains(Names(), nameOrFile) {
		text, err := builtIn.ReadFile("personas/" + nameOrFile + ".persona")
		if err != nil {
			return nil, err
		}
		return Parse(nameOrFile, string(text))
	}
	text, err := os.ReadFile(nameOrFile)
	if err != nil {
		return nil, fmt.Errorf("%q is neither a persona (%s) nor a file that can be read: %w",
			nameOrFile, strings.Join(Names(), ", "), err)
	}
	return Parse(strings.TrimSuffix(path.Base(nameOrFile), ".persona"), string(text))
}

// Parse reads a script. Its errors name the line.
func Parse(name, text string) (*Script, error) {
	s := &Script{
		Name: name, host: "mx.persona.test", cert: certGood,
		offer: []string{"PIPELINING", "SIZE=52428800", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "STARTTLS"},
	}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if err := s.statement(line); err != nil {
			return nil, fmt.Errorf("persona %s, line %d: %w", name, i+1, err)
		}
	}
	return s, nil
}

func (s *Script) statement(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch word {
	case "about":
		s.About = rest
	case "host":
		s.host = rest
	case "offer":
		s.offer = strings.Fields(strings.ToUpper(rest))
		if rest == "nothing" {
			s.offer = nil
		}
	case "cert":
		if rest != certGood && rest != certExpired && rest != certWrongName {
			return fmt.Errorf("unknown certificate %q", rest)
		}
		s.cert = rest
	case "on":
		return s.rule(rest)
	default:
		return fmt.Errorf("unknown statement %q", word)
	}
	return nil
}

// rule reads what follows "on".
func (s *Script) rule(text string) error {
	when, then, ok := cutColon(text)
	if !ok {
		return fmt.Errorf("a rule needs a colon")
	}
	word, rest, _ := strings.Cut(when, " ")
	on, ok := eventNames[strings.ToLower(strings.TrimSpace(word))]
	if !ok {
		return fmt.Errorf("unknown event %q", word)
	}
	r := &rule{counts: map[string]int{}}
	if err := r.condition(strings.TrimSpace(rest)); err != nil {
		return err
	}
	for _, part := range splitActions(then) {
		a, err := parseAction(part)
		if err != nil {
			return err
		}
		r.actions = append(r.actions, a)
	}
	if len(r.actions) == 0 {
		return fmt.Errorf("a rule needs an action")
	}
	s.rules[on] = append(s.rules[on], r)
	return nil
}

// cutColon cuts at the first colon outside of angle brackets.
func cutColon(text string) (before, after string, ok bool) {
	inGlob := false
	for i, c := range text {
		switch {
		case c == '<':
			inGlob = true
		case c == '>':
			inGlob = false
		case c == ':' && !inGlob:
			return text[:i], text[i+1:], true
		}
	}
	return text, "", false
}

// splitActions splits at semicolons that no backslash protects.
func splitActions(text string) []string {
	var parts []string
	start := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case ';':
			parts = append(parts, text[start:i])
			start = i + 1
		}
	}
	parts = append(parts, text[start:])
	return slices.DeleteFunc(parts, func(p string) bool { return strings.TrimSpace(p) == "" })
}

type actionKind uint8

const (
	doReply actionKind = iota
	doRaw
	doSleep
	doDrip
	doTake
	doClose
	doReset
	doBreakTLS
	doInject
	doHideTLS
)

type action struct {
	kind actionKind
	code int
	text string // unescaped; placeholders not yet filled in
	wait time.Duration
}

func parseAction(text string) (action, error) {
	text = strings.TrimSpace(text)
	word, rest, _ := strings.Cut(text, " ")
	switch word {
	case "raw":
		plain, err := unescape(rest)
		return action{kind: doRaw, text: plain}, err
	case "sleep", "drip":
		wait, err := time.ParseDuration(strings.TrimSpace(rest))
		kind := doSleep
		if word == "drip" {
			kind = doDrip
		}
		return action{kind: kind, wait: wait}, err
	}
	switch text {
	case "take":
		return action{kind: doTake}, nil
	case "close":
		return action{kind: doClose}, nil
	case "reset":
		return action{kind: doReset}, nil
	case "tls broken":
		return action{kind: doBreakTLS}, nil
	case "tls inject":
		return action{kind: doInject}, nil
	case "starttls hide":
		return action{kind: doHideTLS}, nil
	}
	code, err := strconv.Atoi(word)
	if err != nil || code < 200 || code > 599 {
		return action{}, fmt.Errorf("unknown action %q", text)
	}
	plain, err := unescape(rest)
	return action{kind: doReply, code: code, text: plain}, err
}

// unescape resolves \n \r \t \\ \; and \xHH.
func unescape(s string) (string, error) {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		i++
		if i == len(s) {
			return "", fmt.Errorf("a backslash at the end")
		}
		switch s[i] {
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case '\\', ';':
			out = append(out, s[i])
		case 'x':
			if i+2 >= len(s) {
				return "", fmt.Errorf(`\x needs two digits`)
			}
			b, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", fmt.Errorf(`\x needs two digits`)
			}
			out = append(out, byte(b))
			i += 2
		default:
			return "", fmt.Errorf("unknown escape \\%c", s[i])
		}
	}
	return string(out), nil
}
