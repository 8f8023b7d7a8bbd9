package template

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// dateFormats are how times come: RFC 3339, with less of it, or without a zone (UTC).
var dateFormats = []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"}

// runFormatDate is {{formatDate time "MMMM D, YYYY" "+0200"}}. The time is RFC 3339 text,
// a date, or a Unix time in seconds (from 10^11 on, milliseconds); the zone is an offset
// and else UTC. A time that cannot be read stops the rendering: better than a wrong one.
func runFormatDate(_ *call, args []any) (any, string) {
	t, ok := timeOf(args[0])
	if !ok {
		return nil, "'" + clip(text(args[0]), 40) + "' is not a time; give RFC 3339, e.g. 2026-03-01T10:00:00Z, or seconds since 1970"
	}
	zone := time.UTC
	if len(args) > 2 {
		offset, err := time.Parse("-0700", strings.Replace(text(args[2]), ":", "", 1))
		if err != nil {
			return nil, "'" + clip(text(args[2]), 40) + "' is not a time zone; give an offset, e.g. +0200"
		}
		zone = offset.Location()
		if _, seconds := offset.Zone(); seconds == 0 {
			zone = time.UTC
		}
	}
	return formatDate(t.In(zone), text(args[1])), ""
}

func timeOf(v any) (time.Time, bool) {
	if n, ok := numeric(v); ok {
		switch {
		case math.Abs(n) < 1e11:
			return time.Unix(int64(n), 0), true
		case math.Abs(n) < 1e14:
			return time.UnixMilli(int64(n)), true
		}
		return time.Time{}, false
	}
	s, ok := v.(string)
	if !ok {
		return time.Time{}, false
	}
	for _, f := range dateFormats {
		if t, err := time.Parse(f, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// dateTokens are the letters of a format, longest first, each with what Go calls it.
// Names are English; text in [brackets] stands as it is.
var dateTokens = []struct{ token, layout string }{
	{"YYYY", "2006"}, {"YY", "06"},
	{"MMMM", "January"}, {"MMM", "Jan"}, {"MM", "01"}, {"M", "1"},
	{"dddd", "Monday"}, {"ddd", "Mon"},
	{"DD", "02"}, {"D", "2"},
	{"HH", "15"}, {"hh", "03"}, {"h", "3"}, {"mm", "04"}, {"ss", "05"}, {"SSS", "000"},
	{"A", "PM"}, {"a", "pm"}, {"ZZ", "-0700"}, {"Z", "-07:00"},
}

func formatDate(t time.Time, format string) string {
	var b strings.Builder
next:
	for len(format) > 0 {
		if end := strings.IndexByte(format, ']'); format[0] == '[' && end > 0 {
			b.WriteString(format[1:end])
			format = format[end+1:]
			continue
		}
		for _, d := range dateTokens {
			if strings.HasPrefix(format, d.token) {
				b.WriteString(dateField(t, d.token, d.layout))
				format = format[len(d.token):]
				continue next
			}
		}
		switch format[0] { // Go has no layout for these
		case 'H':
			b.WriteString(strconv.Itoa(t.Hour()))
		case 'm':
			b.WriteString(strconv.Itoa(t.Minute()))
		case 's':
			b.WriteString(strconv.Itoa(t.Second()))
		default:
			b.WriteByte(format[0])
		}
		format = format[1:]
	}
	return b.String()
}

func dateField(t time.Time, token, layout string) string {
	if token == "SSS" { // Go prints fractions only behind a point
		return t.Format(".000")[1:]
	}
	return t.Format(layout)
}
