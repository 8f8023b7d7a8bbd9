package v1

import (
	"context"
	"slices"
	"strings"
)

// maxTotal is how far a list is counted: to say "more" costs no more than this.
const maxTotal = 10_000

// totalOut is how many entries a list has, on all its pages.
type totalOut struct {
	Count int `json:"count"`
	// Estimate: there are at least so many. Counting ends at 10,000, and for messages
	// after a second.
	Estimate bool `json:"estimate"`
}

// counter counts a list's entries, at most as many as asked for. whole is false when it
// gave up before.
type counter func(ctx context.Context, most int) (n int, whole bool, err error)

// allOf counts what is all there.
func allOf(n int) counter {
	return func(context.Context, int) (int, bool, error) { return n, true, nil }
}

// counting counts by reading: for lists whose entries are small and few.
func counting[T any](read func(ctx context.Context, most int) ([]T, error)) counter {
	return func(ctx context.Context, most int) (int, bool, error) {
		all, err := read(ctx, most)
		return len(all), true, err
	}
}

// total is nil unless it was asked for.
func (l *listing) total(count counter) (*totalOut, error) {
	if !l.includes("total") {
		return nil, nil
	}
	n, whole, err := count(l.c.Context(), maxTotal+1)
	if err != nil {
		return nil, err
	}
	return &totalOut{min(n, maxTotal), !whole || n > maxTotal}, nil
}

// readIncluded reads include=, which may be repeated and hold several names. One that
// cannot be included here is a fault: to leave it out would look like an answer.
func (l *listing) readIncluded() {
	for _, v := range l.q["include"] {
		for name := range strings.SplitSeq(v, ",") {
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			if !slices.Contains(l.may, name) {
				message := "Nothing can be included here."
				if len(l.may) > 0 {
					message = "Here 'include' may be '" + strings.Join(l.may, "', '") + "', or several of them with commas."
				}
				l.invalid("include", message)
				return
			}
			l.included = append(l.included, name)
		}
	}
}

func (l *listing) includes(name string) bool { return slices.Contains(l.included, name) }
