package fetcher

import (
	"context"
	"time"
)

const (
	// attempts is how often one page is asked for within a poll before the poll fails.
	attempts = 4
	// restarts is how often a read starts over after a page of it was torn.
	restarts = 3
	// backoffBase and backoffMax bound the pause before the second and before any further attempt.
	backoffBase = time.Second
	backoffMax  = 8 * time.Second
	// shortRetryAfter is waited for within a poll; a longer one ends it.
	shortRetryAfter = 2 * time.Second
)

// backoff is the pause after so many failed attempts: exponential with full jitter, so that the endpoints of many
// exporters don't return at the same moment.
func (c *Client) backoff(failed int) time.Duration {
	limit := backoffMax
	if failed < 10 {
		limit = min(limit, backoffBase<<(failed-1))
	}
	return c.o.Jitter(limit)
}

// sleep waits, or returns why it could not.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retriable says whether and after which pause a failed attempt may be followed by another one within the poll.
func (c *Client) retriable(e *Error, failed int) (pause time.Duration, ok bool) {
	switch {
	case !e.transient() || failed >= attempts:
		return 0, false
	case e.RetryAfter > shortRetryAfter:
		return 0, false
	case e.RetryAfter > 0:
		// A little more, because others were told the same moment.
		return e.RetryAfter + c.o.Jitter(e.RetryAfter/4+time.Millisecond), true
	}
	return c.backoff(failed), true
}
