// Package report takes in what comes back by mail: bounce reports (RFC 3464), complaints
// (RFC 5965) and unsubscribes by mail. It finds the delivery that a [Letter] is about and
// has what it means recorded.
package report
