package fetcher

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// A routine is what polls and look-ups have in common: their pace, what the log already knows of their trouble, and
// where they stand. All but the status belongs to one goroutine.
type routine struct {
	organization string
	name         string
	interval     time.Duration
	client       *Client
	observer     Observer
	logger       log.Logger
	grid         grid
	failing      string // what the log says when it fails
	recovered    string // and when it works again
	optional     bool   // whether all the rest goes on without it
	opening      *opening

	pace
	held     bool            // whether the pace is that of before a reload
	reported map[string]bool // the kinds of trouble that the log already knows of
	asking   int             // the version of the key that a poll has begun with

	mu     sync.Mutex
	status Status
}

func newRoutine(organization, name string, interval time.Duration, c *Client, o SchedulerOptions) routine {
	return routine{
		organization: organization,
		name:         name,
		interval:     interval,
		client:       c,
		observer:     o.Observer,
		logger:       log.With(o.Logger, "organization", organization, "endpoint", name),
		grid:         newGrid(organization, name, interval),
		failing:      "Polling fails",
		recovered:    "Polling works again",
		reported:     map[string]bool{},
		status:       Status{Organization: organization, Endpoint: name, State: StateStarting},
	}
}

// wait waits until the moment comes or, where another key may help, until there is one. It returns false when the
// context ends.
func (r *routine) wait(ctx context.Context, until time.Time) bool {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	var look <-chan time.Time
	if r.awaiting != nil {
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
			if _, version, _ := r.client.keys.get(); version != r.awaiting.keyVersion {
				// Whether the new key is any better is news again.
				clear(r.reported)
				r.last = time.Time{} // The tick that was to come is still to be used.
				return ctx.Err() == nil
			}
		}
	}
}

// finish takes note of how a poll went and returns when the next one is due.
func (r *routine) finish(took time.Duration, err error) time.Time {
	now := time.Now()
	var e *Error
	errors.As(err, &e)
	r.count(err, e)
	next := r.schedule(now, err, e)
	r.last = next
	// The wait goes by the monotonic clock.
	r.until = now.Add(next.Sub(now.Round(0)))
	state := r.record(now, next, err, e)
	if err != nil {
		r.complain(r.reported, r.failing, state, err, next)
	}
	if r.observer != nil {
		r.observer.Poll(r.organization, r.name, took, err)
	}
	return r.until
}

// stop takes note of what the API has asked for when a reload ends a poll or a look-up, since it outlives that.
func (r *routine) stop(err error) {
	var s *stopped
	if !errors.As(err, &s) || !s.asked.After(time.Now()) {
		return
	}
	r.until, r.asked = s.asked, s.asked
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.NextPoll = s.asked.UTC()
}

// count begins or goes on with a streak of failures, or ends one and says so.
func (r *routine) count(err error, e *Error) {
	waited := r.awaiting
	r.awaiting = nil
	switch {
	case e != nil && e.keyed():
		r.awaiting = &badKey{e.Class, e.keyVersion}
	case errors.Is(err, ledger.ErrForeign):
		r.awaiting = &badKey{keyVersion: r.asking}
	}
	if err != nil {
		if permanent := e != nil && e.Permanent(); permanent != r.permanent {
			r.permanent, r.streak = permanent, 0
		}
		r.streak++
		return
	}
	switch {
	case waited != nil && waited.class != "":
		if r.client.trouble.over() { // Else another endpoint has said so.
			message := "The admin key works now"
			if waited.class == ClassForbidden {
				message = r.recovered // It was never the key.
			}
			level.Info(r.logger).Log("msg", message, "failures", r.status.Failures)
		}
	case len(r.reported) > 0:
		level.Info(r.logger).Log("msg", r.recovered, "failures", r.status.Failures)
	}
	clear(r.reported)
	r.succeeded, r.streak = true, 0
}

// schedule returns the tick of the next poll. What the API asks to wait is kept apart, since it outlives a reload.
func (r *routine) schedule(now time.Time, err error, e *Error) time.Time {
	wait := r.interval
	if err != nil {
		wait = pause(r.interval, r.permanent, r.streak)
	}
	next := r.grid.next(now, r.last, wait)
	r.asked = time.Time{}
	if e != nil && e.RetryAfter > 0 {
		r.asked = now.Add(e.RetryAfter)
		if e.RetryAfter > next.Sub(now) {
			next = r.grid.after(now.Add(e.RetryAfter - 1))
		}
	}
	return next
}

// record writes down where the routine stands, for others to read.
func (r *routine) record(now, next time.Time, err error, e *Error) State {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.LastPoll, r.status.NextPoll = now.UTC(), next
	if err == nil {
		r.status.State, r.status.Error, r.status.Failures, r.status.LastSuccess = StateOK, "", 0, now.UTC()
		return r.status.State
	}
	r.status.State, r.status.Error = StateFailing, err.Error()
	r.status.Failures++
	if e != nil && e.Class == ClassNotFound && !r.succeeded {
		r.status.State = StateUnavailable
	}
	return r.status.State
}

// complain logs trouble of a kind that the log does not know of yet; what goes on is counted, not logged.
func (r *routine) complain(logged map[string]bool, message string, state State, err error, next time.Time) {
	var e *Error
	kind := "book"
	logger, id := level.Warn(r.logger), ""
	if errors.As(err, &e) {
		kind, id = string(e.Class)+strconv.Itoa(e.Status), e.RequestID
		if e.Permanent() && !r.optional {
			logger = level.Error(r.logger)
		}
	}
	foreign := errors.Is(err, ledger.ErrForeign)
	if foreign {
		kind = "foreign" // The ledger itself says so, once for all endpoints.
	}
	if logged[kind] || foreign || e != nil && e.keyed() && !r.client.trouble.news(e) {
		logger = level.Debug(r.logger)
	} else if state == StateUnavailable {
		logger, message = level.Info(r.logger), "The organization does not have this endpoint; it is requested again from time to time"
	}
	logged[kind] = true
	fields := []any{"msg", message, "err", err}
	if id != "" {
		fields = append(fields, "request_id", id)
	}
	if !next.IsZero() {
		fields = append(fields, "next", next.Format(time.RFC3339))
	}
	logger.Log(fields...)
}

func (r *routine) stand() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}
