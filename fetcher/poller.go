package fetcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// rounds bounds how often a window is asked for anew within one poll, after a dimension was given up, the clock was put
// right, or the grouping was changed meanwhile.
const rounds = 16

// trusts is how many plans may turn out to be wrong before a poll takes the API's clock as it is.
const trusts = 2

var errUnsettled = errors.New("the grouping changes all the time")

// A poller polls one endpoint of one organization. All but its status belongs to its goroutine.
type poller struct {
	organization string
	polled       PolledEndpoint
	client       *Client
	observer     Observer
	logger       log.Logger
	grid         grid

	last      time.Time       // the tick that was used last
	succeeded bool            // ever
	streak    int             // failures in a row of the same permanence
	permanent bool            // what the streak is of
	reported  map[string]bool // the kinds of trouble that the log already knows of
	audit     map[string]bool // the same for audits
	empty     map[string]bool // dimensions that the log already knows to be empty
	awaiting  *Error          // the trouble that another key may end, if any

	mu     sync.Mutex
	status Status
}

func newPoller(organization string, c *Client, p PolledEndpoint, o SchedulerOptions) *poller {
	return &poller{
		organization: organization,
		polled:       p,
		client:       c,
		observer:     o.Observer,
		logger:       log.With(o.Logger, "organization", organization, "endpoint", p.Endpoint.Name),
		grid:         newGrid(organization, p.Endpoint.Name, p.Interval),
		reported:     map[string]bool{},
		audit:        map[string]bool{},
		empty:        map[string]bool{},
		status:       Status{Organization: organization, Endpoint: p.Endpoint.Name, State: StateStarting},
	}
}

// run polls until the context ends.
func (p *poller) run(ctx context.Context) {
	// The first poll comes at once, but not all of them in the same moment.
	const spread = 500 * time.Millisecond
	begin := time.Now().Add(p.grid.offset % spread)
	for {
		if !p.wait(ctx, begin) {
			return
		}
		took := time.Now()
		_, err := p.take(ctx, priorityPoll, func(now time.Time) (ledger.Window, bool) {
			return p.polled.Feed.PollWindow(now), true
		})
		if ctx.Err() != nil {
			return // Who gave up was us.
		}
		begin = p.finish(time.Since(took), err)
		if err == nil {
			begin = p.audits(ctx, begin)
		}
	}
}

// wait waits until the moment comes or, where another key may help, until there is one. It returns false when the
// context ends.
func (p *poller) wait(ctx context.Context, until time.Time) bool {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	var look <-chan time.Time
	if p.awaiting != nil {
		ticker := time.NewTicker(keyLook)
		defer ticker.Stop()
		look = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return ctx.Err() == nil
		case <-look:
			if _, version, _ := p.client.keys.get(); version != p.awaiting.keyVersion {
				// Whether the new key is any better is news again.
				clear(p.reported)
				p.last = time.Time{} // The tick that was to come is still to be used.
				return ctx.Err() == nil
			}
		}
	}
}

// take reads one window and has it booked. It returns false when no window is due.
func (p *poller) take(ctx context.Context, pr priority, window func(now time.Time) (ledger.Window, bool)) (bool, error) {
	feed, wrong := p.polled.Feed, 0
	for range rounds {
		plan := p.client.clock.plan()
		plan.trusting = wrong >= trusts
		w, due := window(plan.api)
		if !due {
			return false, nil
		}
		groupBy := feed.GroupBy()
		read, empty, err := p.client.read(ctx, Query{p.polled.Endpoint, groupBy, w}, plan, pr)
		var e *Error
		switch {
		case errors.Is(err, errClock):
			wrong++
			continue
		case errors.As(err, &e) && slices.Contains(groupBy, e.Dimension):
			if err := feed.Drop(e.Dimension); err != nil {
				return true, fmt.Errorf("give up the refused dimension %s: %w", e.Dimension, err)
			}
			level.Warn(p.logger).Log("msg", "The API refuses to group by a dimension, going on without it", "dimension", e.Dimension, "request_id", e.RequestID, "err", err)
			continue
		case err != nil:
			return true, err
		case ctx.Err() != nil:
			return true, ctx.Err()
		}
		p.report(empty)
		// What has begun to be booked is booked to its end.
		err = feed.Book(context.WithoutCancel(ctx), read)
		if err == nil {
			return true, nil
		}
		if slices.Equal(feed.GroupBy(), groupBy) {
			return true, fmt.Errorf("book what was read: %w", err)
		}
		// The configuration has changed meanwhile, so this read fits no more.
	}
	return true, errUnsettled
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

// finish takes note of how a poll went and returns when the next one is due.
func (p *poller) finish(took time.Duration, err error) time.Time {
	now := time.Now()
	var e *Error
	errors.As(err, &e)
	if err == nil {
		switch {
		case p.awaiting != nil:
			if p.client.trouble.over() { // Else another endpoint has said so.
				level.Info(p.logger).Log("msg", "The admin key works now", "failures", p.status.Failures)
			}
		case len(p.reported) > 0:
			level.Info(p.logger).Log("msg", "Polling works again", "failures", p.status.Failures)
		}
		clear(p.reported)
		p.succeeded, p.streak = true, 0
	} else {
		permanent := e != nil && e.Permanent()
		if permanent != p.permanent {
			p.permanent, p.streak = permanent, 0
		}
		p.streak++
	}
	p.awaiting = nil
	if e != nil && e.keyed() {
		p.awaiting = e
	}

	wait := p.polled.Interval
	if err != nil {
		wait = pause(p.polled.Interval, p.permanent, p.streak)
	}
	next := p.grid.next(now, p.last, wait)
	if e != nil && e.RetryAfter > next.Sub(now) {
		next = p.grid.after(now.Add(e.RetryAfter - 1))
	}
	p.last = next

	p.mu.Lock()
	p.status.LastPoll, p.status.NextPoll = now.UTC(), next
	if err == nil {
		p.status.State, p.status.Error, p.status.Failures, p.status.LastSuccess = StateOK, "", 0, now.UTC()
	} else {
		p.status.State, p.status.Error = StateFailing, err.Error()
		p.status.Failures++
		if e != nil && e.Class == ClassNotFound && !p.succeeded {
			p.status.State = StateUnavailable
		}
	}
	state := p.status.State
	p.mu.Unlock()

	if err != nil {
		p.complain(p.reported, "Polling fails", state, err, next)
	}
	if p.observer != nil {
		p.observer.Poll(p.organization, p.polled.Endpoint.Name, took, err)
	}
	// The wait goes by the monotonic clock.
	return now.Add(next.Sub(now.Round(0)))
}

// complain logs trouble of a kind that the log does not know of yet; what goes on is counted, not logged.
func (p *poller) complain(known map[string]bool, message string, state State, err error, next time.Time) {
	var e *Error
	kind := "book"
	logger, id := level.Warn(p.logger), ""
	if errors.As(err, &e) {
		kind, id = string(e.Class)+strconv.Itoa(e.Status), e.RequestID
		if e.Permanent() {
			logger = level.Error(p.logger)
		}
	}
	if known[kind] || e != nil && e.keyed() && !p.client.trouble.news(e) {
		logger = level.Debug(p.logger)
	} else if state == StateUnavailable {
		logger, message = level.Info(p.logger), "The organization does not have this endpoint, it is asked for again from time to time"
	}
	known[kind] = true
	fields := []any{"msg", message, "err", err}
	if id != "" {
		fields = append(fields, "request_id", id)
	}
	if !next.IsZero() {
		fields = append(fields, "next", next.Format(time.RFC3339))
	}
	logger.Log(fields...)
}

// audits reads what is due of the closed hours, page by page, until a poll is due. It returns when that is, since an
// audit may have been told to leave the endpoint alone for longer.
func (p *poller) audits(ctx context.Context, next time.Time) time.Time {
	for time.Until(next) > 0 {
		due, err := p.take(ctx, priorityAudit, p.polled.Feed.AuditWindow)
		if ctx.Err() != nil || !due {
			return next
		}
		if p.observer != nil {
			p.observer.Audit(p.organization, p.polled.Endpoint.Name, err)
		}
		if err == nil {
			if len(p.audit) > 0 {
				level.Info(p.logger).Log("msg", "Auditing works again")
				clear(p.audit)
			}
			continue
		}
		p.complain(p.audit, "An audit fails, it is tried again after the next poll", StateFailing, err, time.Time{})
		var e *Error
		if errors.As(err, &e) && e.RetryAfter > time.Until(next) {
			next = time.Now().Add(e.RetryAfter)
			p.mu.Lock()
			p.status.NextPoll = next.UTC()
			p.mu.Unlock()
		}
		return next
	}
	return next
}

func (p *poller) stand() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}
