package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// A booking is a read that waits to be booked.
type booking struct {
	ctx          context.Context
	f            *Feed
	read         *Read
	staged, done bool
	err          error
}

// A queue is the bookings that wait. Anyone who gets to write takes all of them, so that those which come while a commit is
// under way, or sooner after it than the pace, share the next one.
type queue struct {
	pace  time.Duration
	began time.Time // the last commit

	mu      sync.Mutex
	waiting []*booking
}

func (q *queue) add(b *booking) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, b)
}

// keepPace waits until the next commit may begin. Who calls it is about to make one.
func (q *queue) keepPace() {
	if wait := q.pace - time.Since(q.began); wait > 0 {
		<-time.After(wait)
	}
	q.began = time.Now()
}

// take takes the bookings that can be made together: the first of every feed.
func (q *queue) take() (first []*booking) {
	q.keepPace()
	q.mu.Lock()
	defer q.mu.Unlock()
	met := make(map[*Feed]bool, len(q.waiting))
	q.waiting = slices.DeleteFunc(q.waiting, func(b *booking) bool {
		if met[b.f] {
			return false
		}
		met[b.f] = true
		first = append(first, b)
		return true
	})
	return first
}

// Book takes over what was read, durably, or changes nothing.
func (f *Feed) Book(ctx context.Context, r *Read) error {
	l := f.ledger
	if s := r.Window.shape; s != nil {
		r.show(s.columns, s.groups) // It takes a while, and nobody has to wait for it.
	}
	b := &booking{ctx: ctx, f: f, read: r}
	l.queue.add(b)
	defer l.write()()
	for !b.done {
		l.book(l.queue.take())
	}
	return b.err
}

// book makes bookings, with one commit.
func (l *Ledger) book(bookings []*booking) {
	l.mu.Lock()
	for _, b := range bookings {
		b.err = b.make()
		b.staged = b.f.staged != nil
	}
	l.mu.Unlock()
	err := l.settle()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range bookings {
		switch {
		case b.read.Window.probe && errors.Is(b.err, ErrDoubt):
			b.probed(err)
		case b.err == nil && b.staged:
			b.err = err
		}
		if b.err == nil {
			b.f.booked(b.read)
		}
		b.done = true
	}
	l.wakeUp()
}

// make stages what a booking changes.
func (b *booking) make() error {
	f, r := b.f, b.read
	if err := b.ctx.Err(); err != nil {
		return err
	}
	if f.gone {
		return ErrGone
	}
	if r.Window.shape != f.shape || !slices.Equal(r.columns, f.reads) {
		return ErrReshaped
	}
	is, err := r.reading()
	if err == nil {
		err = f.stands(r)
	}
	if err == nil {
		err = f.examine(r)
	}
	if err == nil {
		is.gap, err = f.admit(r, is)
	}
	if err == nil && len(r.buckets) > 0 {
		st := f.newStage()
		if err = st.apply(r, is); err == nil {
			f.ledger.put(st)
		}
	}
	if err != nil {
		return fmt.Errorf("endpoint %s: %w", f.options.Endpoint.Name, err)
	}
	return nil
}

// booked notes that a read was booked. One without buckets says nothing: it begins nothing, ends nothing and takes
// nothing away.
func (f *Feed) booked(r *Read) {
	f.audited(r.Window, r.AsOf)
	switch {
	case len(r.buckets) == 0 && r.Window.Audit && f.options.Endpoint.IsCosts():
		f.giveUpBill(r.Window)
	case len(r.buckets) > 0 && !r.Window.Audit:
		f.doubt = nil
	}
}
