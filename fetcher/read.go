package fetcher

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/go-kit/log/level"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// A Query is what to read of an endpoint.
type Query struct {
	Endpoint *api.Endpoint
	GroupBy  []string
	// Filters say which rows to ask for, as api.Filters encodes them.
	Filters string
	Window  ledger.Window
}

// errClock says that a window was planned by a clock that the API's does not agree with, or that an answer's Date does
// not agree with the API's clock as it is known: the next answer shows which of them is wrong.
var errClock = errors.New("the window was planned with a wrong clock")

// Read reads a window, page by page, whole or not at all. Transient faults are retried; what remains is an *Error or
// the context's error.
//
// A dimension that the API knows only from some date on moves the start of the window up to it: a request with an
// earlier start would be refused as a whole. What lies before is not in the read.
func (c *Client) Read(ctx context.Context, q Query) (*ledger.Read, error) {
	r, _, err := c.read(ctx, q, c.clock.plan(), priorityPoll)
	if errors.Is(err, errClock) {
		// The caller's window does not depend on the plan, and the clock is right by now.
		p := c.clock.plan()
		p.trusting = true
		r, _, err = c.read(ctx, q, p, priorityPoll)
	}
	return r, err
}

// read is Read for a window that was planned at p; it gives up with errClock as soon as the plan shows to be wrong.
// empty names the dimensions that no row of the read has a value for.
func (c *Client) read(ctx context.Context, q Query, p plan, pr priority) (r *ledger.Read, empty []string, err error) {
	for restarted := 0; ; restarted++ {
		r, empty, err = c.attempt(ctx, q, p, pr)
		var e *Error
		if !errors.As(err, &e) || !e.spoiled() || !e.transient() || restarted == restarts {
			return r, empty, err
		}
		// A page that was torn in its middle has left rows behind, so the read starts over: simple, and exact.
		pause := c.backoff(restarted + 1)
		level.Debug(c.o.Logger).Log("msg", "A read failed and is repeated", "endpoint", q.Endpoint.Name, "err", err, "in", pause)
		if err := sleep(ctx, pause); err != nil {
			return nil, nil, err
		}
	}
}

// spoiled says whether an attempt got as far as the body, so that the read may hold a part of it.
func (e *Error) spoiled() bool { return e.Status == http.StatusOK }

// retry makes a request until it succeeds, fails for good, or has failed too often. Once a body was begun it is not
// repeated here, because the sink may hold a part of it.
func (c *Client) retry(ctx context.Context, r request, consume func(answer) error) error {
	for failed := 1; ; failed++ {
		err := c.do(ctx, r, consume)
		var e *Error
		if !errors.As(err, &e) || e.spoiled() {
			return err
		}
		pause, ok := c.retriable(e, failed)
		if !ok {
			return err
		}
		level.Debug(c.o.Logger).Log("msg", "A request failed and is repeated", "endpoint", r.name, "err", err, "request_id", e.RequestID, "in", pause)
		since := time.Now()
		if err := sleep(ctx, pause); err != nil {
			return &stopped{err, since.Add(e.RetryAfter)}
		}
	}
}

// stopped says that the context ended while the API was left alone, for which it may have asked until some moment.
type stopped struct {
	error
	asked time.Time
}

func (s *stopped) Unwrap() error { return s.error }
