// Package sink is an SMTP server that takes everything as fast as it can and counts
// how often each Message-ID arrived. The benchmark and the scenarios that kill or
// flood Postroad deliver to it: what it counted is the truth that the 202s, the events
// and the attempts are compared with.
//
// [Listen] opens it; [Sink.Wait] waits until so many messages are there, [Sink.Counts]
// tells what arrived and how often. A [Behaviour] makes it slow or stuck.
//
// It is not a mail server: it reads one buffer, answers every whole command in it with
// one write, keeps nothing but the Message-ID, and speaks no TLS. The scripted
// exchanger for the odd cases of real servers is package persona.
package sink
