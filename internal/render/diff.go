package render

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// PartDiff is how one part of a version differs from another's, as unified diff.
type PartDiff struct {
	Part   string // "subject", "html", "text", "preheader"
	Locale string
	Diff   string
}

// Diff tells what changed from one version to another; parts that did not are left out.
func (l *Library) Diff(ctx context.Context, t *Template, from, to int) ([]PartDiff, error) {
	a, err := l.store.TemplateVersion(ctx, t.Row, from)
	if err != nil {
		return nil, err
	}
	b, err := l.store.TemplateVersion(ctx, t.Row, to)
	if err != nil {
		return nil, err
	}
	locales := slices.Concat(a.locales(), b.locales())
	slices.Sort(locales)
	out := []PartDiff{}
	for _, locale := range slices.Compact(locales) {
		p, q := a.parts(locale), b.parts(locale)
		for _, part := range []struct{ name, a, b string }{{"subject", p.Subject, q.Subject}, {"preheader", p.Preheader, q.Preheader}, {"html", p.HTML, q.HTML}, {"text", p.Text, q.Text}} {
			if part.a == part.b {
				continue
			}
			name := part.name
			if locale != "" {
				name += " (" + locale + ")"
			}
			out = append(out, PartDiff{part.name, locale, unified(fmt.Sprintf("%s@%d %s", t.Alias, from, name), fmt.Sprintf("%s@%d %s", t.Alias, to, name), part.a, part.b)})
		}
	}
	return out, nil
}

const (
	around   = 3    // unchanged lines shown around changes
	maxEdits = 1000 // beyond, what differs is shown as replaced whole
)

// line is one of a diff: ' ' in both, '-' in the first only, '+' in the second only.
type line struct {
	kind byte
	text string
}

// unified writes a diff as diff -u does, "" when nothing differs.
func unified(nameA, nameB, a, b string) string {
	lines := compare(split(a), split(b))
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", nameA, nameB)
	atA, atB := 1, 1
	for i := 0; i < len(lines); {
		if lines[i].kind == ' ' {
			i, atA, atB = i+1, atA+1, atB+1
			continue
		}
		from, to := max(i-around, 0), hunkEnd(lines, i)
		back := i - from
		nA, nB := 0, 0
		for _, l := range lines[from:to] {
			if l.kind != '+' {
				nA++
			}
			if l.kind != '-' {
				nB++
			}
		}
		fmt.Fprintf(&out, "@@ -%s +%s @@\n", span(atA-back, nA), span(atB-back, nB))
		for _, l := range lines[from:to] {
			out.WriteByte(l.kind)
			out.WriteString(l.text)
			if !strings.HasSuffix(l.text, "\n") {
				out.WriteString("\n\\ No newline at end of file\n")
			}
		}
		atA, atB, i = atA-back+nA, atB-back+nB, to
	}
	return out.String()
}

// span is "from,count"; an empty one names the line before it.
func span(from, count int) string {
	if count == 0 {
		from--
	}
	return fmt.Sprintf("%d,%d", from, count)
}

// hunkEnd is where the changes that begin at i end, with what is shown around them.
func hunkEnd(lines []line, i int) int {
	same := 0
	for ; i < len(lines); i++ {
		if lines[i].kind != ' ' {
			same = 0
		} else if same++; same > 2*around {
			return i - around
		}
	}
	return len(lines) - max(same-around, 0)
}

func split(s string) []string {
	if s == "" {
		return nil
	}
	lines := strings.SplitAfter(s, "\n")
	if last := len(lines) - 1; lines[last] == "" {
		lines = lines[:last]
	}
	return lines
}

// compare finds a shortest way from a to b (E. Myers, An O(ND) Difference Algorithm, 1986).
func compare(a, b []string) []line {
	var head, tail []line
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		head, a, b = append(head, line{' ', a[0]}), a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		tail, a, b = append(tail, line{' ', a[len(a)-1]}), a[:len(a)-1], b[:len(b)-1]
	}
	slices.Reverse(tail)
	return slices.Concat(head, edit(a, b), tail)
}

// edit goes forward along the diagonals, keeping where each round came to, then back.
func edit(a, b []string) []line {
	most := min(len(a)+len(b), maxEdits)
	reach := make([]int, 2*most+3) // furthest x on diagonal k, at k+most+1
	mid := most + 1
	var rounds [][]int
	for d := 0; d <= most; d++ {
		rounds = append(rounds, slices.Clone(reach[mid-d-1:mid+d+2]))
		for k := -d; k <= d; k += 2 {
			x := reach[mid+k-1] + 1
			if k == -d || k != d && reach[mid+k-1] < reach[mid+k+1] {
				x = reach[mid+k+1]
			}
			for x < len(a) && x-k < len(b) && a[x] == b[x-k] {
				x++
			}
			reach[mid+k] = x
			if x >= len(a) && x-k >= len(b) {
				return back(a, b, rounds)
			}
		}
	}
	var out []line
	for _, s := range a {
		out = append(out, line{'-', s})
	}
	for _, s := range b {
		out = append(out, line{'+', s})
	}
	return out
}

// back walks from the end to the beginning by what each round had reached before it.
func back(a, b []string, rounds [][]int) []line {
	var out []line
	x, y := len(a), len(b)
	for d := len(rounds) - 1; d >= 0; d-- {
		reach, mid := rounds[d], d+1
		k := x - y
		before := k - 1
		if k == -d || k != d && reach[mid+k-1] < reach[mid+k+1] {
			before = k + 1
		}
		fromX := reach[mid+before]
		fromY := fromX - before
		for x > fromX && y > fromY && x > 0 && y > 0 {
			x, y = x-1, y-1
			out = append(out, line{' ', a[x]})
		}
		if d == 0 {
			break
		}
		if x == fromX {
			y--
			out = append(out, line{'+', b[y]})
		} else {
			x--
			out = append(out, line{'-', a[x]})
		}
	}
	slices.Reverse(out)
	return out
}
