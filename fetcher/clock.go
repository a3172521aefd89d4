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
// wrong, or steps, must not move them. Neither must a Date that is wrong once: an offset is followed when two answers of
// the API in a row agree on it.
type clock struct {
	mu     sync.Mutex
	offset time.Duration // the API's clock minus the local one; 0 while they agree
	doubt  *doubt        // the last answer's Date, if it does not agree with the offset
}

// A doubt is an offset that only one answer has shown.
type doubt struct {
	offset    time.Duration
	date      time.Time
	requestID string
	// answers is how many in a row were on the same side of the known time, each with a later Date.
	answers int
}

// enough is how many answers in a row prove the known time wrong although no two of them agree: a simulated API's clock
// may run so fast that they can't.
const enough = 3

// A sighting is what the head of an answer says about the time.
type sighting struct {
	at      time.Time     // the API's time, as far as it is known
	date    time.Time     // the answer's own Date, no matter who wrote it; at where it has none
	offset  time.Duration // how far the API's clock is ahead of the local one
	changed bool          // the clocks have begun or ceased to disagree
	// doubtful is an answer whose Date does not agree with the API's time, and which may be the first of many.
	doubtful bool
}

// now is the API's time as far as it is known.
func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset).UTC()
}

// observe takes the Date of an answer that has just arrived.
func (c *clock) observe(status int, h http.Header) sighting {
	local := time.Now()
	date, err := http.ParseTime(h.Get("Date"))
	c.mu.Lock()
	defer c.mu.Unlock()
	current := sighting{at: local.Add(c.offset).UTC(), date: date.UTC(), offset: c.offset}
	if err != nil {
		current.date = current.at
		return current
	}
	// An error page is often a gateway's, an answer without an x-request-id is not the API's, and one with an Age is a
	// cache's: their Date is the clock of somebody else, or old.
	id := h.Get("X-Request-Id")
	if status < 200 || status > 299 || id == "" || h.Get("Age") != "" {
		return current
	}
	// Wall clocks are compared: Round strips the monotonic reading.
	offset := date.Sub(local.Round(0))
	if (offset - c.offset).Abs() <= tolerance {
		c.doubt = nil
		current.at = current.date
		return current
	}
	before, next := c.doubt, &doubt{offset, date, id, 1}
	// The same answer, given twice by a cache, agrees with nobody but itself.
	another := before != nil && before.requestID != id
	if another && date.After(before.date) && (offset > c.offset) == (before.offset > c.offset) {
		next.answers += before.answers
	}
	if !another || (offset-before.offset).Abs() > tolerance && next.answers < enough {
		c.doubt = next
		current.doubtful = true
		return current
	}
	if c.doubt = nil; offset.Abs() <= tolerance {
		offset = 0
	}
	changed := (offset == 0) != (c.offset == 0)
	c.offset = offset
	return sighting{at: current.date, date: current.date, offset: offset, changed: changed}
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
