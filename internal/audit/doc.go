// Package audit keeps who changed what of the configuration.
//
// A door begins a [Note] for each request that may change configuration and puts it into the
// request's context ([Begin]). Whoever makes the change may say what it was in one line
// ([Changed]). The engine writes the note in the same commit as the first thing it writes
// for that context: so a change without its entry cannot be, and a request that changes
// nothing leaves none. Nobody in between has to know of it.
package audit
