// Package report takes in what comes back by mail: bounce reports (RFC 3464), complaints
// (RFC 5965) and unsubscribes by mail.
//
// Anybody can send a report, so none is believed for what it says. What is believed is a
// token we signed ([Service.proofs]): the return path the mail was sent to, or, where it was
// sent to abuse@ or postmaster@ of ours, one in the message it returns. A token stands for
// one copy of a message, and whoever has it may tell only of the deliveries which that copy
// was for ([Store.Copies]): those carried in the same transaction. Without a token nothing
// is ever changed.
//
// Which of them a report tells of, and what that means, is decided in match.go and
// outcome.go; one commit records it with all its events ([Service.Take]). What nobody
// understood is kept for a week and counted.
package report
