package render

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestADiffReadsAsOneOfDiffU(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ a, b, want string }{
		{"a\nb\nc\n", "a\nB\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"},
		{"", "x\n", "@@ -0,0 +1,1 @@\n+x\n"},
		{"x\n", "", "@@ -1,1 +0,0 @@\n-x\n"},
		{"x", "x\n", "@@ -1,1 +1,1 @@\n-x\n\\ No newline at end of file\n+x\n"},
		{"1\n2\n3\n4\n5\n6\n7\n8\n9\n", "0\n1\n2\n3\n4\n5\n6\n7\n8\n", "@@ -1,3 +1,4 @@\n+0\n 1\n 2\n 3\n@@ -6,4 +7,3 @@\n 6\n 7\n 8\n-9\n"},
		{"1\n2\n3\n4\n5\n6\n7\n8\n", "x\n2\n3\n4\n5\n6\n7\ny\n", "@@ -1,8 +1,8 @@\n-1\n+x\n 2\n 3\n 4\n 5\n 6\n 7\n-8\n+y\n"},
	} {
		if got := unified("A", "B", c.a, c.b); got != "--- A\n+++ B\n"+c.want {
			t.Errorf("%q to %q:\n%s", c.a, c.b, got)
		}
	}
}

// What is kept and removed is the first text, what is kept and added the second; and no
// shorter way is missed where texts are short.
func TestADiffLeadsFromOneTextToTheOther(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	text := func() (out []string) {
		for range random.IntN(30) {
			out = append(out, []string{"a\n", "b\n", "c\n", "\n"}[random.IntN(4)])
		}
		return out
	}
	for range 2000 {
		a, b := text(), text()
		var first, second []string
		edits := 0
		for _, l := range compare(a, b) {
			if l.kind != '+' {
				first = append(first, l.text)
			}
			if l.kind != '-' {
				second = append(second, l.text)
			}
			if l.kind != ' ' {
				edits++
			}
		}
		if strings.Join(first, "") != strings.Join(a, "") || strings.Join(second, "") != strings.Join(b, "") {
			t.Fatalf("%q to %q gives %q to %q", a, b, first, second)
		}
		if least := len(a) + len(b) - 2*common(a, b); edits != least {
			t.Fatalf("%q to %q takes %d edits, %d would do", a, b, edits, least)
		}
	}
}

// common is the length of the longest common subsequence, the slow way.
func common(a, b []string) int {
	row := make([]int, len(b)+1)
	for _, x := range a {
		before := 0
		for j, y := range b {
			old := row[j+1]
			if x == y {
				row[j+1] = before + 1
			} else {
				row[j+1] = max(row[j+1], row[j])
			}
			before = old
		}
	}
	return row[len(b)]
}

func TestTextsThatHaveNothingInCommonAreDiffedInTime(t *testing.T) {
	t.Parallel()
	a, b := strings.Repeat("a\n", 100_000), strings.Repeat("b\n", 100_000)
	if got := unified("A", "B", a, b); strings.Count(got, "\n-a") != 100_000 || strings.Count(got, "\n+b") != 100_000 {
		t.Error("not all of it")
	}
}
