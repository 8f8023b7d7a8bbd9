package project

import "github.com/postroad/postroad/internal/dkim"

// Signing is how mail of one sending domain leaves.
type Signing struct {
	Keys       []dkim.Key // at most one of each algorithm; none: unsigned
	ReturnPath string     // host of the envelope sender; "" = the operator's
	RequireTLS bool
}
