// Package project knows who may send, and as which domains.
//
// [Access] answers for every request: [Access.Authenticate] finds the key behind a
// bearer secret and gives a [Principal]; scopes, sender and address restrictions and
// rate limits hang on it. It makes, changes and revokes keys too.
//
// [Domains] keeps the sending domains. [Domains.Create] makes one with its DKIM keys,
// sealed at rest; [Domains.Records] tells what its zone must have; [Domains.Verify] and,
// when it is time, [Domains.Run] ask the zone's name servers, judge what is published
// (check.go asks; diagnose.go, spf.go, dmarc.go and misplaced.go judge and find the words)
// and move the status (verify.go has the drawing's rules; a name server that is down moves
// nothing). [Domains.Rotate] makes a key that follows another once its record is found,
// [Domains.Activate] does that by order; [Domains.Export] writes the records for a
// provider; [Domains.Health] tells how its live mail fared. A check counts in a domain's Revision, an owner's change in its Version too:
// the ETag.
//
// On the way of each message there are only [Domains.Domain], when it is accepted, and
// [Domains.Signing], when it leaves: both answer from memory.
package project
