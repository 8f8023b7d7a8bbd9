package feedback

import "github.com/postroad/postroad/internal/mail"

// Blame is whose fault trouble is.
type Blame string

const (
	BlameNobody    Blame = ""
	BlameRecipient Blame = "recipient" // the address or its mailbox
	BlameMessage   Blame = "message"   // what was written, how large it is
	BlameSender    Blame = "sender"    // our reputation, our DNS, our pace
	BlameSite      Blame = "site"      // their server, or the way there
	BlameUnknown   Blame = "unknown"
)

// about is what is known of a class: whose fault it is, and one sentence on what to do.
var about = map[mail.Class]struct {
	blame  Blame
	advice string
}{
	mail.ClassUnknownUser: {BlameRecipient, "The address does not exist; it is suppressed once it is refused for good. Check where it came from."},
	mail.ClassInactive:    {BlameRecipient, "The mailbox is closed or disabled; it is suppressed once it is refused for good."},
	mail.ClassBadDomain:   {BlameRecipient, "The recipient's domain does not exist or takes no mail; the address is suppressed once it is refused for good."},
	mail.ClassMailboxFull: {BlameRecipient, "The mailbox is full. It is tried again while the ladder lasts; the address is not suppressed."},
	mail.ClassRateLimited: {BlameSender, "The site asks for fewer or slower messages; they go on later."},
	mail.ClassGreylisted:  {BlameSite, "The site wants to see the same message again later; the next attempt usually passes."},
	mail.ClassReputation:  {BlameSender, "The site distrusts the sending address or domain. Look at complaint rates and at its postmaster page, and send less until it recovers."},
	mail.ClassBlocklisted: {BlameSender, "The sending address is on a blocklist. Ask its operator for removal; the reply usually has the link."},
	mail.ClassContent:     {BlameMessage, "The site refused what the message says or contains. Compare it with messages that pass: links, attachments, headers."},
	mail.ClassPolicy:      {BlameSender, "The site's rules refuse this mail; the reply says which. The recipient's administrator can allow it."},
	mail.ClassAuth:        {BlameSender, "SPF, DKIM, DMARC or reverse DNS did not satisfy the site. Check the sending domain's records and the PTR of the address."},
	mail.ClassSize:        {BlameMessage, "The message is larger than the site takes. Send a link instead of the attachment."},
	mail.ClassTLS:         {BlameSite, "The encryption that this mail or the site requires could not be agreed on."},
	mail.ClassNetwork:     {BlameSite, "The site could not be reached, or the connection to it broke."},
	mail.ClassProtocol:    {BlameSite, "The site and we did not understand each other; the transcript shows where."},
	mail.ClassOther:       {BlameUnknown, "The reply is not one we know; read what it says."},
}

// BlameOf tells whose fault a class of trouble is.
func BlameOf(c mail.Class) Blame { return about[c].blame }
