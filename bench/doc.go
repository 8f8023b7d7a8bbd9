// Command bench measures Postroad, and beside it what is worth comparing with, in one
// run on one machine:
//
//	go run ./bench                       everything, some minutes
//	go run ./bench -only unsigned,raw    some of it
//
// A load generator (package load) sends 2 KB messages over HTTP; Postroad, the built binary in a
// process of its own, delivers them over SMTP to a sink (package sink) that counts each
// Message-ID. The other side is Debian's Postfix where it is installed: smtp-source →
// an instance of its own → the same sink. Everything is on loopback, load generator and
// sink share the cores with what is measured. README.md says how to read the figures.
package main
