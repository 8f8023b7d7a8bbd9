package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// secretPrefix marks a secret of Standard Webhooks; what follows is its key in base64.
const secretPrefix = "whsec_"

// NewSecret makes a secret of 32 random bytes, as Standard Webhooks writes them.
func NewSecret() string {
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails (crypto/rand since Go 1.24)
	return secretPrefix + base64.StdEncoding.EncodeToString(key[:])
}

// NewHyvorSecret makes a secret as the Hyvor dialect shows them: 32 hexadecimal digits,
// whose ASCII bytes are the key.
func NewHyvorSecret() string {
	var key [16]byte
	_, _ = rand.Read(key[:])
	return hex.EncodeToString(key[:])
}

// keyOf is what a secret signs with: the bytes its base64 stands for, or of any other
// secret its own bytes.
func keyOf(secret string) []byte {
	if text, ok := strings.CutPrefix(secret, secretPrefix); ok {
		if key, err := base64.StdEncoding.DecodeString(text); err == nil {
			return key
		}
	}
	return []byte(secret)
}

// Signature is the value of webhook-signature (Standard Webhooks 1.0): over
// "id.seconds.body", one signature for each secret, so that a receiver which knows any of
// them agrees. id has no '.'.
func Signature(id string, at time.Time, body []byte, secrets ...string) string {
	head := make([]byte, 0, len(id)+14)
	head = append(append(head, id...), '.')
	head = append(strconv.AppendInt(head, at.Unix(), 10), '.')
	var out []byte
	for i, secret := range secrets {
		mac := hmac.New(sha256.New, keyOf(secret))
		mac.Write(head)
		mac.Write(body)
		if i > 0 {
			out = append(out, ' ')
		}
		out = base64.StdEncoding.AppendEncode(append(out, "v1,"...), mac.Sum(nil))
	}
	return string(out)
}

// HyvorSignature is the value of X-Signature: lower-case hex over the body alone, keyed
// with the secret as it is shown.
func HyvorSignature(body []byte, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}
