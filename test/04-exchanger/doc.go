// Package exchanger delivers to mail exchangers that behave as real ones do on their bad
// days. Each case says what the site plays, in the language of package persona, and the
// whole list of events that must come of it: one too many fails as one too few does.
//
// The ladder is 400 ms, 400 ms: three attempts.
package exchanger
