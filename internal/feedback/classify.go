package feedback

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/postroad/postroad/internal/mail"
)

//go:embed rules.txt
var ruleText string

var rules = sync.OnceValue(func() []rule {
	all, err := parseRules(ruleText)
	if err != nil {
		panic("feedback: " + err.Error()) // a test reads the file before we do
	}
	return all
})

// rule is one line of rules.txt.
type rule struct {
	line     int
	class    mail.Class
	stage    string     // "" any
	code     string     // "" any; "5xx"
	enhanced []string   // none: any; "x.1.1", "5.7.x", "none"
	words    [][]string // none: any; alternatives of pieces that follow one another
}

// Classify tells what kind of trouble a reply means, said at a stage of the conversation
// (the names are those of smtp.Stage), with one sentence on what to do about it. What no
// rule knows is ClassOther; success is no trouble at all.
func Classify(reply mail.Reply, stage string) (mail.Class, string) {
	if reply.Code >= 200 && reply.Code < 400 {
		return mail.ClassNone, ""
	}
	class := mail.ClassOther
	if r := match(reply, stage); r != nil {
		class = r.class
	}
	return class, about[class].advice
}

func match(reply mail.Reply, stage string) *rule {
	code := fmt.Sprintf("%03d", max(reply.Code, 0))
	text := fold(reply.Text)
	all := rules()
	for i := range all {
		if all[i].fits(code, reply.Enhanced, stage, text) {
			return &all[i]
		}
	}
	return nil
}

// fold makes text comparable: lower case, any run of white space one space.
func fold(text string) string { return strings.Join(strings.Fields(strings.ToLower(text)), " ") }

func (r *rule) fits(code, enhanced, stage, text string) bool {
	if r.stage != "" && r.stage != stage || r.code != "" && !like(r.code, code) {
		return false
	}
	return r.fitsEnhanced(enhanced) && r.fitsWords(text)
}

// like compares a code with a pattern in which 'x' is any digit.
func like(pattern, code string) bool {
	if len(pattern) != len(code) {
		return false
	}
	for i := range len(code) {
		if pattern[i] != 'x' && pattern[i] != code[i] {
			return false
		}
	}
	return true
}

func (r *rule) fitsEnhanced(enhanced string) bool {
	if len(r.enhanced) == 0 {
		return true
	}
	for _, want := range r.enhanced {
		if enhanced == "" {
			if want == "none" {
				return true
			}
		} else if sameStatus(want, enhanced) {
			return true
		}
	}
	return false
}

// sameStatus compares an enhanced status with a pattern part by part; "x" is any.
func sameStatus(pattern, status string) bool {
	for {
		p, restP, moreP := strings.Cut(pattern, ".")
		s, restS, moreS := strings.Cut(status, ".")
		if p != "x" && p != s || moreP != moreS {
			return false
		}
		if !moreP {
			return true
		}
		pattern, status = restP, restS
	}
}

func (r *rule) fitsWords(text string) bool {
	if len(r.words) == 0 {
		return true
	}
	for _, pieces := range r.words {
		if inOrder(text, pieces) {
			return true
		}
	}
	return false
}

func inOrder(text string, pieces []string) bool {
	for _, piece := range pieces {
		at := strings.Index(text, piece)
		if at < 0 {
			return false
		}
		text = text[at+len(piece):]
	}
	return true
}

// parseRules reads rules.txt.
func parseRules(text string) ([]rule, error) {
	var all []rule
	for n, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		r, err := parseRule(line)
		if err != nil {
			return nil, fmt.Errorf("rules.txt:%d: %w", n+1, err)
		}
		r.line = n + 1
		all = append(all, r)
	}
	return all, nil
}

func parseRule(line string) (r rule, err error) {
	var column [4]string
	for i := range column {
		rest := ""
		column[i], rest, _ = strings.Cut(line, " ")
		line = strings.TrimSpace(rest)
	}
	if line == "" {
		return r, fmt.Errorf("five columns are needed")
	}
	r.class = mail.Class(column[0])
	if _, known := about[r.class]; !known {
		return r, fmt.Errorf("there is no class %q", column[0])
	}
	r.stage = given(column[1])
	if r.code = given(column[2]); r.code != "" && !isCode(r.code) {
		return r, fmt.Errorf("%q is not a code", r.code)
	}
	if e := given(column[3]); e != "" {
		r.enhanced = strings.Split(e, ",")
	}
	for _, e := range r.enhanced {
		if e != "none" && strings.Count(e, ".") != 2 {
			return r, fmt.Errorf("%q is not an enhanced status", e)
		}
	}
	if line == "-" {
		return r, nil
	}
	for alternative := range strings.SplitSeq(line, "|") {
		var pieces []string
		for piece := range strings.SplitSeq(alternative, "*") {
			if piece = fold(piece); piece == "" {
				return r, fmt.Errorf("empty words")
			}
			pieces = append(pieces, piece)
		}
		r.words = append(r.words, pieces)
	}
	return r, nil
}

func given(column string) string {
	if column == "-" {
		return ""
	}
	return column
}

func isCode(pattern string) bool {
	_, err := strconv.Atoi(strings.ReplaceAll(pattern, "x", "0"))
	return err == nil && len(pattern) == 3
}
