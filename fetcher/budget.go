package fetcher

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A priority says who goes first when requests have to wait for the budget.
type priority int

const (
	priorityPoll priority = iota
	priorityAudit
	priorityLookup
	priorities
)

// A budget is an organization's allowance of requests: a rate that is never exceeded by more than a tenth in any
// minute, no matter who asks. Waiters of a lower priority go last; among equals it is first come, first served.
type budget struct {
	mu      sync.Mutex
	every   time.Duration // one more request each
	burst   time.Duration // how much of the allowance may be saved up, in terms of every
	free    time.Time     // the allowance is used up to here; earlier than now means that some is saved up
	waiting [priorities][]chan struct{}
	timer   *time.Timer
	recent  minute
}

// newBudget returns a budget of so many requests a minute.
func newBudget(perMinute int) *budget {
	perMinute = max(perMinute, 1)
	every := time.Minute / time.Duration(perMinute)
	// In a minute pass the burst and the rate: a twelfth leaves room below the tenth for requests that were delayed on
	// their way and so come closer together.
	burst := time.Duration(max(perMinute/12, 1)) * every
	return &budget{every: every, burst: burst, free: time.Now().Add(-burst)}
}

// wait returns when a request may be made.
func (b *budget) wait(ctx context.Context, p priority) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	turn := make(chan struct{})
	b.waiting[p] = append(b.waiting[p], turn)
	b.serve()
	b.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.waiting[p], turn); i >= 0 {
		b.waiting[p] = slices.Delete(b.waiting[p], i, i+1)
		return ctx.Err()
	}
	// The turn came at the same moment; nobody will use it.
	b.free = b.free.Add(-b.every)
	b.serve()
	return ctx.Err()
}

// serve lets everybody pass for whom there is an allowance, and sets the timer for the next one.
func (b *budget) serve() {
	for {
		queue := b.first()
		if queue == nil {
			if b.timer != nil {
				b.timer.Stop()
			}
			return
		}
		// All times carry a monotonic reading, so a step of the clock gives and takes nothing.
		now := time.Now()
		if saved := now.Add(-b.burst); b.free.Before(saved) {
			b.free = saved
		}
		if early := b.free.Add(b.every).Sub(now); early > 0 {
			if b.timer == nil {
				b.timer = time.AfterFunc(early, func() {
					b.mu.Lock()
					defer b.mu.Unlock()
					b.serve()
				})
			} else {
				b.timer.Reset(early)
			}
			return
		}
		b.free = b.free.Add(b.every)
		b.recent.add(now)
		close((*queue)[0])
		*queue = (*queue)[1:]
	}
}

// first returns the queue whose turn it is, or nil.
func (b *budget) first() *[]chan struct{} {
	for p := range b.waiting {
		if len(b.waiting[p]) > 0 {
			return &b.waiting[p]
		}
	}
	return nil
}
