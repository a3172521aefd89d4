package fetcher

import (
	"fmt"
	"testing"
	"time"
)

func TestTicksAreAlignedWhateverTheTime(t *testing.T) {
	for _, interval := range []time.Duration{time.Second, 7 * time.Second, time.Minute, 15 * time.Minute, 25 * time.Hour} {
		g := newGrid("acme", "completions", interval)
		if g.offset < 0 || g.offset >= interval {
			t.Errorf("%s: the offset is %s", interval, g.offset)
		}
		now := time.Date(1969, 12, 31, 23, 0, 0, 0, time.UTC)
		for range 10_000 {
			tick := g.after(now)
			if d := tick.Sub(now); d <= 0 || d > interval {
				t.Fatalf("%s: the tick after %s is %s", interval, now, tick)
			}
			if rest := (tick.UnixNano() - int64(g.offset)) % int64(interval); rest != 0 {
				t.Fatalf("%s: the tick %s is %s off", interval, tick, time.Duration(rest))
			}
			now = now.Add(interval/3 + 12345)
		}
	}
	if newGrid("acme", "completions", time.Minute) == newGrid("acme", "costs", time.Minute) {
		t.Error("two endpoints are polled at the same moment")
	}
}

func TestOrganizationsAreSpreadOverTheInterval(t *testing.T) {
	const interval, tenth = time.Minute, time.Minute / 10
	var polls [10]int
	for i := range 1000 {
		organization := fmt.Sprintf("customer-%04d", i)
		first := newGrid(organization, "completions", interval).offset
		polls[first/tenth]++
		for _, endpoint := range []string{"embeddings", "images", "costs"} {
			apart := (newGrid(organization, endpoint, interval).offset - first + interval) % interval
			if apart = min(apart, interval-apart); apart > tenth {
				t.Fatalf("%s: %s is polled %s apart from completions", organization, endpoint, apart)
			}
		}
	}
	for i, n := range polls {
		if n < 60 || n > 140 {
			t.Errorf("%d of 1000 organizations are polled in tenth %d of the interval", n, i)
		}
	}
}

func TestAClockThatStepsUsesNoTickTwice(t *testing.T) {
	g := newGrid("acme", "completions", time.Minute)
	tick := g.after(time.Date(2026, 11, 10, 12, 0, 0, 0, time.UTC))
	for step, want := range map[time.Duration]time.Time{
		100 * time.Millisecond:  tick.Add(time.Minute),                // the ordinary way
		90 * time.Second:        tick.Add(2 * time.Minute),            // a slow poll
		-100 * time.Millisecond: tick.Add(time.Minute),                // a timer or a clock that is a little early
		-2 * time.Second:        tick.Add(time.Minute),                // a clock put back a little
		-time.Hour:              tick.Add(-time.Hour + time.Minute),   // a clock put back a lot goes on at its own ticks
		24 * time.Hour:          tick.Add(24*time.Hour + time.Minute), // a clock put forward
	} {
		now := tick.Add(step)
		if step == -time.Hour {
			now = now.Add(time.Second)
		}
		if got := g.next(now, tick, time.Minute); !got.Equal(want) {
			t.Errorf("a step by %s: next tick %s, want %s", step, got, want)
		}
	}
}

func TestThePauseGrowsWithTheTrouble(t *testing.T) {
	minutes := func(ns ...float64) (out []time.Duration) {
		for _, n := range ns {
			out = append(out, time.Duration(n*float64(time.Minute)))
		}
		return out
	}
	for _, tc := range []struct {
		interval  time.Duration
		permanent bool
		want      []time.Duration
	}{
		{time.Minute, false, minutes(1, 2, 4, 8, 10, 10)},
		{15 * time.Minute, false, minutes(15, 30, 60, 120, 150, 150)},
		{15 * time.Second, false, minutes(0.25, 0.5, 1, 2, 4, 8, 10, 10)},
		{time.Minute, true, minutes(5, 10, 15, 15)},
		{15 * time.Minute, true, minutes(15, 15)},
	} {
		for i, want := range tc.want {
			if got := pause(tc.interval, tc.permanent, i+1); got != want {
				t.Errorf("interval %s, permanent %t: %s after %d failures, want %s", tc.interval, tc.permanent, got, i+1, want)
			}
		}
	}
	if got := pause(time.Minute, false, 1<<30); got != 10*time.Minute {
		t.Errorf("after very many failures: %s", got)
	}
}
