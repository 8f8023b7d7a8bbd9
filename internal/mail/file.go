package mail

import "time"

// File is a hosted attachment: we keep the bytes apart from the message and mail a link
// to them. It belongs to one message and goes with it, or when the link expires.
type File struct {
	ID          ID
	Owner       Owner
	Message     int64 // row
	Filename    string
	ContentType string
	Size        int64
	SHA256      [32]byte
	CreatedAt   time.Time
	ExpiresAt   time.Time // from then on the link is dead and the bytes may be gone
}
