// Package deliver carries messages to mail exchangers over SMTP. [New] makes a [Carrier], of
// which a lane asks one session a connection; a session carries one job after another:
//
//	Carry
//	  connect      find a host of the route that talks to us; only when there is no connection
//	    hunt       hosts in their order, each one's addresses; what failed lately comes last
//	    secure     STARTTLS when offered; in clear when it fails, unless TLS is required
//	  compose      content, signature, return path
//	  begin        the last look before the wire: queue.Store.Begin
//	  send         one transaction for all recipients, more if the site wants fewer at a time
//	  (a message whose copies differ, see package tracking, makes a trip for each recipient)
//	  finish       one mail.Attempt for each recipient
//
// Three rules decide what trouble means.
//
// Until MAIL was answered, nothing was begun: a lost connection costs a fresh session this
// host only (the next is tried), and an old one nothing (the site closed what lay idle;
// the session connects again). A refusal at this stage never bounces: it is about us.
//
// From then to the final dot trouble is a deferral, and the other hosts are left alone.
//
// After the final dot the site may have the message: the outcome is uncertain.
//
// Whatever is our own fault (a store that does not answer, a key that cannot sign) comes
// back [mail.Untried]. Every attempt that counts was begun: the [Beginner] heard of it.
package deliver
