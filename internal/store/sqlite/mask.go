package sqlite

import "strings"

// mask takes an address out of texts: of JSON as we write it, and of replies and
// transcripts inside it. Letters of ASCII are compared without case.
type mask struct {
	needles []string // lower case, as they stand in JSON
	token   string
}

// newMask masks one address in all the ways it was written.
func newMask(token string, written ...string) mask {
	m := mask{token: token}
	for _, w := range written {
		if w == "" {
			continue
		}
		in := quoted(w)
		m.add(in[1 : len(in)-1])
		m.add(w) // replies quote what they were told
	}
	return m
}

func (m *mask) add(needle string) {
	needle = lowerASCII(needle)
	for _, known := range m.needles {
		if known == needle {
			return
		}
	}
	m.needles = append(m.needles, needle)
}

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// over gives the text without the address, and whether it was in it.
func (m *mask) over(text string) (string, bool) {
	found := false
	for _, needle := range m.needles {
		var out strings.Builder
		rest := 0
		for at := m.next(text, needle, 0); at >= 0; at = m.next(text, needle, rest) {
			out.WriteString(text[rest:at])
			out.WriteString(m.token)
			rest, found = at+len(needle), true
		}
		if rest > 0 {
			out.WriteString(text[rest:])
			text = out.String()
		}
	}
	return text, found
}

// next finds the needle where it is an address of its own: "ada@one.test" is not in
// "nevada@one.test", nor in "ada@one.test.example".
func (m *mask) next(text, needle string, from int) int {
	for at := from; at+len(needle) <= len(text); at++ {
		end := at + len(needle)
		if equalFoldASCII(text[at:end], needle) && (at == 0 || !inLocal(text[at-1])) && !continues(text[end:]) {
			return at
		}
	}
	return -1
}

func equalFoldASCII(s, lower string) bool {
	for i := range len(lower) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// inLocal tells whether a character would belong to the local part behind it. '=' is left
// out although it may: "TO:" and "recipient=" come before addresses more often than that.
func inLocal(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80 || strings.IndexByte("._+-!#$%&*^{|}~", c) >= 0
}

// continues tells whether the domain goes on.
func continues(rest string) bool {
	letter := func(i int) bool {
		return i < len(rest) && (rest[i] >= 'a' && rest[i] <= 'z' || rest[i] >= 'A' && rest[i] <= 'Z' || rest[i] >= '0' && rest[i] <= '9' || rest[i] == '-')
	}
	return letter(0) || rest != "" && rest[0] == '.' && letter(1)
}
