// Package feedback understands what receiving sites tell about our mail.
//
// [Classify] puts a reply into a [mail.Class] by the rules of rules.txt, a file made to be
// read: the first line that fits decides, and what no line fits is [mail.ClassOther]. The
// class decides what is told and whether a refusal suppresses the recipient, so a rule
// that is too broad loses mail in silence; [BlameOf] says whose fault a class is.
//
// [Tokens] writes and reads the return path of a delivery, by which a bounce report that
// comes back finds it.
//
// [ReadReport] tells what a mail that came back says: a [Report] of recipients and what
// became of them, of a complaint, or of nothing that matters. From the top:
//
//	reportread.go       sorts the parts and decides which of them counts
//	reportparts.go      takes a mail apart, however broken, and wherever it was cut
//	reporttext.go       undoes transfer encodings, charsets and HTML
//	reportdelivery.go   delivery status (RFC 3464, RFC 6533); Reply and Class by our rules
//	reportcomplaint.go  feedback report (RFC 5965)
//	reportwords.go      bounces told in words: a table of shapes, certain ones only
//	reportanswer.go     automatic replies (RFC 3834 and older habits)
//	reportreturned.go   what in the returned message leads to our delivery
//	reportvalues.go     addresses, dates, codes as they are written in reports
//
// Nothing in a report is proof. Who acts on one needs a signed path of ours in it.
//
// [Store] keeps the suppression lists. The doors judge what callers enter there; the queue
// enters what replies proved.
package feedback
