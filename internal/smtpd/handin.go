package smtpd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/submit"
)

const (
	// smallContent is how many octets of a message are taken in without asking for room.
	smallContent = 64 << 10
	// patienceForRoom is how long a larger one waits for its turn.
	patienceForRoom = 5 * time.Second
	// limitedInSession is the message refused by the limits that ends a session.
	limitedInSession = 3
)

// incoming is a content on its way in.
type incoming interface {
	io.Reader
	// failure is why reading ended before the content did; nil while it has not.
	failure() error
	// drain reads to its end what nobody wants; false: the end is not in sight.
	drain() bool
}

// handIn takes a content in, submits it and replies.
func (s *submission) handIn(in incoming) {
	content, release, err := s.hold(in)
	defer release()
	if err != nil {
		s.notHeld(in, err)
		return
	}
	defer s.server.o.Submitter.Drop(content)
	s.submit(content)
}

// hold takes the content into memory, or to disk. Its release gives back the room.
func (s *submission) hold(in incoming) (_ mail.Content, release func(), err error) {
	release = func() {}
	first := bytes.NewBuffer(make([]byte, 0, min(max(s.tx.size+bytes.MinRead, 4<<10), smallContent)))
	n, err := io.Copy(first, io.LimitReader(in, smallContent+1))
	if err != nil {
		return nil, release, err
	}
	if n <= smallContent {
		return mail.Bytes(first.Bytes()), release, nil
	}
	ctx, cancel := context.WithTimeout(s.server.kill, patienceForRoom)
	defer cancel()
	if s.server.large.Acquire(ctx, 1) != nil {
		return nil, release, errNoRoom
	}
	release = func() { s.server.large.Release(1) }
	content, err := s.server.o.Submitter.Hold(s.server.kill, io.MultiReader(first, in), submit.HoldMemory)
	return content, release, err
}

var errNoRoom = errors.New("no room for one more large message")

// notHeld replies to a content that could not be taken in.
func (s *session) notHeld(in incoming, err error) {
	r := s.server.tooLarge
	switch failed := in.failure(); {
	case errors.Is(failed, errTooLarge):
		s.server.counts.rejected.Add(1)
	case failed != nil:
		s.broken(failed)
		return
	case errors.Is(err, errNoRoom):
		s.server.counts.deferred.Add(1)
		s.linger = true
		s.goodbye(replyNoRoom)
		return
	default:
		id := s.requestID()
		s.server.o.Log.Error("hold a message", "request_id", id, "error", err)
		s.server.counts.deferred.Add(1)
		r = ours(id)
	}
	whole := in.drain()
	if s.say(r); !whole {
		s.ended, s.linger = true, true
	}
}

// submit hands a whole message in and says what became of it.
func (s *submission) submit(content mail.Content) {
	id := s.requestID()
	raw, err := submit.ReadRaw(content)
	if err != nil {
		s.refuse(err, id)
		return
	}
	r, err := s.request(raw, id)
	if err != nil {
		s.refuse(err, id)
		return
	}
	if standing := s.server.limits.Take(s.who, r.Arrived); !standing.OK {
		if first, err := s.remembered(r); err == nil {
			s.replay(r, first)
			return
		}
		s.limit(limitedRate, max(standing.Reset, 1))
		return
	}
	out, err := s.server.o.Submitter.SubmitRaw(s.server.kill, s.who, r)
	if err != nil && isFault(err) {
		// What was accepted once may be judged otherwise now; its answer goes first.
		switch first, unknown := s.remembered(r); {
		case unknown == nil:
			s.server.limits.GiveBack(s.who)
			s.replay(r, first)
			return
		case !errors.Is(unknown, mail.ErrNotFound):
			err = unknown
		}
	}
	switch {
	case err != nil:
		s.refuse(err, id)
	case out.Replayed:
		s.server.limits.GiveBack(s.who)
		s.replay(r, out.Answer)
	default:
		s.server.counts.accepted.Add(1)
		s.done(reply{250, "2.0.0", string(out.Answer.Body) + " queued"})
	}
}

// done says that a message is ours now: what came before is forgiven.
func (s *submission) done(r reply) {
	s.junk, s.limited, s.drained = 0, 0, 0
	s.say(r)
}

// request is the message with its envelope.
func (s *submission) request(raw *submit.Raw, id string) (*submit.RawRequest, error) {
	r := &submit.RawRequest{RequestID: id, Via: "smtp", Arrived: s.server.o.Now(), Raw: raw, MaxRecipients: MaxRecipients}
	for i, to := range s.tx.to {
		r.To = append(r.To, submit.AddressIn{Text: to, Field: fmt.Sprintf("recipient[%d]", i)})
	}
	var keys httpapi.Keys
	for _, key := range raw.Keys {
		keys.Add(key)
	}
	key, fault := keys.Key()
	if fault != nil {
		return nil, fault
	}
	r.Key = key
	if key != "" {
		sum, err := raw.Fingerprint()
		if err != nil {
			return nil, err
		}
		r.Route, r.Fingerprint = route(s.tx.to), sum
	}
	fingerprint := r.Fingerprint
	r.Answer = func(a *submit.Accepted) mail.Answer {
		return mail.Answer{Status: 250, Body: []byte(a.Message.ID.Text(mail.PrefixMessage)), RequestID: id, Fingerprint: fingerprint,
			Expires: expiry(a.Message)}
	}
	return r, nil
}

// route is the scope of a key: the envelope's recipients. What has more of them than one
// transaction takes comes in several, all with the key of the one message.
func route(to []string) string {
	sorted := make([]string, len(to))
	for i, a := range to {
		sorted[i] = mail.FoldAddress(a)
	}
	slices.Sort(sorted)
	sum := sha256.New()
	for _, a := range slices.Compact(sorted) {
		_, _ = io.WriteString(sum, a+"\n")
	}
	return "SMTP to " + hex.EncodeToString(sum.Sum(nil)[:16])
}

// expiry is when the key is new again, as api-v1.md §15 has it.
func expiry(m *mail.Message) time.Time {
	if m.ScheduledAt.After(m.CreatedAt) {
		return m.ScheduledAt.Add(httpapi.OnceTime)
	}
	return m.CreatedAt.Add(httpapi.OnceTime)
}

// remembered looks for what the key's first message was told. Without a key, and when there
// was none, it is mail.ErrNotFound.
func (s *submission) remembered(r *submit.RawRequest) (mail.Answer, error) {
	if r.Key == "" || s.server.o.Memory == nil {
		return mail.Answer{}, mail.ErrNotFound
	}
	return s.server.o.Memory.Remembered(s.server.kill, s.who.Owner, r.Route, r.Key, r.Arrived)
}

// replay answers with the first message of the key, if this is the same.
func (s *submission) replay(r *submit.RawRequest, first mail.Answer) {
	if first.Fingerprint != r.Fingerprint {
		s.refuse(httpapi.KeyReused(), r.RequestID)
		return
	}
	s.server.counts.replays.Add(1)
	s.done(reply{250, "2.0.0", string(first.Body) + " already accepted"})
}

// isFault tells an error of the caller's that the same request will meet again.
func isFault(err error) bool {
	var faults mail.Faults
	var fault *mail.Error
	return errors.As(err, &faults) || errors.As(err, &fault) && fault.Status < 500
}

// What limit says of the limits that may refuse.
const (
	limitedRate = "too many messages"
	crowdedKey  = "this API key hands in too many messages at the same time"
)

// limit is what the limits refuse; who goes on all the same is sent away.
func (s *submission) limit(what string, seconds int) {
	s.server.counts.limited.Add(1)
	s.server.counts.deferred.Add(1)
	r := reply{451, "4.7.0", fmt.Sprintf("%s; retry in %d s", what, seconds)}
	if s.limited++; s.limited >= limitedInSession {
		r.code = 421
		s.goodbye(r)
		return
	}
	s.say(r)
}

// refuse says why a message was not accepted.
func (s *submission) refuse(err error, id string) {
	if errors.Is(err, context.Canceled) {
		s.goodbye(replyStopping)
		return
	}
	if quota := (*project.QuotaError)(nil); errors.As(err, &quota) {
		s.limit(fmt.Sprintf("%v: %d messages a day (UTC)", quota, quota.Limit), max(int(quota.Resets.Sub(s.server.o.Now()).Seconds())+1, 1))
		return
	}
	r, known := replyTo(err, id)
	if !known {
		s.server.o.Log.Error("accept a message over SMTP", "request_id", id, "error", err)
	}
	if r.temporary() {
		s.server.counts.deferred.Add(1)
	} else {
		s.server.counts.rejected.Add(1)
	}
	s.nonsense(r)
}
