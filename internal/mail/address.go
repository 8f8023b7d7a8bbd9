package mail

import (
	"errors"
	"strings"
)

// Address is a mailbox: what stands in a header, and where mail goes.
type Address struct {
	Name  string // display name, decoded; may be empty
	Email string // addr-spec: local part as written, '@', domain in ASCII lower case (IDNA A-labels)
}

// ErrBadAddress says that a text is not a mailbox.
var ErrBadAddress = errors.New("not an e-mail address")

// Domain is the part of the address after the last '@'.
func (a Address) Domain() string { return a.Email[strings.LastIndexByte(a.Email, '@')+1:] }

// Local is the part of the address before the last '@'.
func (a Address) Local() string { return a.Email[:max(strings.LastIndexByte(a.Email, '@'), 0)] }
