package deliver

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/postroad/postroad/internal/lane"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/route"
	"github.com/postroad/postroad/internal/smtp"
)

// ownFaultWait is how long a job waits at least after a fault of ours, so that a store or a
// key that fails is not asked again at once.
const ownFaultWait = 30 * time.Second

// session is one connection at a time, made when it is needed. See [lane.Session].
type session struct {
	carrier *Carrier
	client  *smtp.Client // nil: not connected
	peer    peer
	carried int // transactions over this connection
	log     smtp.Transcript
	tx      smtp.Transaction

	mxOf *route.Route // the route mx was made from
	mx   []string
}

// Reusable tells whether another job can be carried without connecting first.
func (s *session) Reusable() bool { return s.client != nil && s.client.Usable() }

// Close takes leave.
func (s *session) Close() {
	if s.client != nil {
		s.client.Log = nil
		s.client.Quit()
		s.client = nil
	}
}

// trip is one job being carried.
type trip struct {
	s        *session
	job      *lane.Job
	began    time.Time
	attempts []mail.Attempt
	open     []int // indexes of the works that have no outcome yet
	begun    bool
	hunt     *hunt
	dns      time.Duration
	signing  project.Signing
	content  mail.Content
	utf8     bool // the header needs SMTPUTF8
	signed   []string
}

// Carry tries a job: see [lane.Session].
func (s *session) Carry(ctx context.Context, soft <-chan struct{}, job *lane.Job) []mail.Attempt {
	if job.Message.Stamp != "" && len(job.Works) > 1 {
		return s.carryApart(ctx, soft, job)
	}
	t := s.newTrip(job)
	if t.setOut(ctx, soft) {
		t.handOver(ctx, soft)
	}
	return t.finish()
}

// carryApart carries a message whose copies differ: one transaction for each recipient,
// over one connection. When there is no connection to be had, that is so for all that are left.
func (s *session) carryApart(ctx context.Context, soft <-chan struct{}, job *lane.Job) []mail.Attempt {
	attempts := make([]mail.Attempt, 0, len(job.Works))
	for len(attempts) < len(job.Works) {
		rest := *job
		rest.Works = job.Works[len(attempts):]
		t := s.newTrip(&rest)
		if t.setOut(ctx, soft) {
			t.narrow()
			t.handOver(ctx, soft)
		}
		attempts = append(attempts, t.finish()...)
	}
	return attempts
}

func (s *session) newTrip(job *lane.Job) *trip {
	t := &trip{
		s: s, job: job, began: s.carrier.o.Now(),
		attempts: make([]mail.Attempt, len(job.Works)), open: make([]int, len(job.Works)),
	}
	for i := range t.open {
		t.open[i] = i
	}
	s.log.Start(time.Now())
	if s.client != nil {
		s.client.Log = &s.log
	}
	return t
}

// narrow leaves the others of a trip for the next ones.
func (t *trip) narrow() {
	t.job.Works, t.attempts, t.open = t.job.Works[:1:1], t.attempts[:1:1], t.open[:1:1]
}

// setOut gets a connection. When it gives false it has decided about all works.
func (t *trip) setOut(ctx context.Context, soft <-chan struct{}) bool {
	return !stopped(ctx, soft) && !t.expired() && t.keys(ctx) && t.ready(ctx, soft)
}

// handOver is the rest of the trip, step by step; a step that gives false has decided
// about all works.
func (t *trip) handOver(ctx context.Context, soft <-chan struct{}) {
	if t.compose(ctx) && t.begin(ctx) && t.fits() {
		t.send(ctx, soft)
	}
}

// stopped tells whether nothing new may begin.
func stopped(ctx context.Context, soft <-chan struct{}) bool {
	if ctx.Err() != nil {
		return true
	}
	select {
	case <-soft:
		return true
	default:
		return false
	}
}

// expired ends a job whose message's time passed.
func (t *trip) expired() bool {
	until := t.job.Message.ExpiresAt
	if until.IsZero() || t.began.Before(until) {
		return false
	}
	t.all(mail.OutcomeExpired, trouble{reply: mail.Reply{Text: "its expiry passed before it could be sent"}})
	return true
}

// keys asks how the sending domain signs. A domain that is not kept (any more) does not.
func (t *trip) keys(ctx context.Context) bool {
	c := t.s.carrier
	if c.o.Keys == nil {
		return true
	}
	signing, err := c.o.Keys.Signing(ctx, t.job.Message.Owner.Project, t.job.Message.SendingDomain())
	if err != nil && !errors.Is(err, mail.ErrNotFound) {
		return t.ours("look up the signing keys", err)
	}
	t.signing = signing
	return true
}

// ready makes sure that there is a connection. Without one all works are deferred: the attempt
// was made, so it is begun all the same.
func (t *trip) ready(ctx context.Context, soft <-chan struct{}) bool {
	s := t.s
	required := t.job.Route.TLS == route.Required || t.signing.RequireTLS
	if s.client != nil && required && (s.client.TLS() == nil || !s.client.TLS().Verified) {
		s.log.Note("this message requires TLS with a good certificate, which this connection does not have")
		s.Close()
	}
	if s.client != nil && !leadsTo(t.job.Route, s.peer.host) {
		s.log.Note("this connection leads to " + s.peer.host + ", which does not take mail for " + t.job.Route.Destination)
		s.Close()
	}
	if s.client != nil {
		return true
	}
	t.hunt = s.newHunt(t.job.Route, required)
	return t.connect(ctx, soft)
}

// leadsTo tells whether host is one of the route's. Destinations of one site may have
// different hosts: a known operator's tenants, each with a name of its own.
func leadsTo(r *route.Route, host string) bool {
	for i := range r.Hosts {
		if r.Hosts[i].Name == host {
			return true
		}
	}
	return false
}

// connect goes on hunting. The soft stop ends it too: nothing was begun yet.
func (t *trip) connect(ctx context.Context, soft <-chan struct{}) bool {
	search, cancel := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-soft:
			cancel()
		case <-search.Done():
		}
	}()
	ok := t.hunt.run(search)
	cancel()
	<-watched
	t.dns = t.hunt.dns
	if stopped(ctx, soft) {
		t.s.Close()
		return false
	}
	if !ok && t.begin(ctx) {
		t.unreachable()
	}
	return ok
}

// unreachable defers all works for what the hunt found. A refusal before MAIL is about us, so
// it never bounces; one for good that nobody knows better is a policy of the site.
func (t *trip) unreachable() {
	found := t.hunt.found
	if found.class == "" && found.reply.Code >= 500 {
		if class, _ := t.s.carrier.o.Classify(found.reply, string(found.stage)); class == mail.ClassOther {
			found.class = mail.ClassPolicy
		}
	}
	t.all(mail.OutcomeDeferred, found)
}

// begin takes the last look before the wire, once. It gives whether any work is left.
func (t *trip) begin(ctx context.Context) bool {
	if t.begun {
		return len(t.open) > 0
	}
	t.begun = true
	verdicts, err := t.s.carrier.o.Begin.Begin(ctx, t.job.Works, t.job.Route.Site)
	if err != nil || len(verdicts) != len(t.job.Works) {
		return t.ours("begin", cmp.Or(err, errors.New("not one verdict for each work")))
	}
	left := t.open[:0]
	for _, i := range t.open {
		if verdicts[i].Go {
			left = append(left, i)
			continue
		}
		t.attempts[i].Outcome = verdicts[i].Outcome
	}
	t.open = left
	return len(left) > 0
}

// ours gives all works back for a fault of our own, to wait a moment.
func (t *trip) ours(what string, err error) bool {
	wait := ownFaultWait
	if errors.Is(err, context.Canceled) { // we are being stopped: no fault at all
		wait = 0
	} else {
		t.s.carrier.o.Log.Error("deliver: "+what, "message", t.job.Message.ID.Text(mail.PrefixMessage), "error", err)
	}
	for _, i := range t.open {
		t.attempts[i] = mail.Attempt{Outcome: mail.Untried, Wait: mail.WaitRetry, RetryAfter: wait}
	}
	t.open = nil
	return false
}

// all gives every open work the same outcome.
func (t *trip) all(outcome mail.Outcome, why trouble) {
	for _, i := range t.open {
		t.decide(i, outcome, why)
	}
	t.open = nil
}

// decide gives one work its outcome; who calls it takes the work off open.
func (t *trip) decide(i int, outcome mail.Outcome, why trouble) {
	a := &t.attempts[i]
	*a = mail.Attempt{Outcome: outcome, Reply: why.reply, Host: why.host, IP: why.ip}
	if outcome == mail.OutcomeDelivered {
		return
	}
	class, advice := why.class, adviceFor[why.class]
	if class == "" && why.stage != "" {
		class, advice = t.s.carrier.o.Classify(why.reply, string(why.stage))
	}
	a.Class, a.Advice = class, advice
}

// adviceFor is what we say of trouble that no reply of the site explains.
var adviceFor = map[mail.Class]string{
	mail.ClassNetwork:  "The recipient's mail server could not be reached or the connection to it broke; it is tried again.",
	mail.ClassProtocol: "The recipient's mail server does not speak the protocol as it should.",
	mail.ClassTLS:      "The encryption this mail requires could not be had from the recipient's mail server.",
	mail.ClassSize:     "The message is larger than the recipient's mail server takes.",
	mail.ClassPolicy:   "The recipient's mail server does not talk to this source at the moment.",
}

// finish ends the trip and gives its attempts.
func (t *trip) finish() []mail.Attempt {
	t.share()
	s := t.s
	s.tx.Content, s.tx.Header = nil, nil // an idle session holds no message
	if s.client != nil && !s.client.Usable() {
		s.Close()
	}
	return t.attempts
}

// share fills in what all attempts of the trip have in common.
func (t *trip) share() {
	var lines []mail.Line
	var facts *mail.TLSFacts
	s, now := t.s, t.s.carrier.o.Now()
	if s.client != nil {
		facts = s.client.TLS()
	}
	for i := range t.attempts {
		a := &t.attempts[i]
		if !a.Outcome.Tried() {
			continue
		}
		if lines == nil {
			lines = s.log.Lines()
		}
		a.ID, a.Number = mail.NewID(now), t.job.Works[i].Delivery.Tries+1
		a.At, a.Duration, a.Transcript = t.began, now.Sub(t.began), lines
		a.Site, a.MX, a.DNS = t.job.Route.Site, s.hosts(t.job.Route), t.job.Route.DNS+t.dns
		a.Source, a.EHLO = t.job.Route.Source.Name, cmp.Or(t.job.Route.Source.EHLO, s.carrier.o.Hostname)
		a.Signed = t.signed
		a.TLS = facts
	}
}

// hosts gives the names of a route's hosts, made once a route.
func (s *session) hosts(r *route.Route) []string {
	if s.mxOf != r {
		s.mxOf, s.mx = r, make([]string, len(r.Hosts))
		for i, h := range r.Hosts {
			s.mx[i] = h.Name
		}
	}
	return s.mx
}
