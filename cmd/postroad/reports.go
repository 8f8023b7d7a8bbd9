package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/postroad/postroad/internal/app"
)

type reportsCommand struct {
	List reportsList `cmd:"" default:"withargs" help:"What came back by mail, newest first."`
	Show reportsShow `cmd:"" help:"One of them, with the mail itself where it is kept."`
}

type reportsList struct {
	Limit  int   `default:"50" help:"How many, at most 1000."`
	Before int64 `placeholder:"NUMBER" help:"Only those before this one (the first column)."`
}

// Run prints a line for each: number, id, time, kind, message, and what it did or why it did
// nothing.
func (c reportsList) Run(s *surroundings) error {
	set, err := s.settings()
	if err != nil {
		return err
	}
	all, err := app.ListReports(s.ctx, set, c.Before, c.Limit)
	if err != nil {
		return err
	}
	for i := range all {
		r := &all[i]
		kept := ""
		if r.Readable {
			kept = " (kept)"
		}
		fmt.Fprintf(s.stdout, "%d  %s  %s  %s  %s  %s%s\n", r.Row, r.ID, r.At.UTC().Format(time.RFC3339), r.Kind, cmp.Or(r.Message, "-"),
			cmp.Or(r.Why, didOf(r.Items)), kept)
	}
	return nil
}

// didOf says in a few words what a report did.
func didOf(items []app.ReportItem) string {
	done, told := 0, 0
	for _, item := range items {
		if item.Effect == "recorded" {
			done++
		} else {
			told++
		}
	}
	return fmt.Sprintf("recorded for %d, no change for %d", done, told)
}

type reportsShow struct {
	ID string `arg:"" help:"Its id (rep_…)."`
}

// Run prints what is known, an empty line, and the mail as it came.
func (c reportsShow) Run(s *surroundings) error {
	set, err := s.settings()
	if err != nil {
		return err
	}
	r, err := app.ShowReport(s.ctx, set, c.ID)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.stdout, "report:  %s\nat:      %s\nkind:    %s %s\nmessage: %s\nsize:    %d bytes\n", r.ID, r.At.UTC().Format(time.RFC3339), r.Kind, r.Feedback,
		cmp.Or(r.Message, "none of ours"), r.Size)
	if r.Why != "" {
		fmt.Fprintf(s.stdout, "why:     %s\n", r.Why)
	}
	for _, item := range r.Items {
		fmt.Fprintf(s.stdout, "delivery %d: %s\n", item.Delivery, joined(item.Action, item.Status, string(item.Class), cmp.Or(item.Effect, "it only tells")))
	}
	if !r.Readable {
		_, err = fmt.Fprintf(s.stdout, "\nThe mail itself is not kept: only those that nobody understood are, for %d days at most.\n", app.LetterDays)
		return err
	}
	if _, err := fmt.Fprintln(s.stdout); err != nil {
		return err
	}
	return printLetter(s.stdout, r.Letter)
}

// joined are the words that are there.
func joined(words ...string) string {
	out := ""
	for _, w := range words {
		if w != "" && out != "" {
			out += ", "
		}
		out += w
	}
	return out
}

// printLetter writes a stranger's mail without what a terminal would act upon: control
// characters of both kinds (ECMA-48), what turns the direction of text, bytes of no UTF-8.
func printLetter(w io.Writer, letter []byte) error {
	text := strings.Map(func(r rune) rune {
		switch {
		case r == '\r':
			return -1
		case r == '\n' || r == '\t':
			return r
		case r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return '?'
		}
		return r
	}, string(letter))
	_, err := io.WriteString(w, text+"\n")
	return err
}
