package feedback

import "strings"

// ReadReport tells what a mail that came back says. The content is how the mail begins, with
// any line ends; it may be broken or cut off anywhere, in which case fewer recipients are told
// of, never others. Time and memory are linear in it.
//
// What a machine wrote for machines decides first: a feedback report (RFC 5965), a delivery
// status (RFC 3464), wherever in the mail they stand and whatever its outer type claims. Then
// come the bounces told in words that are surely one ([shapes]), then the signs of automatic
// replies. What is none of these is [KindOther], never a guess.
func ReadReport(content []byte) Report {
	root := partOf(plainLines(content), true)
	l := letter{head: root.head, declared: root.kind == "multipart/report"}
	for _, p := range leaves(root) {
		l.sort(p)
	}
	r := Report{Kind: KindOther}
	text := ""
	if l.text != nil {
		text = l.text.text()
	}
	spoken, copied := spokenIn(text)
	r.Text = clean(spoken, maxReportSaid)
	for _, head := range append(l.returned, copied) {
		r.returned(head)
	}
	r.decide(&l, spoken)
	r.pathsIn(l.head, addressedFields[:])
	return r
}

// letter is a mail sorted into what can tell something.
type letter struct {
	head     fields
	declared bool // multipart/report
	feedback *part
	statuses []part
	receipt  bool  // a disposition notification: somebody's client, not a site
	text     *part // what it tells people
	returned []fields
}

func (l *letter) sort(p part) {
	switch kind := strings.TrimPrefix(p.kind, "message/"); {
	case kind == "feedback-report" && l.feedback == nil:
		l.feedback = &p
	case kind == "delivery-status", kind == "global-delivery-status", l.declared && l.text != nil && mislabelled(&p):
		l.statuses = append(l.statuses, p)
	case kind == "disposition-notification", kind == "global-disposition-notification":
		l.receipt = true
	case isReturned(p.kind):
		head, _, _ := readFields(p.decoded(maxReportHeader))
		l.returned = append(l.returned, head)
	case strings.HasPrefix(p.kind, "text/"):
		if l.text == nil || p.kind == "text/plain" && l.text.kind != "text/plain" {
			l.text = &p
		}
	}
}

// mislabelled tells of a delivery status that some gateway has made a text or a file of.
func mislabelled(p *part) bool {
	if p.kind != "text/plain" && p.kind != "application/octet-stream" {
		return false
	}
	head, _, _ := readFields(p.decoded(1 << 10))
	return len(head) > 0 && (head[0].name == "reporting-mta" || head[0].name == "original-envelope-id")
}

func (r *Report) decide(l *letter, spoken string) {
	switch {
	case r.complains(l), r.bounces(l):
	case l.receipt:
		r.Kind = KindAutoReply
	case l.feedback == nil && len(l.statuses) == 0 && !l.declared && r.bouncesInWords(l.head, spoken):
	case l.declared || len(l.statuses) > 0 || l.feedback != nil || namedMachine(l.head):
		// a report that cannot be read: somebody should look at it
	case answersByItself(l.head):
		r.Kind = KindAutoReply
	}
}

func (r *Report) complains(l *letter) bool {
	if l.feedback == nil {
		return false
	}
	g, all, ok := readGrievance(blankLinesEmpty(l.feedback.decoded(maxReportStatus)), l.feedback.cut)
	r.pathsIn(all, statusPathFields[:])
	if !ok {
		return false
	}
	if len(g.Recipients) == 0 { // Microsoft's mark in the message it returns
		for _, head := range l.returned {
			g.add(head.first("x-hmxmroriginalrecipient"))
		}
	}
	r.Kind, r.Complaint = KindComplaint, &g
	return true
}

func (r *Report) bounces(l *letter) bool {
	for i := range l.statuses {
		told, all := readStatus(blankLinesEmpty(l.statuses[i].decoded(maxReportStatus)), l.statuses[i].cut)
		r.Recipients = append(r.Recipients, told[:min(len(told), maxReported-len(r.Recipients))]...)
		r.pathsIn(all, statusPathFields[:])
	}
	if len(r.Recipients) > 0 {
		r.Kind = KindBounce
	}
	return len(r.Recipients) > 0
}
