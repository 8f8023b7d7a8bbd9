package dkim

import "crypto"

// Key signs for one domain. At most one of each algorithm is used on a message.
type Key struct {
	Domain, Selector string
	Signer           crypto.Signer // *rsa.PrivateKey or ed25519.PrivateKey
}
