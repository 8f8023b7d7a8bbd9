// Package access plays an operator's day with the whole program: the set-up link that a start
// prints, sessions over restarts, keys that are rotated, quotas that a kill -9 does not reset, and
// the audit of it all.
package access
