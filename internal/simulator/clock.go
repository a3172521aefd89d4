package simulator

import (
	"sync"
	"time"
)

// A Clock is the API's clock: it starts where it is told, runs at its own speed, and can be moved forward.
type Clock struct {
	mu    sync.Mutex
	base  time.Time // what the clock showed at mark
	mark  time.Time
	speed float64
}

// NewClock returns a clock that shows start now and runs speed times as fast as the real one; at speed 0 it stands
// still until it is advanced.
func NewClock(start time.Time, speed float64) *Clock {
	return &Clock{base: start.UTC().Round(0), mark: time.Now(), speed: speed}
}

// Now is what the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

func (c *Clock) now() time.Time {
	return c.base.Add(time.Duration(float64(time.Since(c.mark)) * c.speed))
}

// Advance moves the clock; a negative duration is a clock that steps back.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.base, c.mark = c.now().Add(d), time.Now()
}
