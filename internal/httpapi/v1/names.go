package v1

// nearest gives the known name closest to a mistyped one, "" when none is near enough:
// one change in up to five letters, two in longer names.
func nearest(name string, known []string) string {
	if len(name) > 40 {
		return ""
	}
	best, at := "", 3
	if len(name) <= 5 {
		at = 2
	}
	if len(name) < 3 {
		at = 1
	}
	for _, k := range known {
		if abs(len(k)-len(name)) >= at {
			continue
		}
		if d := distance(name, k); d < at {
			best, at = k, d
		}
	}
	return best
}

func abs(n int) int { return max(n, -n) }

// distance counts insertions, deletions, replacements and swaps of neighbours (optimal
// string alignment).
func distance(a, b string) int {
	var rows [3][64]int
	if len(b) >= len(rows[0]) {
		return len(b)
	}
	before, last, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
