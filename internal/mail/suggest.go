package mail

import "strings"

// The domains people most often mean when they mistype one. The first of two equally
// near ones is suggested.
var knownDomains = [...]string{
	"gmail.com", "example.com", "outlook.com", "hotmail.com", "yahoo.com", "icloud.com", "live.com", "proton.me",
	"protonmail.com", "aol.com", "gmx.net", "gmx.de", "web.de", "mail.com", "msn.com", "yandex.com", "googlemail.com",
	"t-online.de", "fastmail.com", "zoho.com", "me.com", "comcast.net", "orange.fr", "hotmail.co.uk", "yahoo.co.uk",
}

// Domains that exist or could, but that nobody means.
var typos = map[string]string{
	"gmial.com": "gmail.com", "gmai.com": "gmail.com", "gamil.com": "gmail.com", "gmal.com": "gmail.com",
	"gnail.com": "gmail.com", "gmaill.com": "gmail.com", "gmail.co": "gmail.com", "gmail.cm": "gmail.com",
	"gmail.con": "gmail.com", "gmail.cmo": "gmail.com", "gmail.om": "gmail.com", "gmil.com": "gmail.com",
	"hotmial.com": "hotmail.com", "hotmai.com": "hotmail.com", "hotmal.com": "hotmail.com", "hotnail.com": "hotmail.com",
	"hotmail.con": "hotmail.com", "hotmail.co": "hotmail.com", "homail.com": "hotmail.com",
	"yaho.com": "yahoo.com", "yahooo.com": "yahoo.com", "yhaoo.com": "yahoo.com", "yahoo.con": "yahoo.com",
	"yahoo.co": "yahoo.com", "yaoo.com": "yahoo.com",
	"outlok.com": "outlook.com", "outloook.com": "outlook.com", "outlook.con": "outlook.com", "outlook.co": "outlook.com",
	"iclod.com": "icloud.com", "icloud.con": "icloud.com", "icoud.com": "icloud.com", "icloud.co": "icloud.com",
	"exmaple.com": "example.com", "protonmail.con": "protonmail.com", "googlemail.con": "googlemail.com",
}

// SuggestAddress gives what was probably meant by an address that is well formed but
// whose domain looks mistyped ("ada@gmial.com"), else "".
func SuggestAddress(email string) string {
	a := Address{Email: email}
	if meant, ok := typos[a.Domain()]; ok {
		return a.Local() + "@" + meant
	}
	return ""
}

// suggestDomain mends a domain that was refused: the top forgotten ("ada@gmail"), a
// trailing dot, a comma for a dot, or letters swapped ("ada@exmaple").
func suggestDomain(local, domain string) string {
	if len(domain) > maxLabel || len(local) > maxLocal {
		return ""
	}
	domain = strings.ToLower(strings.Trim(domain, ". \t"))
	if strings.HasPrefix(domain, "[") {
		return ""
	}
	if fixed := strings.NewReplacer(",", ".", "..", ".", "_", "-").Replace(domain); ValidDomain(fixed) {
		return local + "@" + fixed
	}
	if meant := nearest(domain); meant != "" {
		return local + "@" + meant
	}
	return ""
}

// suggestAt finds a forgotten '@' before a known domain: "ada.gmail.com".
func suggestAt(s string) string {
	s = strings.ToLower(s)
	for _, known := range knownDomains {
		if local, ok := strings.CutSuffix(s, known); ok {
			if local = strings.TrimRight(local, ". "); isDotAtom(local) && len(local) <= maxLocal {
				return local + "@" + known
			}
		}
	}
	return ""
}

// nearest gives the known domain at most two edits away, with or without its top.
func nearest(domain string) string {
	best, distance := "", 3
	for _, known := range knownDomains {
		name, _, _ := strings.Cut(known, ".")
		for _, candidate := range [...]string{known, name} {
			// Two edits in a name of four letters would make anything like anything.
			if d := edits(domain, candidate); d < distance && (d <= 1 || len(candidate) >= 6) {
				best, distance = known, d
			}
		}
	}
	return best
}

// NearestName gives the name closest to a mistyped one: at most one edit away in short names,
// two in longer ones; "" when none is.
func NearestName(name string, known []string) string {
	best, distance := "", 3
	for _, k := range known {
		if d := edits(name, k); d < distance && d > 0 && (d == 1 || len(name) > 5) {
			best, distance = k, d
		}
	}
	return best
}

// edits counts insertions, deletions, substitutions and swaps of neighbours between
// two short texts (optimal string alignment).
func edits(a, b string) int {
	if d := len(a) - len(b); d > 2 || d < -2 {
		return 3
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(row[j-1]+1, last[j]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// NearestWord gives the known word that was probably meant by a longer or stranger one than
// [NearestName] takes: a third of its letters, and at least two, may be wrong; "" when none is
// so near.
func NearestWord(word string, known []string) string {
	best, least := "", max(2, len(word)/3)+1
	for _, k := range known {
		if d := changes(word, k); d < least {
			best, least = k, d
		}
	}
	return best
}

// changes counts insertions, deletions and substitutions (Levenshtein); of what is much too
// long it is too many.
func changes(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
