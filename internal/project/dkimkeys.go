package project

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// The algorithms keys are made with. An imported RSA key of another length is called by
// it, e.g. "rsa1024".
const (
	RSA2048 = "rsa2048"
	Ed25519 = "ed25519"
)

// What a key is there for:
//
//	pending ─▶ active ─▶ retired ─▶ forgotten
//	   ▲─────────┘  ▲───────┘
//
// A key becomes active when its record is found, or by order; of each kind, RSA and
// Ed25519, one at a time is. It goes back to pending when its record vanished and the
// domain does without, or has failed. Another key that became active retires it; an
// order can take that back until its private key is thrown away.
const (
	KeyPending = "pending" // its record was not found yet; signs nothing
	KeyActive  = "active"  // signs
	KeyRetired = "retired" // signs nothing any more; its record may go after KeepUntil
)

const (
	minBits = 1024 // what a receiver must verify, RFC 8301 §3.2
	maxBits = 4096 // what its record and its price allow
)

// Sealer keeps private keys secret at rest: see seal.Ring.
type Sealer interface {
	Seal(plain []byte, label string) []byte
	Open(sealed []byte, label string) ([]byte, error)
}

// isRSA tells whether a key is one that every receiver verifies.
func (k *DKIMKey) isRSA() bool { return strings.HasPrefix(k.Algorithm, "rsa") }

// Record is the text of the key's DNS record (RFC 6376 §3.6.1, RFC 8463 §4).
func (k *DKIMKey) Record() string {
	kind := "ed25519"
	if k.isRSA() {
		kind = "rsa"
	}
	return "v=DKIM1; k=" + kind + "; p=" + base64.StdEncoding.EncodeToString(k.Public)
}

// PKIX is the public key in the form of RFC 5280 §4.1.2.7, as PEM files hold it.
func (k *DKIMKey) PKIX() []byte {
	if k.isRSA() {
		return k.Public
	}
	der, err := x509.MarshalPKIXPublicKey(ed25519.PublicKey(k.Public))
	if err != nil { // a key of 32 bytes: it cannot fail
		return nil
	}
	return der
}

// signer opens the private key and makes it ready to sign fast.
func (k *DKIMKey) signer(ring Sealer, domain string) (crypto.Signer, error) {
	der, err := ring.Open(k.Sealed, sealLabel(domain, k.Selector))
	if err != nil {
		return nil, fmt.Errorf("open DKIM key %s of %s: %w", k.Selector, domain, err)
	}
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("read DKIM key %s of %s: %w", k.Selector, domain, err)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("DKIM key %s of %s cannot sign", k.Selector, domain)
	}
	if key, ok := private.(*rsa.PrivateKey); ok {
		key.Precompute()
	}
	return signer, nil
}

func sealLabel(domain, selector string) string {
	return "dkim private key " + selector + " of " + domain
}

// newDKIMKey keeps a private key, sealed.
func newDKIMKey(ring Sealer, domain, selector string, private crypto.Signer, now time.Time) (DKIMKey, error) {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return DKIMKey{}, fmt.Errorf("write a DKIM key: %w", err)
	}
	k := DKIMKey{Selector: selector, State: KeyPending, CreatedAt: now, Sealed: ring.Seal(der, sealLabel(domain, selector))}
	switch public := private.Public().(type) {
	case *rsa.PublicKey:
		k.Algorithm = fmt.Sprintf("rsa%d", public.N.BitLen())
		if k.Public, err = x509.MarshalPKIXPublicKey(public); err != nil {
			return DKIMKey{}, fmt.Errorf("write a DKIM key: %w", err)
		}
	case ed25519.PublicKey:
		k.Algorithm, k.Public = Ed25519, public
	default:
		return DKIMKey{}, fmt.Errorf("DKIM does not know keys like %T", public)
	}
	return k, nil
}

// generating lets one RSA key be made at a time: that takes most of a second of a whole
// core, which the mail needs.
var generating = make(chan struct{}, 1)

func generate(ctx context.Context, algorithm string) (crypto.Signer, error) {
	if algorithm == Ed25519 {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	select {
	case generating <- struct{}{}:
		defer func() { <-generating }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return rsa.GenerateKey(rand.Reader, 2048)
}

const badKey = "The provided DKIM private key is invalid or poorly formatted."

// readPEM reads a private key as customers bring it: PKCS #8 or PKCS #1, not encrypted,
// RSA of at least 1024 bits or Ed25519. The fault has no field yet.
func readPEM(text string) (crypto.Signer, *mail.Error) {
	// JSON written by hand often has its line ends escaped once too often.
	text = strings.ReplaceAll(strings.TrimSpace(text), `\n`, "\n")
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, &mail.Error{Code: "invalid_value", Message: badKey + " Send it in PEM form, from -----BEGIN PRIVATE KEY----- to the end line."}
	}
	if strings.Contains(block.Type, "ENCRYPTED") || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
		return nil, &mail.Error{Code: "invalid_value", Message: badKey + " It is encrypted: send it without a passphrase."}
	}
	private, err := parseKey(block)
	if err != nil {
		return nil, &mail.Error{Code: "invalid_value", Message: badKey}
	}
	switch private := private.(type) {
	case ed25519.PrivateKey:
		return private, nil
	case *rsa.PrivateKey:
		return judgeRSA(private)
	}
	return nil, &mail.Error{Code: "invalid_value", Message: badKey + " DKIM uses RSA and Ed25519 keys."}
}

func parseKey(block *pem.Block) (any, error) {
	if private, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		return private, nil
	}
	if private, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return private, nil
	}
	return nil, errors.New("neither PKCS #8 nor PKCS #1")
}

func judgeRSA(private *rsa.PrivateKey) (crypto.Signer, *mail.Error) {
	bits := private.N.BitLen()
	if bits < minBits {
		return nil, &mail.Error{Code: "invalid_value", Message: fmt.Sprintf("The private key is too weak (%d bits). Minimum %d bits required.", bits, minBits)}
	}
	if bits > maxBits {
		return nil, &mail.Error{Code: "invalid_value", Message: fmt.Sprintf("The private key is too long (%d bits). At most %d bits fit into a DNS record that every receiver reads.", bits, maxBits)}
	}
	if private.Validate() != nil {
		return nil, &mail.Error{Code: "invalid_value", Message: badKey}
	}
	return private, nil
}
