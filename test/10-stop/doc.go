// Package stop is about the end of a process that was asked to end: once, twice, under load, and
// with something on the wire that does not finish.
package stop
