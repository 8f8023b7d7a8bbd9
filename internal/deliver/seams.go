package deliver

import (
	"context"
	"net/netip"
	"time"

	"github.com/postroad/postroad/internal/dkim"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

// Beginner is asked before anything is said to a site: see queue.Store.Begin. The
// queue is one; it gathers the questions of many sessions into one commit.
type Beginner interface {
	Begin(ctx context.Context, works []*mail.Work, site string) ([]Verdict, error)
}

// Verdict says whether a delivery may go on; if not, how its attempt ended.
type Verdict struct {
	Go      bool
	Outcome mail.Outcome // Untried (lost), OutcomeCancelled, OutcomeSuppressed, OutcomeExpired
}

// Contents gives the bytes of a message that are not at hand.
type Contents interface {
	Content(ctx context.Context, message int64) (mail.Content, error)
}

// Stamps gives the copy of a message for one delivery, with its own tokens: see tracking.Tokens.
type Stamps interface {
	Stamp(c mail.Content, marker string, delivery int64) mail.Content
}

// Keys gives what a message of a sending domain is signed with, and its return path.
type Keys interface {
	Signing(ctx context.Context, project int64, domain string) (project.Signing, error)
}

// ReturnPaths writes the signed token that tells a bounce's delivery:
// bounces+<token>@<host>.
type ReturnPaths interface {
	ReturnPath(host string, m *mail.Message, d *mail.Delivery) string
}

// Resolver looks up the addresses of a host, in the order they should be tried.
type Resolver interface {
	Addresses(ctx context.Context, host string) ([]netip.Addr, error)
}

// Guard says whether an address may be dialled: see route.Guard.
type Guard interface {
	Allow(addr netip.AddrPort) error
}

// Signer writes the DKIM-Signature fields of a content, each with its CRLF: see dkim.Sign.
type Signer func(content mail.Content, keys []dkim.Key, now time.Time) ([]byte, error)

// Classifier tells what kind of trouble a reply means at a stage of the conversation (the
// names are those of smtp.Stage), and one sentence of advice: see feedback.Classify.
type Classifier func(reply mail.Reply, stage string) (mail.Class, string)
