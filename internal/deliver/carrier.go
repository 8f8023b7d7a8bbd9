package deliver

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"time"

	"github.com/postroad/postroad/internal/lane"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/route"
	"github.com/postroad/postroad/internal/smtp"
)

// Options of a [Carrier]. Begin, Resolver and Hostname are needed; the rest has defaults.
type Options struct {
	Hostname string // EHLO of sources without a name, and return path of domains without one
	Port     uint16 // where mail exchangers listen; 0 = 25
	Timeouts smtp.Timeouts
	// ConnectLimit bounds the search for a host that talks to us; 0 = 2 min. A host that
	// accepts the connection and then is slow keeps its own time-outs.
	ConnectLimit time.Duration
	// Forget is for how long an address that failed is passed over while there are others;
	// 0 = 60 s.
	Forget time.Duration

	Begin       Beginner
	Resolver    Resolver
	Guard       Guard       // nil: every address may be dialled
	Stamps      Stamps      // nil: messages with placeholders wait
	Contents    Contents    // nil: works bring their content
	Keys        Keys        // nil: nothing is signed
	Sign        Signer      // nil: nothing is signed
	ReturnPaths ReturnPaths // nil: the From address is the return path
	Classify    Classifier  // nil: everything is mail.ClassOther

	RootCAs *x509.CertPool // nil: the system's
	Now     func() time.Time
	Log     *slog.Logger
}

// Carrier opens SMTP sessions. It is a [lane.Carrier], safe for concurrent use.
type Carrier struct {
	o      Options
	tls    *tls.Config
	failed *memory
}

var _ lane.Carrier = (*Carrier)(nil)

// New makes a carrier.
func New(o Options) *Carrier {
	o.Port = cmp.Or(o.Port, 25)
	o.ConnectLimit = cmp.Or(o.ConnectLimit, 2*time.Minute)
	o.Forget = cmp.Or(o.Forget, time.Minute)
	o.Timeouts = o.Timeouts.OrDefaults()
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Classify == nil {
		o.Classify = func(mail.Reply, string) (mail.Class, string) { return mail.ClassOther, "" }
	}
	return &Carrier{
		o:      o,
		tls:    &tls.Config{RootCAs: o.RootCAs, ClientSessionCache: tls.NewLRUClientSessionCache(512), Time: o.Now},
		failed: newMemory(o.Forget),
	}
}

// Session gives a session for jobs of a lane. It connects when its first job comes.
func (c *Carrier) Session(_ lane.Key, _ *route.Route) lane.Session {
	return &session{carrier: c}
}
