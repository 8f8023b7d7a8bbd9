package project

import "github.com/postroad/postroad/internal/mail"

// Principal is the caller of one request, after authentication.
type Principal struct {
	Owner   mail.Owner
	Project *Project // shared: do not change
	Key     *Key     // shared: do not change
	IP      string

	meters meters  // found by authentication; Limits looks them up where they are missing
	use    *keyUse // likewise; nil where nobody notes uses
}

// By names the principal in events and audits: "key_k7f2q9xm".
func (p Principal) By() string {
	if p.Key == nil {
		return ""
	}
	return mail.PrefixKey + "_" + p.Key.ID
}
