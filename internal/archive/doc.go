// Package archive is the read side: it finds messages and tells their story.
//
// [Service.Find] and [Service.List] give [Record]s: a message with its deliveries.
// What a caller wants to know beyond what is stored is derived here, so that every door
// says the same: [Record.Overall] (the message's own status), [Record.Times] (when it
// got how far, and how long that took) and [Record.Actions] (what may be done to it now).
// [Store] is what an engine answers.
package archive
