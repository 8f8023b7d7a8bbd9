package deliver

import (
	"context"
	"errors"
	"strings"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/route"
	"github.com/postroad/postroad/internal/smtp"
)

// maxTransactions bounds how often a job is split for a site that wants fewer recipients at a
// time: fifty recipients, one a transaction.
const maxTransactions = 50

// send hands the message over, in as many transactions as the site wants.
func (t *trip) send(ctx context.Context, soft <-chan struct{}) {
	for range maxTransactions {
		result, ok := t.transact(ctx, soft)
		if !ok {
			return
		}
		again := t.settle(result)
		if len(again) == 0 || len(again) == len(t.open) || !t.s.client.Usable() {
			break
		}
		// RFC 5321 §4.5.3.1.10: those there was no room for are tried again at once.
		t.open = again
	}
	t.open = nil
}

// transact is one transaction over a connection that works: one that was lost between two
// jobs is made anew, and a host that is lost before MAIL was answered is passed over. When
// it gives false, all works are decided.
func (t *trip) transact(ctx context.Context, soft <-chan struct{}) (*smtp.Result, bool) {
	s := t.s
	for {
		s.tx.To = s.tx.To[:0]
		for _, i := range t.open {
			s.tx.To = append(s.tx.To, t.job.Works[i].Delivery.Address)
		}
		old := s.carried > 0
		s.carried++
		result := s.client.Send(ctx, &s.tx)
		if err := ownFault(result); err != nil {
			return nil, t.cannotSend(err)
		}
		if !nothingHappened(result, old) || ctx.Err() != nil {
			return result, true
		}
		if !t.reconnect(ctx, soft, result, old) {
			return nil, false
		}
		if !t.fits() {
			return nil, false
		}
	}
}

// nothingHappened tells whether a transaction can be begun again elsewhere: the connection
// broke before MAIL was answered, or, on one that carried mail before, the site said
// that it closes it (421, RFC 5321 §3.8).
func nothingHappened(r *smtp.Result, old bool) bool {
	if !r.Answered {
		return r.Fault != nil && !r.Fault.Cut
	}
	first := r.Recipients[0]
	return old && first.Stage == smtp.StageMail && first.Reply.Code == 421
}

// reconnect gets another connection: after a lost old one to whatever host comes first, after a
// lost fresh one to a host behind it.
func (t *trip) reconnect(ctx context.Context, soft <-chan struct{}, r *smtp.Result, old bool) bool {
	s := t.s
	required := t.job.Route.TLS == route.Required || t.signing.RequireTLS
	lost := s.peer
	s.Close()
	if old || t.hunt == nil {
		s.log.Note("the connection was closed between two messages: connecting again")
		t.hunt = s.newHunt(t.job.Route, required)
	} else {
		t.hunt.broke(lost, r.Fault)
	}
	return t.connect(ctx, soft)
}

// ownFault is what of a result is our doing, not the site's.
func ownFault(r *smtp.Result) error {
	if r.Fault != nil && (errors.Is(r.Fault.Err, smtp.ErrContent) || errors.Is(r.Fault.Err, smtp.ErrAddress)) {
		return r.Fault.Err
	}
	return nil
}

// cannotSend ends a job that cannot be sent as it is. It gives false.
func (t *trip) cannotSend(err error) bool {
	switch {
	case errors.Is(err, mail.ErrNoContent):
		return t.lost()
	case errors.Is(err, smtp.ErrAddress):
		t.all(mail.OutcomeFailed, trouble{reply: mail.Reply{Text: err.Error()}})
		return false
	}
	return t.ours("read the content", err)
}

// settle gives the works of a transaction their outcomes, and those back that the site wants
// in another one. Those are decided too, in case there is no other one.
func (t *trip) settle(r *smtp.Result) (again []int) {
	for k, i := range t.open {
		v := r.Recipients[k]
		why := t.about(v.Reply, "")
		why.stage = v.Stage
		switch {
		case v.Reply.Code == 0:
			t.undecided(i, r)
		case v.Reply.Code < 300:
			t.decide(i, mail.OutcomeDelivered, why)
		case tooMany(v):
			t.decide(i, mail.OutcomeDeferred, why)
			again = append(again, i)
		case v.Reply.Code < 500:
			t.decide(i, mail.OutcomeDeferred, why)
		default:
			t.decide(i, mail.OutcomeBounced, why)
		}
	}
	return again
}

// undecided is a work whose recipient got no reply: the conversation broke.
func (t *trip) undecided(i int, r *smtp.Result) {
	why := faultTrouble(r.Fault)
	why.host, why.ip = t.s.peer.host, t.s.peer.ip
	switch {
	case r.AfterDot:
		t.decide(i, mail.OutcomeUncertain, why)
	case r.Fault.Cut: // by us: interrupted is not deferred
		t.attempts[i] = mail.Attempt{Outcome: mail.Untried}
	default:
		t.decide(i, mail.OutcomeDeferred, why)
	}
}

// tooMany tells whether a recipient was refused only for coming after too many others. 552
// is what RFC 821 said for it.
func tooMany(v smtp.Verdict) bool {
	if v.Stage != smtp.StageRcpt || v.Reply.Code != 452 && v.Reply.Code != 552 && v.Reply.Code != 451 {
		return false
	}
	return v.Reply.Enhanced == "4.5.3" || v.Reply.Enhanced == "5.5.3" ||
		strings.Contains(strings.ToLower(v.Reply.Text), "too many recipients")
}
