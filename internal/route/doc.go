// Package route decides where mail for a destination goes, each decision with why. It
// asks the DNS and remembers; it dials nobody and never runs on its own.
//
// [Decider.Cached] is the fast way: what was decided lately, without waiting or
// allocating. [Decider.Route] is the slow one:
//
//	test environment, or sandbox.test  ─▶ Capture: the sandbox plays the server
//	null MX, or no such domain         ─▶ *Refusal, permanent: bounces at once
//	nobody could say                   ─▶ *Refusal, temporary: the ladder
//	MX records                         ─▶ Hosts, best first, without us and what is worse
//	none, but an address               ─▶ Hosts = the destination itself (Implicit)
//
// then the site (who runs those hosts: sites.txt, else the best host's name), the
// source and how much TLS.
//
// [Guard] says what may be dialled at all, asked on each address just before it is
// dialled. [ParseMagic] reads the parts that recipients of sandbox.test play.
package route
