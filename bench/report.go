package main

import (
	"fmt"
	"io"
	"time"

	"github.com/postroad/postroad/bench/load"
)

// results of one run of the command; nil and 0 were not measured.
type results struct {
	runs     map[string]*figures
	raw      float64 // RSA-2048 signatures a second on all cores
	stuck    *stuck
	overtake *overtaking
	render   *rendering
}

func heading(w io.Writer) {
	fmt.Fprintf(w, "%-26s %9s %9s %9s %9s %10s %10s %8s %9s %6s %6s\n", "", "messages", "accept/s", "p50", "p99", "end2end/s", "CPU s/1000", "driver", "peak RSS", "others", "twice")
}

func (f *figures) print(w io.Writer) {
	dash := func(have bool, text string) string {
		if !have {
			return "-"
		}
		return text
	}
	fmt.Fprintf(w, "%-26s %9d %9.0f %9s %9s %10s %10.3f %8.3f %9s %5.0f%% %6d\n", f.name, f.messages, f.accepted,
		dash(f.p50 > 0, round(f.p50)), dash(f.p99 > 0, round(f.p99)), dash(f.endToEnd > 0, fmt.Sprintf("%.0f", f.endToEnd)),
		f.cpu.Seconds()*1000/float64(f.messages), f.driver.Seconds()*1000/float64(f.messages), dash(f.peak > 0, fmt.Sprintf("%d MB", f.peak>>20)), 100*f.others, f.repeated)
}

func round(d time.Duration) string {
	if d < 10*time.Millisecond {
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(100 * time.Microsecond).String()
}

func (s *stuck) print(w io.Writer) {
	fmt.Fprintf(w, "stuck destination: accept to wire p50 %s p99 %s with an empty queue, p50 %s p99 %s with %d waiting for another site\n",
		round(load.Quantile(s.empty, 0.5)), round(load.Quantile(s.empty, 0.99)), round(load.Quantile(s.full, 0.5)), round(load.Quantile(s.full, 0.99)), s.waiting)
}

func (o *overtaking) print(w io.Writer) {
	fmt.Fprintf(w, "urgent mail behind %d bulk messages of its lane (%d accepted, site takes %v for each, %d connections opened): accept to wire p50 %s p99 %s, overtaken by %d at most\n",
		o.waiting, o.bulk, o.service, o.lanes, round(load.Quantile(o.wire, 0.5)), round(load.Quantile(o.wire, 0.99)), o.overtook[len(o.overtook)-1])
}

// judge compares with the targets the project set itself; true when all that was
// measured is met.
func (r *results) judge(w io.Writer) bool {
	met := true
	say := func(what string, got, want float64, atLeast bool, unit string) {
		verdict := "met"
		if atLeast && got < want || !atLeast && got > want {
			verdict, met = "MISSED", false
		}
		bound := "at least"
		if !atLeast {
			bound = "at most"
		}
		fmt.Fprintf(w, "%-62s %9.2f%s  %s %g%s: %s\n", what, got, unit, bound, want, unit, verdict)
	}
	postfix, held := r.runs["postfix"], r.runs["postfix-held"]
	unsigned, scheduled := r.runs["unsigned"], r.runs["scheduled"]
	if postfix != nil && unsigned != nil {
		say("end to end, unsigned, against Postfix", unsigned.endToEnd/postfix.endToEnd, 7, true, "×")
		say("accepted while delivering, against Postfix", unsigned.accepted/postfix.accepted, 8, true, "×")
	}
	if held != nil && scheduled != nil {
		say("accepted with nothing to deliver, against Postfix holding mail", scheduled.accepted/held.accepted, 8, true, "×")
	}
	if ours, theirs := r.runs["smtp"], r.runs["smtp-postfix"]; ours != nil && theirs != nil {
		say("accepted over SMTP, against Postfix holding mail", ours.accepted/theirs.accepted, 5, true, "×")
	}
	if ours := r.runs["smtp"]; ours != nil && held != nil {
		say("accepted over SMTP, against Postfix fed by smtp-source", ours.accepted/held.accepted, 5, true, "×")
	}
	if f := r.runs["p99"]; f != nil {
		say("p99 of accepting at 100 connections", f.p99.Seconds()*1000, 15, false, " ms")
	}
	rsa, ed := r.runs["rsa"], r.runs["ed25519"]
	if rsa != nil && r.raw > 0 {
		say("end to end with RSA-2048, against raw RSA signing", rsa.endToEnd/r.raw, 0.5, true, "×")
	}
	if rsa != nil && ed != nil {
		say("end to end with Ed25519 alone, against RSA-2048", ed.endToEnd/rsa.endToEnd, 4, true, "×")
	}
	if r.stuck != nil {
		say("accept to wire p99 beside a stuck destination", float64(load.Quantile(r.stuck.full, 0.99))/float64(max(load.Quantile(r.stuck.empty, 0.99), 1)), 1.5, false, "×")
	}
	if r.overtake != nil {
		say("urgent behind bulk, p99 in service times of the site", float64(load.Quantile(r.overtake.wire, 0.99))/float64(r.overtake.service), 2, false, "×")
	}
	if r.render != nil {
		say("receipts rendered in a second of one core", r.render.written, 10_000, true, "")
	}
	return met
}
