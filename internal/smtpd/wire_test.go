package smtpd

import (
	"errors"
	"net"
	"testing"
	"time"
)

// A content gets new time whenever it makes progress; not after it was cut, whatever it is
// doing then.
func TestWhatWasCutGetsNoMoreTime(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*wire){
		"cut":             func(w *wire) { w.cut(errEvicted) },
		"cut, and a stop": func(w *wire) { w.cut(errEvicted); w.interrupt(errStopping) },
	} {
		ours, theirs := net.Pipe()
		w := newWire(theirs, time.Second)
		p := newPace(&Options{Pace: time.Minute, Content: time.Minute})
		end(w)
		if err := p.fill(w); !errors.Is(err, errEvicted) && !errors.Is(err, errStopping) {
			t.Errorf("%s: %v", name, err)
		}
		_, _ = ours.Close(), theirs.Close()
	}
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	w := newWire(theirs, time.Second)
	p := newPace(&Options{Pace: time.Minute, Content: time.Minute})
	w.interrupt(errStopping) // spares what is being sent
	go func() { _, _ = ours.Write([]byte("abc")) }()
	if err := p.fill(w); err != nil || string(w.buffered()) != "abc" {
		t.Errorf("%q, %v", w.buffered(), err)
	}
}
