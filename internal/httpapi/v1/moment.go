package v1

import (
	"strconv"
	"strings"
	"time"
)

// timeLayouts without an offset are read as UTC, with a warning where there is room for
// one.
var timeLayouts = []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"}

// latest is the end of the times we take (RFC 3339 has four digits for the year).
var latest = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// parseTime reads RFC 3339 with any offset. utcAssumed tells that none was written.
func parseTime(s string) (t time.Time, utcAssumed, ok bool) {
	if len(s) > 64 {
		return time.Time{}, false, false
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil && len(s) > 10 && s[10] == ' ' {
		t, err = time.Parse("2006-01-02 15:04:05Z07:00", s)
	}
	if err == nil {
		return t.UTC(), false, sane(t)
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true, sane(t)
		}
	}
	return time.Time{}, false, false
}

func sane(t time.Time) bool { return t.Unix() >= 0 && !t.After(latest) }

// unixTime reads seconds since 1970, with decimals if they are written. What can only be
// milliseconds is not taken for a time in the far future.
func unixTime(s string) (time.Time, bool) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f < 0 || f > 99_999_999_999 {
		return time.Time{}, false
	}
	ms := int64(f*1000 + 0.5)
	t := time.UnixMilli(ms).UTC()
	return t, sane(t)
}

// filterTime reads a time in a query: as parseTime, unix seconds, "now", or relative to
// now with s, m, h, d or w: "-24h", "-7d".
func filterTime(s string, now time.Time) (time.Time, bool) {
	if s == "now" {
		return now, true
	}
	if strings.HasPrefix(s, "-") || strings.HasPrefix(s, "+") || strings.HasPrefix(s, " ") { // "+" comes as a space
		return relativeTime(strings.TrimLeft(s, " +"), now)
	}
	if s != "" && strings.Trim(s, "0123456789.") == "" {
		return unixTime(s)
	}
	// An offset's "+" comes as a space when it was not escaped.
	if len(s) > 20 && s[len(s)-6] == ' ' {
		s = s[:len(s)-6] + "+" + s[len(s)-5:]
	}
	t, _, ok := parseTime(s)
	return t, ok
}

func relativeTime(s string, now time.Time) (time.Time, bool) {
	if len(s) < 2 || len(s) > 12 {
		return time.Time{}, false
	}
	unit, ok := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}[s[len(s)-1]]
	n, err := strconv.ParseInt(s[:len(s)-1], 10, 32)
	if !ok || err != nil {
		return time.Time{}, false
	}
	t := now.Add(time.Duration(n) * unit)
	return t, n > -100_000 && n < 100_000 && sane(t)
}

// stampLayout is how times go out: RFC 3339 UTC with milliseconds.
const stampLayout = "2006-01-02T15:04:05.000Z"

// appendTime appends a time as JSON; the zero time is null.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, "null"...)
	}
	b = append(b, '"')
	b = t.UTC().AppendFormat(b, stampLayout)
	return append(b, '"')
}
