package fetcher

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// openingPatience is how long audits and look-ups stand back at most.
const openingPatience = 30 * time.Second

// An opening is the time in which an organization's endpoints are polled for the first time. Audits and look-ups wait until it
// is over: else the first endpoints to be read would spend on them what the budget has saved up, and the last would be
// read later.
type opening struct {
	left     atomic.Int64 // endpoints that are still to be polled, and one more until it begins
	over     chan struct{}
	deadline time.Time
}

func newOpening() *opening {
	o := &opening{over: make(chan struct{})}
	o.left.Store(1)
	return o
}

// expect returns what is to be called when an endpoint was polled, once or more often.
func (o *opening) expect() (polled func()) {
	o.left.Add(1)
	return sync.OnceFunc(o.polled)
}

// begin begins it, after everything that is to be polled is expected.
func (o *opening) begin() {
	o.deadline = time.Now().Add(openingPatience)
	o.polled()
}

func (o *opening) polled() {
	if o.left.Add(-1) == 0 {
		close(o.over)
	}
}

// wait waits until the opening is over or has taken too long, but no longer than until a moment. It returns false when the
// context ends.
func (o *opening) wait(ctx context.Context, until time.Time) bool {
	select {
	case <-o.over:
		return true
	default:
	}
	if o.deadline.Before(until) {
		until = o.deadline
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-o.over:
	case <-timer.C:
	}
	return true
}
