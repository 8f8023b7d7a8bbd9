package smtpd

import (
	"errors"
	"fmt"
	"strings"

	"github.com/postroad/postroad/internal/mail"
)

// reply is what is said to a client: a code of RFC 5321, one of RFC 3463 ("" = none), and
// words. Lines of the words are lines of the reply.
type reply struct {
	code     int
	enhanced string
	text     string
}

// temporary tells that the same again may succeed.
func (r reply) temporary() bool { return r.code >= 400 && r.code < 500 }

// The replies that say the same each time. 421 goes with the end of the conversation.
var (
	replyReady       = reply{220, "2.0.0", "go ahead with TLS"}
	replyBye         = reply{221, "2.0.0", "bye"}
	replyKnown       = reply{235, "2.7.0", "welcome"}
	replyOK          = reply{250, "2.0.0", "OK"}
	replySender      = reply{250, "2.1.0", "OK"}
	replyRecipient   = reply{250, "2.1.5", "OK"}
	replyVerify      = reply{252, "2.5.0", "send some mail, and see"}
	replyHelp        = reply{214, "2.0.0", "This is message submission: EHLO, STARTTLS, AUTH with an API key as password, then MAIL, RCPT, DATA."}
	replyGo          = reply{354, "", "go ahead; end with CRLF.CRLF"}
	replyStopping    = reply{421, "4.3.2", "the server is stopping; try again in a moment"}
	replyCrowded     = reply{421, "4.7.0", "too many connections; try again in a moment"}
	replyIdle        = reply{421, "4.4.2", "nothing was said for too long"}
	replySlow        = reply{421, "4.4.2", "the content came too slowly"}
	replyJunk        = reply{421, "4.7.0", "too many commands that make no sense"}
	replyGuessing    = reply{421, "4.7.0", "too many wrong passwords; try again later"}
	replyOurs        = reply{451, "4.3.0", "the server cannot take mail at the moment; try again shortly"}
	replyLater       = reply{451, "4.3.0", "this cannot be taken in now; try again later"}
	replyMany        = reply{452, "4.5.3", "too many recipients; send the others in another transaction"}
	replyFailed      = reply{421, "4.3.0", "the server failed; try again"}
	replyNoRoom      = reply{421, "4.3.0", "too many large messages at the same time; try again in a moment"}
	replyLong        = reply{500, "5.5.2", "the line is too long"}
	replyBare        = reply{500, "5.5.2", "lines end in CRLF, and nowhere else stands a CR or an LF"}
	replyUnread      = reply{500, "5.5.2", "this is no command: it has control characters, or is not UTF-8"}
	replyUnknown     = reply{500, "5.5.1", "there is no such command here"}
	replyHTTP        = reply{421, "4.7.0", "this is SMTP, not HTTP"}
	replyNoExpand    = reply{502, "5.5.1", "lists are not expanded here"}
	replyHelo        = reply{503, "5.5.1", "EHLO first"}
	replyNested      = reply{503, "5.5.1", "a transaction is open; RSET ends it"}
	replyNoMail      = reply{503, "5.5.1", "MAIL first"}
	replyNoRcpt      = reply{503, "5.5.1", "RCPT first: there is no recipient"}
	replyTLSNow      = reply{503, "5.5.1", "TLS is on already"}
	replyNoTLS       = reply{502, "5.5.1", "there is no TLS here"}
	replyPipelined   = reply{501, "5.5.1", "nothing may follow STARTTLS before the answer"}
	replyKnownNow    = reply{503, "5.5.1", "you are known already"}
	replyMechanism   = reply{504, "5.5.4", "AUTH knows PLAIN and LOGIN"}
	replyCancelled   = reply{501, "5.7.0", "cancelled"}
	replyBase64      = reply{501, "5.5.2", "this is not base64 of what AUTH asked for"}
	replyNoAuth      = reply{530, "5.7.0", "authentication required: AUTH with an API key as password"}
	replyAuthClear   = reply{538, "5.7.11", "encryption required: STARTTLS before AUTH"}
	replyPath        = reply{501, "5.5.4", "write it as FROM:<address> or TO:<address>"}
	replyArguments   = reply{501, "5.5.4", "no arguments here"}
	replyHeloName    = reply{501, "5.5.4", "say who you are: EHLO name"}
	replyUTF8        = reply{553, "5.6.7", "an address that is not ASCII needs SMTPUTF8 in MAIL"}
	replyLarge       = reply{552, "5.3.4", "the message is larger than 50 MB; host large files and link to them"}
	replyChunk       = reply{501, "5.5.4", "write it as BDAT size, or BDAT size LAST"}
	replyAmbiguous   = reply{550, "5.6.0", "a line of the content is a dot between a CR or an LF alone: lines end in CRLF"}
	replyOffice      = reply{214, "2.0.0", "This takes reports about mail sent from here, without AUTH: EHLO, MAIL, RCPT, DATA."}
	replyNoAuthHere  = reply{502, "5.5.1", "there is no AUTH here: this takes only reports about mail it sent"}
	replyUnwelcome   = reply{550, "5.7.1", "this server takes only reports about mail it sent"}
	replyNoAddress   = reply{553, "5.1.3", "this is no e-mail address, and this server takes only reports about mail it sent"}
	replyStranger    = reply{421, "4.7.0", "too many recipients that are none of this server's"}
	replyEnough      = reply{421, "4.7.0", "enough for one connection; open another"}
	replyHuge        = reply{552, "5.3.4", "the mail is larger than any report about ours"}
	maxShown         = 3   // faults of one message
	maxShownOctets   = 400 // of each; a line of a reply has at most 512 octets (RFC 5321 §4.5.3.1.5)
	replyMoreSuffix  = "and %d more"
	replyWithRequest = "%s (%s)"
)

// The statuses of mail.Error that mean something here. They are HTTP's.
const (
	unauthorized = 401
	refusedRight = 403
	conflict     = 409
	tooLarge     = 413
	tooMany      = 429
)

// replyTo is what somebody is told whose message was refused, or could not be taken.
// known is false for errors of ours, which are to be logged.
func replyTo(err error, requestID string) (r reply, known bool) {
	var faults mail.Faults
	var fault *mail.Error
	switch {
	case errors.As(err, &faults) && len(faults) > 0:
		return replyToFaults(faults), true
	case errors.As(err, &fault):
		return replyToFault(fault, requestID)
	}
	return ours(requestID), false
}

func ours(requestID string) reply {
	r := replyOurs
	r.text = fmt.Sprintf(replyWithRequest, r.text, requestID)
	return r
}

// replyToFault tells of a fault that has a status of its own.
func replyToFault(f *mail.Error, requestID string) (reply, bool) {
	text := shown(f.Message)
	switch {
	case f.Code == "invalid_api_key", f.Code == "missing_api_key", f.Status == unauthorized:
		return reply{535, "5.7.8", text}, true
	case f.Status == refusedRight:
		return reply{550, "5.7.1", text}, true
	case f.Status == tooLarge:
		return reply{552, "5.3.4", text}, true
	case f.Status == tooMany:
		return reply{451, "4.7.0", text}, true
	case f.Status == conflict, f.Status >= 500:
		return reply{451, "4.3.0", fmt.Sprintf(replyWithRequest, text, requestID)}, true
	}
	return replyToFaults(mail.Faults{f}), true
}

// replyToFaults tells of what is wrong with a message: the first faults of many. What
// somebody may not do weighs most, then addresses.
func replyToFaults(faults mail.Faults) reply {
	r := reply{550, "5.6.0", ""}
	for _, f := range faults {
		switch {
		case forbidden[f.Code]:
			r.code, r.enhanced = 550, "5.7.1"
		case f.Code == "invalid_email" && strings.HasPrefix(f.Field, "recipient") && r.enhanced != "5.7.1":
			r.code, r.enhanced = 553, "5.1.3"
		}
	}
	var lines []string
	for _, f := range faults[:min(len(faults), maxShown)] {
		lines = append(lines, shown(f.Error()))
	}
	if more := len(faults) - maxShown; more > 0 {
		lines = append(lines, fmt.Sprintf(replyMoreSuffix, more))
	}
	r.text = strings.Join(lines, "\n")
	return r
}

// forbidden are the faults that say that somebody may not.
var forbidden = map[string]bool{
	"domain_not_found": true, "domain_not_verified": true, "from_not_allowed": true, "recipient_suppressed": true, "insufficient_scope": true,
	"all_recipients_invalid": true,
}

// shown makes words fit for a line of a reply: ASCII, without line ends, not too long.
func shown(s string) string {
	b := make([]byte, 0, min(len(s), maxShownOctets))
	for _, c := range s {
		if len(b) >= maxShownOctets {
			return string(append(b, "..."...))
		}
		switch {
		case c == '…':
			b = append(b, "..."...)
		case c < ' ' || c == 0x7f:
			b = append(b, ' ')
		case c > 0x7f:
			b = append(b, '?')
		default:
			b = append(b, byte(c))
		}
	}
	return string(b)
}
