// Package reports sends mail that comes back: bounce reports, complaints and unsubscribes at
// the door for reports, from scripts and from a real Postfix. It looks at the whole list of
// events, and at what forged ones do.
package reports
