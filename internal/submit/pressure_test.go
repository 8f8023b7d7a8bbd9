package submit_test

import (
	"errors"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/submit"
)

func TestPressureNamesWhatIsShortAndEndsByItself(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	room, looks := submit.Room{DiskBytes: 1 << 30, DiskFiles: 1 << 20}, 0
	var broken error
	used, limit := int64(100), int64(200)
	p := submit.NewPressure(submit.PressureOptions{DiskFloor: 1 << 20, Memory: func() (int64, int64) { return used, limit },
		Room: func() (submit.Room, error) { looks++; return room, broken }})
	reason := func() string {
		now = now.Add(300 * time.Millisecond)
		if (p.Refuse(now) == nil) != (p.Stats(now).Reason == "") {
			t.Error("Refuse and Stats differ")
		}
		return p.Stats(now).Reason
	}
	for _, c := range []struct {
		short string
		set   func()
	}{
		{"", func() {}},
		{"memory", func() { used = 301 }},
		{"", func() { used = 300 }},
		{"", func() { used, limit = 1<<40, 0 }}, // no limit
		{"disk", func() { room.DiskBytes = 1<<20 - 1 }},
		{"", func() { room.DiskBytes = 1 << 20 }},
		{"files", func() { room.DiskFiles = 999 }},
		{"", func() { room.DiskFiles = -1 }}, // the system does not count them
		{"disk", func() { broken = errors.New("no such device") }},
		{"", func() { broken = nil }},
	} {
		if c.set(); reason() != c.short {
			t.Errorf("short: %q, want %q", p.Stats(now).Reason, c.short)
		}
	}
	before := looks
	for range 1000 {
		p.Refuse(now)
	}
	if looks != before {
		t.Errorf("%d looks within a moment", looks-before)
	}
	if p.Refuse(now.Add(-time.Hour)); looks != before+1 { // a clock set back keeps no answer
		t.Errorf("%d looks after the clock went back", looks-before)
	}
	var none *submit.Pressure
	if none.Refuse(now) != nil {
		t.Error("no pressure refuses")
	}
}
