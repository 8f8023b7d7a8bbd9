// Package live takes a domain from its registration to a message that strangers verify:
// our own name server and exchanger on loopback, and as verifiers go-msgauth, and dkimpy
// and OpenDKIM where they are installed.
package live
