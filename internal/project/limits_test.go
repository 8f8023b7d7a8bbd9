package project_test

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/project"
)

func caller(projectLimit, keyLimit *int) project.Principal {
	return project.Principal{Owner: mail.Owner{Project: 1}, Project: &project.Project{Row: 1, Settings: project.Settings{RatePerMinute: projectLimit}},
		Key: &project.Key{ID: "k7f2q9xm", RatePerMinute: keyLimit}}
}

func n(i int) *int { return &i }

func TestAWholeLimitMayBeUsedAtOnceAndComesBackEvenly(t *testing.T) {
	t.Parallel()
	l, who := project.NewLimits(60), caller(nil, nil)
	for i := range 60 {
		s := l.Take(who, noon)
		if !s.OK || s.Limit != 60 || s.Remaining != 59-i || s.Reset != i+1 || s.Policy != "project" {
			t.Fatalf("request %d: %+v", i, s)
		}
	}
	if s := l.Take(who, noon); s.OK || s.Remaining != 0 || s.Reset != 60 || !slices.Equal(s.Violated, []string{"project"}) {
		t.Fatalf("the 61st: %+v", s)
	}
	if s := l.Take(who, noon.Add(time.Second)); !s.OK {
		t.Errorf("a second later one is there again: %+v", s)
	}
	if s := l.Look(who, noon.Add(2*time.Minute)); s.Remaining != 60 || s.Reset != 0 {
		t.Errorf("after a while all is there again: %+v", s)
	}
}

func TestTheTightestLimitIsShownAndARefusalDrawsNothing(t *testing.T) {
	t.Parallel()
	l, who := project.NewLimits(10), caller(nil, n(3))
	if s := l.Take(who, noon); s.Policy != "key" || s.Limit != 3 || s.Remaining != 2 {
		t.Errorf("%+v", s)
	}
	l.Take(who, noon)
	l.Take(who, noon)
	if s := l.Take(who, noon); s.OK || !slices.Equal(s.Violated, []string{"key"}) {
		t.Errorf("%+v", s)
	}
	if s := l.Look(caller(nil, nil), noon); s.Remaining != 7 {
		t.Errorf("the project paid for a refusal of the key's: %+v", s)
	}
	l.GiveBack(who)
	if s := l.Look(caller(nil, nil), noon); s.Remaining != 8 {
		t.Errorf("given back: %+v", s)
	}
}

func TestNoLimitIsUnlimited(t *testing.T) {
	t.Parallel()
	for _, l := range []project.Standing{project.NewLimits(0).Take(caller(nil, nil), noon), project.NewLimits(5).Take(caller(n(0), nil), noon),
		project.NewLimits(0).TakeAddress(local, noon)} {
		if !l.OK || l.Limit != 2147483647 || l.Remaining != 2147483647 || l.Reset != 0 {
			t.Errorf("%+v", l)
		}
	}
	if s := project.NewLimits(5).Take(caller(n(0), n(2)), noon); s.Policy != "key" || s.Limit != 2 {
		t.Errorf("the key's limit holds in an unlimited project: %+v", s)
	}
}

func TestEnvironmentsAreCountedApart(t *testing.T) {
	t.Parallel()
	l, live := project.NewLimits(1), caller(nil, nil)
	test := live
	test.Owner.Env = mail.Test
	if !l.Take(live, noon).OK || !l.Take(test, noon).OK || l.Take(live, noon).OK {
		t.Error("live and test share a limit")
	}
}

func TestAClockThatWentBackLocksNobodyOutForLong(t *testing.T) {
	t.Parallel()
	l, who := project.NewLimits(2), caller(nil, nil)
	l.Take(who, noon)
	l.Take(who, noon)
	back := noon.Add(-24 * time.Hour)
	l.Take(who, back)
	if s := l.Take(who, back.Add(61*time.Second)); !s.OK {
		t.Errorf("%+v", s)
	}
}

func TestManyAtOnceNeverGetMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	l, who := project.NewLimits(500), caller(nil, nil)
	var passed atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				if l.Take(who, noon).OK {
					passed.Add(1)
				}
			}
		})
	}
	all.Wait()
	if passed.Load() != 500 {
		t.Errorf("%d passed", passed.Load())
	}
}

func TestAddressesHaveBucketsAndTheirNumberIsBounded(t *testing.T) {
	t.Parallel()
	l := project.NewLimits(1)
	if !l.TakeAddress(local, noon).OK || l.TakeAddress(local, noon).OK || l.TakeAddress(netip.AddrFrom16(local.As16()), noon).OK {
		t.Error("one address, one bucket")
	}
	a, b := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::ffff:2")
	if !l.TakeAddress(a, noon).OK || l.TakeAddress(b, noon).OK {
		t.Error("an IPv6 client is its /64")
	}
	if s := l.TakeAddress(netip.Addr{}, noon); !s.OK {
		t.Errorf("no address: %+v", s)
	}
	for i := range 200_000 {
		l.TakeAddress(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), noon)
	}
	if got := l.AddressesHeld(); got > 16*4096 {
		t.Errorf("%d addresses held", got)
	}
}

func BenchmarkTake(b *testing.B) {
	l, who := project.NewLimits(1<<30), caller(nil, nil)
	b.ReportAllocs()
	for b.Loop() {
		l.Take(who, noon)
	}
}
