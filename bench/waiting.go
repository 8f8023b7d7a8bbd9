package main

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postroad/postroad/bench/load"
	"github.com/postroad/postroad/bench/sink"
)

// probes are messages sent one by one, each with the moments of its way.
type probes struct {
	mu       sync.Mutex
	answered map[int]time.Time // 202 read
	arrived  map[int]time.Time // whole at the sink, not yet answered there
	passed   map[int]int64     // what the sink had received when the probe arrived
}

func newProbes() *probes {
	return &probes{answered: map[int]time.Time{}, arrived: map[int]time.Time{}, passed: map[int]int64{}}
}

func (p *probes) note(number int, at time.Time) {
	p.mu.Lock()
	p.answered[number] = at
	p.mu.Unlock()
}

// arrive is a sink's OnMessage: recipients are user000000123@….
func (p *probes) arrive(recipient []byte, received int64) {
	at := time.Now()
	if len(recipient) < 4+load.Digits {
		return
	}
	n, err := strconv.Atoi(string(recipient[4 : 4+load.Digits]))
	if err != nil || n < firstProbe {
		return
	}
	p.mu.Lock()
	p.arrived[n], p.passed[n] = at, received
	p.mu.Unlock()
}

// firstProbe: recipients from this number on are probes, those below are the crowd.
const firstProbe = 500_000_000

// acceptToWire are the times from reading the 202 to the message being whole at the
// sink, sorted. A message that was there before its 202 was read counts as 0.
func (p *probes) acceptToWire() []time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []time.Duration
	for n, at := range p.arrived {
		if answered, ok := p.answered[n]; ok {
			all = append(all, max(at.Sub(answered), 0))
		}
	}
	slices.Sort(all)
	return all
}

// wait returns when so many probes have arrived.
func (p *probes) wait(n int, patience time.Duration) error {
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		p.mu.Lock()
		have := len(p.arrived)
		p.mu.Unlock()
		if have >= n {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d probes arrived", have, n)
		}
	}
}

// stuck is what a destination that takes nothing does to another's mail.
type stuck struct {
	waiting     int
	empty, full []time.Duration // accept to wire
}

// measureStuck times mail for fast.test with an empty queue and again with so many
// messages waiting for a destination that accepts connections and says nothing.
func measureStuck(ctx context.Context, waiting, connections int) (*stuck, error) {
	var current atomic.Pointer[probes]
	s, err := openSide(ctx, sink.Behaviour{OnMessage: func(recipient, _ []byte) {
		if p := current.Load(); p != nil {
			p.arrive(recipient, 0)
		}
	}}, "")
	if err != nil {
		return nil, err
	}
	defer s.close()
	silent, err := sink.Listen(s.world.At("127.0.0.9"), sink.Behaviour{Silent: true})
	if err != nil {
		return nil, err
	}
	defer silent.Close()
	if err := s.world.Route("stuck.test", "127.0.0.9"); err != nil {
		return nil, err
	}
	if err := s.warmUp(ctx, "sender@unsigned.test", connections); err != nil {
		return nil, err
	}
	got := &stuck{waiting: waiting}
	time1 := func() ([]time.Duration, error) {
		p := newProbes()
		current.Store(p)
		return s.probe(ctx, p, "fast.test", "", 4000, 5*time.Millisecond, 30*time.Second)
	}
	if got.empty, err = time1(); err != nil {
		return nil, fmt.Errorf("empty queue: %w", err)
	}
	a, err := s.load("sender@unsigned.test", "stuck.test", "", waiting, connections).Send(ctx)
	if err == nil {
		err = a.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("fill the stuck destination: %w", err)
	}
	s.settle()
	flushDisk(ctx) // else the disk still writes what filling left, and each commit waits for that
	if silent.Received() != 0 || silent.Connections() == 0 {
		return nil, fmt.Errorf("the stuck destination was asked %d times and took %d", silent.Connections(), silent.Received())
	}
	if got.full, err = time1(); err != nil {
		return nil, fmt.Errorf("with %d waiting: %w", waiting, err)
	}
	return got, nil
}

// flushDisk has the system write what it still holds. Where it has no such command, figures
// of commits right after much was written are worse than they should be.
func flushDisk(ctx context.Context) { _ = exec.CommandContext(ctx, "sync").Run() }

// probe sends n messages, one each interval, and gives their times from accept to wire.
func (s *side) probe(ctx context.Context, p *probes, destination, more string, n int, every, patience time.Duration) ([]time.Duration, error) {
	l := s.load("sender@unsigned.test", destination, more, n, 4)
	l.First, l.Every, l.Answered = firstProbe, every, p.note
	a, err := l.Send(ctx)
	if err == nil {
		err = a.Err()
	}
	if err == nil {
		err = p.wait(n, patience)
	}
	return p.acceptToWire(), err
}

// overtaking is what urgent mail has from being urgent.
type overtaking struct {
	bulk     int             // accepted before
	waiting  int64           // of them, still waiting when the urgent ones came
	service  time.Duration   // the site's, for each message
	lanes    int64           // connections opened to the site, over the whole run
	wire     []time.Duration // accept to wire of the urgent ones
	overtook []int64         // bulk messages that arrived between an urgent one's 202 and itself
}

// measureOvertaking fills one lane with bulk mail and sends urgent mail into it.
func measureOvertaking(ctx context.Context, bulk, connections int) (*overtaking, error) {
	const think = 20 * time.Millisecond
	s, err := openSide(ctx, sink.Behaviour{}, "")
	if err != nil {
		return nil, err
	}
	defer s.close()
	p := newProbes()
	var slow *sink.Sink
	slow, err = sink.Listen(s.world.At("127.0.0.8"), sink.Behaviour{Think: think, OnMessage: func(recipient, _ []byte) {
		p.arrive(recipient, slow.Received())
	}})
	if err != nil {
		return nil, err
	}
	defer slow.Close()
	if err := s.world.Route("slow.test", "127.0.0.8"); err != nil {
		return nil, err
	}
	a, err := s.load("sender@unsigned.test", "slow.test", `"priority":"bulk",`, bulk, connections).Send(ctx)
	if err == nil {
		err = a.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("fill the lane: %w", err)
	}
	got := &overtaking{bulk: bulk, service: think, waiting: int64(bulk) - slow.Received()}
	receivedAt := map[int]int64{}
	l := s.load("sender@unsigned.test", "slow.test", `"priority":"urgent",`, 50, 1)
	l.First, l.Every = firstProbe, 40*time.Millisecond
	l.Answered = func(n int, at time.Time) { p.note(n, at); receivedAt[n] = slow.Received() } // one connection: no race
	if a, err = l.Send(ctx); err == nil {
		err = a.Err()
	}
	if err == nil {
		err = p.wait(50, 20*time.Second)
	}
	if err != nil {
		return nil, fmt.Errorf("urgent mail: %w", err)
	}
	got.wire, got.lanes = p.acceptToWire(), slow.Connections()
	for n, at := range receivedAt {
		got.overtook = append(got.overtook, max(p.passed[n]-at, 0))
	}
	slices.Sort(got.overtook)
	return got, nil
}
