package fetcher

import (
	"net/http"
	"sync"
	"time"
)

// tolerance is how far the local clock and the API's may be apart before the API's is used. It is above what a slow
// answer, whose Date has whole seconds, makes of two right clocks.
const tolerance = 30 * time.Second

// A clock follows the API's clock, because windows are planned and buckets are closed by it: a local clock that is
// wrong, or steps, must not move them.
type clock struct {
	mu     sync.Mutex
	offset time.Duration // the API's clock minus the local one; 0 while they agree
}

// now is the API's time as far as it is known.
func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset).UTC()
}

// observe takes the Date of an answer that has just arrived. It returns the API's time, how far ahead of the local
// clock it is, and whether the clocks have begun or ceased to disagree.
func (c *clock) observe(h http.Header) (at time.Time, offset time.Duration, changed bool) {
	local := time.Now()
	date, err := http.ParseTime(h.Get("Date"))
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		return local.Add(c.offset).UTC(), c.offset, false
	}
	// Wall clocks are compared: Round strips the monotonic reading.
	offset = date.Sub(local.Round(0))
	if (offset - c.offset).Abs() > tolerance {
		if offset.Abs() <= tolerance {
			offset = 0
		}
		changed = (offset == 0) != (c.offset == 0)
		c.offset = offset
	}
	return date.UTC(), c.offset, changed
}

// A plan is the time that a window was planned at. It notices when the API's clock does not agree with it.
type plan struct {
	api   time.Time
	local time.Time // with its monotonic reading, which steps of the clock don't move
	// trusting is a plan that is not given up, because others were and it was no better.
	trusting bool
}

func (c *clock) plan() plan { return plan{api: c.now(), local: time.Now()} }

// wrong says whether the plan was made by a wrong clock.
func (p plan) wrong(now time.Time) bool {
	if p.trusting {
		return false
	}
	expected := p.api.Add(time.Since(p.local))
	return now.Sub(expected).Abs() > tolerance
}
