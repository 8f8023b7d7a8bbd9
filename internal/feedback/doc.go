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
// [Store] keeps the suppression lists. The doors judge what callers enter there; the queue
// enters what replies proved.
package feedback
