// Package sandbox plays the recipients' server for mail that must not leave the host:
// all mail of the test environment, and mail to [route.SandboxDomain] in either. It is a
// [lane.Carrier] like the deliver package, asks the queue before it begins as that does,
// and its attempts look as real ones do; so captured mail has the same path and events.
//
// Recipients of the sandbox's own domain play parts (route.ParseMagic); all others, and
// unknown names, take what they get:
//
//	delivered@  any other            250, delivered
//	bounced@    bounced+5.2.2@       550, and what the status means; may suppress
//	deferred+2@                      451 for the first two tries, then 250
//	complained+60s@                  250, and a minute later a complaint
//	slow+30s@                        250 after half a minute
//	tlsfail@                         TLS breaks each time: deferred, class tls
//
// A project may have its ordinary test mail treated otherwise, and all times shortened:
// project.Behaviour.
//
// suppressed@ and reject@ are played where mail is accepted, and never come here.
package sandbox
