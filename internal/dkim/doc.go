// Package dkim signs messages (RFC 6376, and RFC 8463 for Ed25519). [Sign] gives the
// DKIM-Signature fields that go before a message, one for each [Key]; the body is read
// and hashed once for all of them. Header and body are canonicalised "relaxed".
// [PublicRecord] is what the DNS says of a key.
package dkim
