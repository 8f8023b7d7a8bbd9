package smtp

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// Transaction is one message to several recipients of one site.
type Transaction struct {
	From    string       // the envelope sender, "" = the null sender
	To      []string     // at least one
	UTF8    bool         // an address or a header needs SMTPUTF8 (RFC 6531); the site must offer it
	Header  []byte       // header fields that go before Content, with their CRLF; may be empty
	Content mail.Content // as stored: neither dot-stuffed nor changed
}

// Result tells how a transaction ended for each recipient. It is valid until the next Send.
type Result struct {
	Recipients []Verdict // in the order of Transaction.To

	// Fault is how the conversation broke, nil if it did not. Recipients without a reply
	// share it.
	Fault *Fault
	// Answered tells whether MAIL was answered. Without that nothing of the transaction
	// happened, as far as the site let us know.
	Answered bool
	// AfterDot tells that the conversation broke after the final dot: for recipients
	// without a reply the site may or may not have the message.
	AfterDot bool
}

// Verdict is the reply that decided about a recipient and what it answered. A Code of 0:
// none did, see [Result.Fault]. A 2xx code always stands at [StageDot]; the site has the message.
type Verdict struct {
	Reply mail.Reply
	Stage Stage
}

// Send tries to hand a message over. Trouble is in the Result, never an error.
//
// The site's replies are taken one per recipient: 250, 251 and 252 after RCPT are an
// acceptance (RFC 5321 §3.5.3), a refusal is final for that recipient, and what MAIL,
// DATA or the final dot is answered counts for all that are still undecided.
func (c *Client) Send(ctx context.Context, tx *Transaction) *Result {
	c.result = Result{Recipients: append(c.result.Recipients[:0], make([]Verdict, len(tx.To))...)}
	r := &c.result
	if err := checkAddresses(tx); err != nil {
		c.result.Fault = &Fault{Stage: StageMail, Err: err}
		return r
	}
	b, err := openBody(tx)
	if err != nil {
		r.Fault = &Fault{Stage: StageMail, Err: err}
		return r
	}
	defer b.close()
	defer c.watch(ctx)()
	c.out = c.out[:0]
	accepted, dataCode, ok := c.envelope(tx, b.size)
	switch {
	case !ok:
	case dataCode == 354 && accepted == 0:
		c.takeBack()
	case dataCode == 354:
		c.content(&b)
	}
	if cap(c.out) > maxIdleBuffer {
		c.out = make([]byte, 0, 4096)
	}
	return r
}

// checkAddresses refuses what would end a command early. Addresses were validated when
// they were accepted; here it is the last line against injected commands.
func checkAddresses(tx *Transaction) error {
	if len(tx.To) == 0 {
		return fmt.Errorf("%w: there is no recipient", ErrAddress)
	}
	if !safePath(tx.From) {
		return fmt.Errorf("%w: the envelope sender", ErrAddress)
	}
	for _, to := range tx.To {
		if to == "" || !safePath(to) {
			return fmt.Errorf("%w: a recipient", ErrAddress)
		}
	}
	return nil
}

// safePath tells whether an address fits between the angle brackets of MAIL and RCPT.
func safePath(address string) bool {
	quoted := false
	for i := 0; i < len(address); i++ {
		switch b := address[i]; {
		case b < ' ' || b == 0x7f:
			return false
		case b == '\\' && quoted:
			i++
		case b == '"':
			quoted = !quoted
		case (b == '<' || b == '>' || b == ' ') && !quoted:
			return false
		}
	}
	return !quoted
}

// envelope says MAIL, RCPT and DATA, in one write when the site offers PIPELINING. It
// gives how many recipients were accepted and what DATA was answered (0: not said); ok is
// false when nothing more is to be said in this transaction.
func (c *Client) envelope(tx *Transaction, size int64) (accepted, dataCode int, ok bool) {
	if c.offers.Pipelining {
		return c.envelopeAtOnce(tx, size)
	}
	if c.open && !(c.step(StageMail, func() { c.say("RSET") }) && c.resetAnswered()) {
		return 0, 0, false
	}
	if !c.step(StageMail, func() { c.sayMail(tx, size) }) || !c.mailAnswered() {
		return 0, 0, false
	}
	c.open = true
	for i, to := range tx.To {
		if !c.step(StageRcpt, func() { c.sayRcpt(to) }) {
			return 0, 0, false
		}
		if c.rcptAnswered(i) {
			accepted++
		}
		if c.gone {
			return 0, 0, false
		}
	}
	if accepted == 0 {
		return 0, 0, false // the next MAIL begins with RSET
	}
	if !c.step(StageData, func() { c.say("DATA") }) {
		return 0, 0, false
	}
	return accepted, c.got.code, c.dataAnswered()
}

// envelopeAtOnce is envelope with PIPELINING (RFC 2920 §3.1): DATA is the last command of the
// group, so it is said without knowing whether anybody was accepted.
func (c *Client) envelopeAtOnce(tx *Transaction, size int64) (accepted, dataCode int, ok bool) {
	reset := c.open
	if reset {
		c.say("RSET")
	}
	c.sayMail(tx, size)
	for _, to := range tx.To {
		c.sayRcpt(to)
	}
	c.say("DATA")
	c.arm(c.limits.Command)
	if err := c.flush(); err != nil {
		c.fault(c.broke(StageMail, err))
		return 0, 0, false
	}
	c.open = true
	if reset && !(c.hear(StageMail, c.limits.Command) && c.resetAnswered()) {
		return 0, 0, false
	}
	if !c.hear(StageMail, c.limits.Command) {
		return 0, 0, false
	}
	refused := !c.mailAnswered()
	if c.gone {
		return 0, 0, false
	}
	for i := range tx.To {
		if !c.hear(StageRcpt, c.limits.Command) {
			return 0, 0, false
		}
		if !refused && c.rcptAnswered(i) {
			accepted++
		}
		if c.gone {
			return 0, 0, false
		}
	}
	if !c.hear(StageData, c.limits.DataInit) {
		return 0, 0, false
	}
	if accepted == 0 {
		return 0, c.got.code, c.got.code == 354 // 503 or 554 (RFC 5321 §3.3): as it should be
	}
	return accepted, c.got.code, c.dataAnswered()
}

// content writes the message after a 354 and reads what became of it.
func (c *Client) content(b *body) {
	note := strconv.AppendInt(append(make([]byte, 0, 32), '('), b.size, 10)
	c.Log.said('C', 0, append(note, " bytes)"...))
	if err := c.writeBody(b); err != nil {
		c.contentBroke(err)
		return
	}
	c.arm(c.limits.DataDone)
	if f := c.read(StageDot); f != nil {
		c.result.AfterDot = true
		c.fault(f)
		return
	}
	c.open = false
	if c.got.code/100 == 3 {
		c.result.AfterDot = true
		c.fault(c.broke(StageDot, protocolError("%d after the final dot", c.got.code)))
		return
	}
	c.decide(StageDot)
}

// contentBroke ends a transaction whose content could not be written. A site that refuses a
// message in its middle says why and closes: what it said is worth more than the broken pipe.
func (c *Client) contentBroke(err error) {
	var answered bool
	if !errors.Is(err, ErrContent) && !c.cut.Load() {
		c.arm(2 * time.Second)
		answered = c.in.next(&c.got) == nil && c.got.code >= 400
	}
	f := c.broke(StageContent, err)
	if answered {
		c.got.lines(func(line []byte) { c.Log.said('S', codeOf(line), line) })
		c.decide(StageContent)
	}
	c.fault(f)
}

// takeBack ends a DATA that was granted although no recipient was: with an empty message
// (RFC 2920 §3.1), whose reply means nothing to anybody.
func (c *Client) takeBack() {
	c.Log.said('C', 0, []byte("."))
	c.out = append(c.out[:0], ".\r\n"...)
	c.arm(c.limits.DataInit)
	if err := c.flush(); err != nil {
		c.broke(StageContent, err)
		return
	}
	if c.read(StageContent) == nil {
		c.open = false
	}
}

// step says one command and reads its reply.
func (c *Client) step(stage Stage, say func()) bool {
	say()
	limit := c.limits.Command
	if stage == StageData {
		limit = c.limits.DataInit
	}
	c.arm(limit)
	if err := c.flush(); err != nil {
		c.fault(c.broke(stage, err))
		return false
	}
	return c.hear(stage, limit)
}

// hear reads one reply within a time that begins unless some of the reply is here already.
func (c *Client) hear(stage Stage, limit time.Duration) bool {
	if !c.in.buffered() {
		c.arm(limit)
	}
	if f := c.read(stage); f != nil {
		c.fault(f)
		return false
	}
	return true
}

// resetAnswered takes the reply to RSET. After a refusal the site would take the next MAIL for
// a second one in the old transaction, and its 503 would blame the message.
func (c *Client) resetAnswered() bool {
	if c.got.code/100 == 2 {
		return true
	}
	c.fault(c.broke(StageMail, errResetRefused))
	return false
}

// mailAnswered takes the reply to MAIL; false is a refusal.
func (c *Client) mailAnswered() bool {
	c.result.Answered = true
	if c.got.code/100 == 2 {
		return true
	}
	c.open = false
	c.decide(StageMail)
	return false
}

// rcptAnswered takes the reply to the RCPT of one recipient; false is a refusal.
func (c *Client) rcptAnswered(i int) bool {
	switch c.got.code / 100 {
	case 2:
		return true
	case 3:
		return c.outOfPlace(StageRcpt)
	}
	c.result.Recipients[i] = Verdict{Reply: c.got.mail(), Stage: StageRcpt}
	if c.gone {
		c.decide(StageRcpt) // 421: the others hear nothing any more
	}
	return false
}

// dataAnswered takes the reply to DATA; false is a refusal.
func (c *Client) dataAnswered() bool {
	switch c.got.code / 100 {
	case 3:
		return c.got.code == 354 || c.outOfPlace(StageData)
	case 2:
		return c.outOfPlace(StageData)
	}
	c.decide(StageData)
	return false
}

// outOfPlace ends a conversation in which a reply came that cannot mean anything there.
func (c *Client) outOfPlace(stage Stage) bool {
	c.fault(c.broke(stage, protocolError("%d in reply to %s", c.got.code, stage)))
	return false
}

// decide gives the last reply to all recipients that have none.
func (c *Client) decide(stage Stage) {
	if c.got.code/100 == 3 {
		c.outOfPlace(stage)
		return
	}
	said := c.got.mail()
	for i := range c.result.Recipients {
		if v := &c.result.Recipients[i]; v.Reply.Code == 0 {
			*v = Verdict{Reply: said, Stage: stage}
		}
	}
}

func (c *Client) fault(f *Fault) { c.result.Fault = f }

func (c *Client) say(command string) {
	start := c.start()
	c.out = append(c.out, command...)
	c.endCommand(start)
}

// sayMail says MAIL with the parameters the site offered. BODY=8BITMIME is declared whenever it
// may be (RFC 6152 §3 allows it for 7-bit content too), which spares looking through
// the content. A site without 8BITMIME is sent 8-bit content as it is: there is hardly
// one that minds, and changing it would break its signature.
func (c *Client) sayMail(tx *Transaction, size int64) {
	start := c.start()
	c.out = append(c.out, "MAIL FROM:<"...)
	c.out = append(append(c.out, tx.From...), '>')
	if c.offers.size {
		c.out = strconv.AppendInt(append(c.out, " SIZE="...), size, 10)
	}
	if c.offers.EightBit {
		c.out = append(c.out, " BODY=8BITMIME"...)
	}
	if tx.UTF8 {
		c.out = append(c.out, " SMTPUTF8"...)
	}
	c.endCommand(start)
}

func (c *Client) sayRcpt(to string) {
	start := c.start()
	c.out = append(c.out, "RCPT TO:<"...)
	c.out = append(append(c.out, to...), '>')
	c.endCommand(start)
}
