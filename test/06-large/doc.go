// Package large sends the largest message there may be, reads it back at both ends, and
// looks at what it cost in memory.
package large
