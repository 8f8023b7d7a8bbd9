// Package postfix delivers to a Postfix, as Debian ships it: a receiver that nobody here
// wrote.
package postfix
