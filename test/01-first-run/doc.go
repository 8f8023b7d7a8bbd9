// Package firstrun does what README's first command and then the printed text tell a new
// user to do, and nothing else.
package firstrun
