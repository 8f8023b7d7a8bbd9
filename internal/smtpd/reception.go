package smtpd

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/report"
)

const (
	// maxReportRecipients is how many recipients a transaction may have. A report goes to
	// one; more than these few are asked for in the next transaction.
	maxReportRecipients = 50
	// transactionsInSession is after how many a client is asked to connect again, so that
	// nobody stays for ever.
	transactionsInSession = 100
	// unwelcomeAtOnce is how many unwelcome recipients, with no letter taken between, are
	// answered at once; each further one waits for unwelcomeDelay. The unwelcomeInSession-th
	// ends the session.
	unwelcomeAtOnce    = 4
	unwelcomeInSession = 12
	unwelcomeDelay     = 500 * time.Millisecond
	// patienceForTake is how long the recording of a letter may take. The client waits for
	// 10 minutes (RFC 5321 §4.5.3.2.6).
	patienceForTake = 2 * time.Minute
)

// reception is the role of a session by which anybody brings reports about our mail. All
// that is known of the client is that it names an address of ours.
//
// Content is taken as it comes, with a CR or LF alone too: reporters return what they got,
// and some write their own text with LF, so to refuse would lose the report, as nobody
// gets a bounce of a bounce. Nothing can be smuggled by it: only CRLF.CRLF is the end, a
// line that some servers take for one still ends the conversation (dots.go), and nothing
// is ever passed on to a server that might see other ends than we do.
type reception struct {
	*session
	reports Reports
	memory  *room

	transactions int
	unwelcome    int // recipients since the last letter
	familiar     bool
}

func (r *reception) offers() []string             { return nil }
func (r *reception) last() time.Time              { return r.began.Add(r.server.o.Unknown) }
func (r *reception) forget()                      {}
func (r *reception) auth(command)                 { r.nonsense(replyNoAuthHere) }
func (r *reception) before(otherwise reply) reply { return otherwise }
func (r *reception) enter() bool                  { return true }
func (r *reception) leave()                       {}

// begin counts the transaction.
func (r *reception) begin() bool {
	if r.transactions >= transactionsInSession {
		r.goodbye(replyEnough)
		return false
	}
	r.transactions++
	return true
}

func (r *reception) recipient(path string) {
	if len(r.tx.to) >= maxReportRecipients {
		r.nonsense(replyMany)
		return
	}
	a, err := r.address(path)
	switch {
	case err != nil:
		r.refuse(replyNoAddress)
	case !a.ASCII() && !r.tx.utf8:
		r.nonsense(replyUTF8)
	case !r.reports.Welcome(a):
		r.refuse(replyUnwelcome)
	default:
		r.tx.to = append(r.tx.to, a.Email)
		r.recognise()
		r.say(replyRecipient)
	}
}

// address reads a recipient; postmaster needs no domain (RFC 5321 §4.5.1).
func (r *reception) address(path string) (mail.Address, error) {
	if strings.EqualFold(path, "postmaster") {
		return mail.Address{Email: "postmaster@" + strings.ToLower(r.server.o.Hostname)}, nil
	}
	return mail.ParseAddress("<" + path + ">")
}

// recognise treats somebody who named an address of ours better than who said nothing of
// use. It does so once: anybody can name postmaster again and again.
func (r *reception) recognise() {
	if !r.familiar {
		r.familiar = true
		r.wire.widen()
		r.server.crowd.renew(r.session, time.Now())
	}
}

// refuse is for a recipient that is none of ours. Who has many of them is looking for an
// open relay, or for addresses.
func (r *reception) refuse(why reply) {
	r.server.counts.unwelcome.Add(1)
	r.unwelcome++
	switch {
	case r.unwelcome >= unwelcomeInSession:
		r.goodbye(replyStranger)
		return
	case r.unwelcome > unwelcomeAtOnce:
		select {
		case <-time.After(unwelcomeDelay):
		case <-r.server.kill.Done():
		}
	}
	r.nonsense(why)
}

// handIn reads a letter and has it recorded.
func (r *reception) handIn(in incoming) {
	content, size, release, err := r.read(in)
	defer release()
	if err != nil {
		r.notHeld(in, err)
		return
	}
	r.take(content, size)
}

// read keeps how a content begins and counts it all. Its release gives back the memory.
func (r *reception) read(in incoming) (kept []byte, size int64, release func(), err error) {
	release = func() {}
	for _, most := range []int{smallContent / 8, smallContent, report.MaxContent} {
		if most > smallContent {
			leave, ok := r.memory.enter(r.server.kill, r.session)
			if !ok {
				return nil, 0, release, errNoRoom
			}
			release = leave
		}
		kept = slices.Grow(kept, most-len(kept))
		n, err := readUpTo(in, kept[len(kept):most])
		kept = kept[:len(kept)+n]
		if err != nil || len(kept) < most {
			return kept, int64(len(kept)), release, err
		}
	}
	rest, err := io.Copy(io.Discard, in)
	return kept, int64(len(kept)) + rest, release, err
}

// readUpTo reads until p is full or the content is over; fewer octets than p has and no
// error: it is.
func readUpTo(in io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = in.Read(p[n:])
		n += m
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// take has a letter recorded. Only after that the sender may forget it.
func (r *reception) take(content []byte, size int64) {
	now, id := r.server.o.Now(), r.requestID()
	ctx, cancel := context.WithTimeout(r.server.kill, patienceForTake)
	defer cancel()
	err := r.reports.Take(ctx, &report.Letter{From: r.tx.from, To: distinct(r.tx.to), Client: r.ip, Helo: r.helo, Arrived: now, Content: content, Size: size})
	switch {
	case err == nil:
		r.server.counts.accepted.Add(1)
		r.junk, r.unwelcome, r.drained = 0, 0, 0
		r.server.crowd.renew(r.session, time.Now())
		r.say(reply{250, "2.0.0", "taken in"})
	case r.server.kill.Err() != nil:
		r.server.counts.deferred.Add(1)
		r.goodbye(replyStopping)
	case errors.Is(err, mail.ErrStale), errors.Is(err, report.ErrTooMany):
		r.server.o.Log.Debug("put off a report", "request_id", id, "error", err)
		r.server.counts.deferred.Add(1)
		r.nonsense(replyLater)
	default:
		r.server.o.Log.Error("take in a report", "request_id", id, "error", err)
		r.server.counts.deferred.Add(1)
		r.nonsense(ours(id))
	}
}

// distinct are the recipients, each once.
func distinct(to []string) (once []string) {
	for _, a := range to {
		if !slices.Contains(once, a) {
			once = append(once, a)
		}
	}
	return once
}
