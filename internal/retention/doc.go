// Package retention makes Postroad forget: contents, then whole messages, when their time
// is over, and everything about one address when somebody asks for it.
//
//	Run        the only thing here that works by itself: small steps, each followed by a rest
//	           that is longer than the step, so that mail comes first
//	  Forget   one step of what is due: contents, messages, events about nothing else
//	  Erase    one step of the orders to forget an address
//	  Scrub    when something was removed: what lay in the store's log goes too
//	Order      takes an order to forget an address; Run carries it out
//	Find       tells how far it is
//
// When a content is due: the moment the message's last delivery became final, plus the
// message's own time or its project's. A message is due by its project's time for events,
// counted the same way; it takes its content along.
package retention
