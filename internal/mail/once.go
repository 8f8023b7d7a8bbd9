package mail

import "time"

// Once makes a write happen once however often it is asked for: its row commits with
// what it guards. The key is unique within owner and route.
type Once struct {
	Owner       Owner
	Route       string // method and route pattern, e.g. "POST /v1/messages"; with path parameters filled in
	Key         string // 1–256 printable ASCII characters
	Fingerprint [32]byte
	RequestID   string
	Created     time.Time
	Expires     time.Time
}

// Answer is what the first request of a key was told, byte for byte.
type Answer struct {
	Status      int
	Location    string // of what was made; may be empty
	Body        []byte
	RequestID   string // of the request that did the work
	Fingerprint [32]byte
	Expires     time.Time
}

// Replayed is the error of a write whose key was used before: nothing was written.
// The caller compares fingerprints and shows Answer, or says that the key is reused.
type Replayed struct{ Answer Answer }

func (*Replayed) Error() string { return "this idempotency key was used before" }
