package httpapi

import (
	"cmp"
	"slices"
)

// Code is what the code of a problem always means.
type Code struct {
	Code, Title string
	Status      int
	Retry       bool // the same request may help, later
}

// Codes are all that answers may have, by status.
func Codes() []Code {
	out := make([]Code, 0, len(kinds))
	for code, k := range kinds {
		out = append(out, Code{code, k.title, k.status, k.retry})
	}
	slices.SortFunc(out, func(a, b Code) int { return cmp.Or(a.Status-b.Status, cmp.Compare(a.Code, b.Code)) })
	return out
}
