package ledger

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/go-kit/log/level"
)

// Run releases new series from their hold at zero when it is over, and forgets what is no longer needed, until the context
// ends.
func (l *Ledger) Run(ctx context.Context) {
	// A release that could not be written is tried again after this long.
	const retry = time.Second
	var looked time.Time
	for {
		if time.Since(looked) >= forgetEvery {
			l.forget()
			looked = time.Now()
		}
		wait, held := l.release(time.Now())
		switch {
		case held && wait <= 0:
			wait = retry
		case !held || wait > forgetEvery:
			wait = forgetEvery
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-l.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// release releases what is due and returns how long it is until the next release, if there is any.
func (l *Ledger) release(now time.Time) (wait time.Duration, held bool) {
	if next, held := l.nextRelease(); !held || next.After(now) {
		return next.Sub(now), held
	}
	defer l.write()()
	l.queue.keepPace()
	now = time.Now() // What has become due meanwhile shares the commit.
	l.mu.Lock()
	feeds := make([]*Feed, 0, len(l.holding))
	for f := range l.holding {
		feeds = append(feeds, f)
	}
	slices.SortFunc(feeds, func(a, b *Feed) int { return cmp.Compare(a.place, b.place) })
	for _, f := range feeds {
		if st := f.releases(now); st != nil {
			l.put(st)
		}
	}
	l.mu.Unlock()
	if err := l.settle(); err != nil {
		level.Error(l.logger).Log("msg", "Failed to write the first values of new series; they stay at 0 until the next attempt", "err", err)
		return 0, true
	}
	next, held := l.nextRelease()
	return next.Sub(now), held
}

// nextRelease is when the next series is released, if any is held.
func (l *Ledger) nextRelease() (next time.Time, held bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, until := range l.holding {
		if !held || until.Before(next) {
			next, held = until, true
		}
	}
	return next, held
}

// hold notes when a feed has to release the first of the series that it holds at zero, if it holds any.
func (l *Ledger) hold(f *Feed) {
	delete(l.holding, f)
	for _, until := range f.held {
		if first, held := l.holding[f]; !held || until.Before(first) {
			l.holding[f] = until
		}
	}
}

func (l *Ledger) wakeUp() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}
