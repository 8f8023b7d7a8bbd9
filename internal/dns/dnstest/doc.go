// Package dnstest is a small name server for tests and measurements. It serves the
// zones it is told to on loopback, over UDP and TCP, and misbehaves when asked to. It
// is not part of the binary.
//
//	server := dnstest.Start(t, `
//		acme.test.     MX   10 mx.acme.test.
//		mx.acme.test.  A    127.0.0.1
//		*.bulk.test.   MX   10 mx.acme.test.
//	`)
//	server.Fail("slow.test", dnstest.Drop)
//
// [Listen] does the same outside tests. [Server.Set] exchanges all records at once,
// [Server.Add] adds some, [Server.Fail] makes a name misbehave, [Server.Asked] counts
// questions. Records are written as in a zone file (RFC 1035 §5) with absolute names;
// "$ORIGIN" and "$TTL" work; the default TTL is one minute.
//
// It answers as an authoritative server that also recurses within what it knows: CNAMEs
// are followed, "*" labels match (RFC 4592, the closest encloser), names that only
// have names below them are empty, and every other name does not exist.
package dnstest
