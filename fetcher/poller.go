package fetcher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-kit/log/level"

	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// rounds bounds how often a window is asked for again within one poll, after a dimension was given up, the clock was put
// right, or the grouping was changed meanwhile.
const rounds = 16

// trusts is how many plans may turn out to be wrong before a poll takes the API's clock as it is. A wrong local clock
// takes two: one answer raises the doubt, a second one confirms it.
const trusts = 3

var errUnsettled = errors.New("the read had to start over too often, because grouping, filters or clock kept changing")

// A poller polls one endpoint of one organization. All but its status belongs to its goroutine.
type poller struct {
	routine
	polled PolledEndpoint
	audit  map[string]bool // the kinds of trouble with audits that the log already knows of
	empty  map[string]bool // dimensions that the log already knows to be empty

	after      <-chan struct{} // what the first poll waits for, if anything
	polledOnce func()          // tells that the first poll is over, if anybody waits for it
	opened     func()          // the same, for what waits for the first poll of every endpoint; nil where nothing waits
}

func newPoller(organization string, c *Client, p PolledEndpoint, o SchedulerOptions) *poller {
	out := &poller{
		routine: newRoutine(organization, p.Endpoint.Name, p.Interval, c, o),
		polled:  p,
		audit:   map[string]bool{},
		empty:   map[string]bool{},
	}
	// An endpoint that was ever read is one that the organization has, whatever it answers now.
	out.succeeded = !p.Feed.ReadAt().IsZero()
	return out
}

// run polls until the context ends.
func (p *poller) run(ctx context.Context) {
	// The first poll comes at once, but not all of them in the same moment.
	const spread = 500 * time.Millisecond
	begin := p.begin(time.Now().Add(p.grid.offset % spread))
	if p.opened != nil {
		defer p.opened() // One that is given up keeps nobody waiting.
	}
	if p.after != nil {
		patience := time.NewTimer(billPatience)
		defer patience.Stop()
		select {
		case <-ctx.Done():
			return
		case <-p.after:
		case <-patience.C:
		}
	}
	for {
		if !p.wait(ctx, begin) {
			return
		}
		took := time.Now()
		p.asking = p.client.keys.current()
		_, err := p.take(ctx, priorityPoll, func(now time.Time) (ledger.Window, bool) {
			return p.polled.Feed.PollWindow(now), true
		})
		if ctx.Err() != nil || errors.Is(err, ledger.ErrGone) {
			p.stop(err)
			return // Who gave up was us, or a reload that is about to stop this.
		}
		begin = p.finish(time.Since(took), err)
		if p.polledOnce != nil {
			p.polledOnce()
		}
		if p.opened != nil {
			p.opened()
		}
		if err == nil && p.opening.wait(ctx, begin) {
			begin = p.audits(ctx, begin)
		}
	}
}

// take reads one window and has it booked. It returns false when no window is due.
func (p *poller) take(ctx context.Context, pr priority, window func(now time.Time) (ledger.Window, bool)) (bool, error) {
	feed, wrong := p.polled.Feed, 0
	var t trial
	for range rounds {
		plan := p.client.clock.plan()
		plan.trusting = wrong >= trusts
		w, due := window(plan.api)
		if !due {
			return false, nil
		}
		groupBy := feed.GroupBy()
		read, empty, err := p.client.read(ctx, Query{p.polled.Endpoint, t.dimensions(groupBy), w.Filters(), w}, plan, pr)
		switch {
		case errors.Is(err, errClock):
			wrong++
			continue
		case t.refused(err):
			continue
		case err != nil && ctx.Err() == nil:
			return true, t.explain(err)
		case err != nil:
			return true, err
		case ctx.Err() != nil:
			return true, ctx.Err()
		case t.first != nil:
			if err := p.drop(&t); err != nil {
				return true, err
			}
			continue
		}
		p.report(empty)
		// What has begun to be booked is booked to its end.
		err = feed.Book(context.WithoutCancel(ctx), read)
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, ledger.ErrReshaped) && !errors.Is(err, ledger.ErrDoubt) {
			return true, fmt.Errorf("store the answer: %w", err)
		}
		// The configuration has changed meanwhile, so this read fits no more, or something else has to be read first.
	}
	if t.first != nil {
		return true, t.first
	}
	return true, errUnsettled
}

// drop gives up the dimension without which the trial has succeeded.
func (p *poller) drop(t *trial) error {
	dimension, first := t.without[len(t.without)-1], t.first
	if err := p.polled.Feed.Drop(dimension); err != nil {
		return fmt.Errorf("stop grouping by the refused dimension %s: %w", dimension, err)
	}
	// Others that were left out are tried once more: they may have been taken for this one.
	*t = trial{}
	level.Warn(p.logger).Log("msg", "The API refuses to group by a dimension; polling goes on without it", "dimension", dimension, "request_id", first.RequestID, "err", first)
	return nil
}

// report warns once of dimensions that the API leaves empty.
func (p *poller) report(empty []string) {
	for _, dimension := range empty {
		if !p.empty[dimension] {
			p.empty[dimension] = true
			level.Warn(p.logger).Log("msg", "The API was asked to group by a dimension but left it empty on every row", "dimension", dimension)
		}
	}
}

// audits reads what is due of the closed hours, page by page, until a poll is due. It returns when that is, since an
// audit may have been told to leave the endpoint alone for longer.
func (p *poller) audits(ctx context.Context, next time.Time) time.Time {
	for time.Until(next) > 0 {
		var window ledger.Window
		due, err := p.take(ctx, priorityAudit, func(now time.Time) (w ledger.Window, due bool) {
			window, due = p.polled.Feed.AuditWindow(now)
			return window, due
		})
		if ctx.Err() != nil || !due || errors.Is(err, ledger.ErrGone) {
			p.stop(err)
			return next
		}
		if p.observer != nil {
			p.observer.Audit(p.organization, p.name, err)
		}
		if err == nil {
			if len(p.audit) > 0 {
				level.Info(p.logger).Log("msg", "Auditing works again")
				clear(p.audit)
			}
			continue
		}
		if p.refused(window, err) {
			continue
		}
		p.complain(p.audit, "An audit fails; it is tried again after the next poll", StateFailing, err, time.Time{})
		var e *Error
		if errors.As(err, &e) && e.RetryAfter > time.Until(next) {
			next = time.Now().Add(e.RetryAfter)
			p.until, p.asked = next, next
			p.mu.Lock()
			p.status.NextPoll = next.UTC()
			p.mu.Unlock()
		}
		return next
	}
	return next
}

// refused tells the feed of an audit window that the API refuses, or no longer has, and says whether the feed has gone on
// to another one: else one old hour would end all audits.
func (p *poller) refused(w ledger.Window, err error) bool {
	var e *Error
	if !errors.As(err, &e) || !e.refusesWindow() {
		return false
	}
	gone, err := p.polled.Feed.Refused(w)
	if err != nil {
		level.Warn(p.logger).Log("msg", "Failed to skip old hours that the API refuses", "err", err)
		return false
	}
	return gone
}
