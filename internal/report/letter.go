package report

import (
	"net/netip"
	"time"
)

// Letter is one mail as the inbound door took it in.
type Letter struct {
	From    string   // MAIL FROM; "" is the null sender of reports (RFC 5321 §4.5.5)
	To      []string // RCPT TO, each welcomed before
	Client  netip.Addr
	Helo    string
	Arrived time.Time
	// Content is how the mail begins, at most [MaxContent] octets, lines as they came.
	Content []byte
	Size    int64 // octets of the whole mail; more than len(Content): the rest was not kept
}

// MaxContent is how much of a mail is looked at. What a report says stands before the
// message it returns (RFC 6522 §3), so this is ample.
const MaxContent = 1 << 20
