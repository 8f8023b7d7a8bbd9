package submit

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// Room is what there is left to say yes with.
type Room struct {
	DiskBytes int64 // free in the data directory's file system
	DiskFiles int64 // files that can still be made there; negative: the system does not count them
}

// Strain is how hard the store works.
type Strain struct {
	Waiting int           // writes that wait
	Behind  time.Duration // how long the commit that runs has taken so far
}

// PressureOptions are the things a Pressure looks at; a nil one is not looked at.
type PressureOptions struct {
	Room   func() (Room, error)
	Memory func() (used, limit int64) // bytes; limit 0: there is none
	Strain func() Strain

	DiskFloor int64 // bytes that must stay free; 0: whatever there is
	Log       *slog.Logger
}

// Pressure tells whether more mail may come in. It says no before something breaks, and yes
// again as soon as there is room; what was accepted goes on all the time. A look is kept
// for a quarter of a second, so that asking costs nothing.
type Pressure struct {
	o    PressureOptions
	look atomic.Pointer[pressureLook]

	mu     sync.Mutex // of looking
	counts [len(pressureReasons)]atomic.Int64
}

type pressureLook struct {
	at     time.Time
	room   Room
	reason int // index of pressureReasons; -1: none
	fault  *mail.Error
}

// pressureReasons are what can be short, as metrics name them.
var pressureReasons = [...]string{"disk", "files", "memory", "writer"}

const (
	pressureKept = 250 * time.Millisecond
	filesFloor   = 1000 // a body or a spooled part needs one each
	strainMost   = 20_000
	behindMost   = 2 * time.Second
)

// NewPressure builds one.
func NewPressure(o PressureOptions) *Pressure {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Pressure{o: o}
}

// Refuse gives why nothing more is taken in now: 503, with what is short; nil: come in.
func (p *Pressure) Refuse(now time.Time) *mail.Error {
	if p == nil {
		return nil
	}
	l := p.now(now)
	if l.reason >= 0 {
		p.counts[l.reason].Add(1)
	}
	return l.fault
}

// Check is Refuse for probes: it counts nothing.
func (p *Pressure) Check(now time.Time) *mail.Error { return p.now(now).fault }

// PressureStats is what metrics show.
type PressureStats struct {
	Room    Room
	Reason  string           // what is short now; "": nothing
	Refused map[string]int64 // since the start, by reason
}

// Stats tells the state of things.
func (p *Pressure) Stats(now time.Time) PressureStats {
	l := p.now(now)
	s := PressureStats{Room: l.room, Refused: map[string]int64{}}
	if l.reason >= 0 {
		s.Reason = pressureReasons[l.reason]
	}
	for i, name := range pressureReasons {
		s.Refused[name] = p.counts[i].Load()
	}
	return s
}

func (p *Pressure) now(now time.Time) *pressureLook {
	l := p.look.Load()
	if l != nil && now.Sub(l.at) < pressureKept && !now.Before(l.at) {
		return l
	}
	if l == nil {
		p.mu.Lock()
	} else if !p.mu.TryLock() { // somebody looks: what was seen before will do
		return l
	}
	defer p.mu.Unlock()
	next := p.see(now)
	if l != nil && l.reason != next.reason {
		p.tell(next)
	}
	p.look.Store(next)
	return next
}

func (p *Pressure) tell(l *pressureLook) {
	if l.reason < 0 {
		p.o.Log.Info("mail is taken in again")
		return
	}
	p.o.Log.Warn("no mail is taken in", "short", pressureReasons[l.reason], "disk_free", l.room.DiskBytes, "files_free", l.room.DiskFiles)
}

func (p *Pressure) see(now time.Time) *pressureLook {
	l := &pressureLook{at: now, reason: -1, room: Room{DiskBytes: -1, DiskFiles: -1}}
	if p.o.Room != nil {
		p.seeRoom(l)
	}
	if l.reason < 0 && p.o.Memory != nil {
		// The limit is soft: the collector keeps below it what it can. Far beyond it
		// everything there is is in use.
		if used, limit := p.o.Memory(); limit > 0 && used > limit+limit/2 {
			l.short(2, "overloaded", "The server is short of memory. Try again shortly.")
		}
	}
	if l.reason < 0 && p.o.Strain != nil {
		if s := p.o.Strain(); s.Waiting > strainMost || s.Behind > behindMost {
			l.short(3, "overloaded", "The server's storage does not keep up. Try again shortly.")
		}
	}
	return l
}

func (p *Pressure) seeRoom(l *pressureLook) {
	room, err := p.o.Room()
	if err != nil {
		p.o.Log.Error("read the free space of the data directory", "error", err)
		l.short(0, "storage_unavailable", "The server cannot tell whether its disk has room. Try again shortly.")
		return
	}
	l.room = room
	switch {
	case p.o.DiskFloor <= 0:
	case room.DiskBytes < p.o.DiskFloor:
		l.short(0, "storage_unavailable", fmt.Sprintf("The server's disk is nearly full (%d MB free, the floor is %d MB): it takes no mail until there is room.", room.DiskBytes>>20, p.o.DiskFloor>>20))
	case room.DiskFiles >= 0 && room.DiskFiles < filesFloor:
		l.short(1, "storage_unavailable", fmt.Sprintf("The server's disk can hold only %d more files: it takes no mail until there is room.", room.DiskFiles))
	}
}

func (l *pressureLook) short(reason int, code, message string) {
	l.reason, l.fault = reason, &mail.Error{Code: code, Status: 503, Message: message}
}
