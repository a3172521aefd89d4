package fetcher

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
)

// TestAClockPutBackDuringAPollUsesNoTickTwice is about who remembers the tick: the grid can't know of it by itself. A
// bubble's clock can't be put back, but what a poll sees of it when it ends is the same: a time before the tick that it
// was made for.
func TestAClockPutBackDuringAPollUsesNoTickTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoutine("acme", "completions", time.Minute, nil, SchedulerOptions{Logger: log.NewNopLogger()})
		first := r.finish(time.Second, nil)
		<-time.After(time.Until(first) - 2*time.Second)
		second := r.finish(time.Second, nil)
		if got := second.Sub(first); got != time.Minute {
			t.Errorf("a clock put back by two seconds: the next poll is %s after the tick, want a minute", got)
		}
		if next := r.stand().NextPoll; !next.Equal(second) {
			t.Errorf("the status says %s, want %s", next, second)
		}
		// The ticks go on from there, as they do without a step.
		<-time.After(time.Until(second) + time.Second)
		if got := r.finish(time.Second, nil).Sub(second); got != time.Minute {
			t.Errorf("afterwards: %s between polls, want a minute", got)
		}
	})
}
