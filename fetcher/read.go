package fetcher

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
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
var errClock = errors.New("the window was planned by a wrong clock")

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
		r, empty, err = c.readOnce(ctx, q, p, pr)
		var e *Error
		if !errors.As(err, &e) || !e.spoiled() || !e.transient() || restarted == restarts {
			return r, empty, err
		}
		// A page that was torn in its middle has left rows behind, so the read is begun anew: simple, and exact.
		pause := c.backoff(restarted + 1)
		level.Debug(c.o.Logger).Log("msg", "Reading anew", "endpoint", q.Endpoint.Name, "err", err, "in", pause)
		if err := sleep(ctx, pause); err != nil {
			return nil, nil, err
		}
	}
}

// spoiled says whether an attempt got as far as the body, so that the read may hold a part of it.
func (e *Error) spoiled() bool { return e.Status == http.StatusOK }

func (c *Client) readOnce(ctx context.Context, q Query, p plan, pr priority) (*ledger.Read, []string, error) {
	read := ledger.NewRead(q.Endpoint, q.GroupBy, q.Window)
	asked := q.Endpoint.GroupBy(q.GroupBy)
	from, err := start(q.Endpoint, asked, q.Window)
	if err != nil {
		return nil, nil, err
	}
	read.Begin = from
	if !q.Window.To.IsZero() && !from.Before(q.Window.To) {
		// All of the window lies before what the API can answer for this grouping.
		read.AsOf = p.api
		return read, nil, nil
	}
	// A page holds a bucket at least, so a chain of pages that is longer than that leads nowhere. Some are granted, since
	// time goes on.
	most := buckets(q.Window, from, p.api) + 10
	query := url.Values{
		"start_time":   {strconv.FormatInt(from.Unix(), 10)},
		"bucket_width": {q.Window.Width.Name},
		"limit":        {strconv.Itoa(limit(q.Window, from, p.api))},
	}
	if !q.Window.To.IsZero() {
		query.Set("end_time", strconv.FormatInt(q.Window.To.Unix(), 10))
	}
	if len(asked) > 0 {
		query["group_by"] = asked
	}
	filters, err := api.DecodeFilters(q.Filters)
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", q.Endpoint.Name, err)
	}
	maps.Copy(query, filters)
	d := newDecoder(q.Endpoint, read.Columns())
	req := request{
		name:     q.Endpoint.Name,
		path:     q.Endpoint.Path,
		query:    query,
		priority: pr,
		inquiry:  inquiry{path: q.Endpoint.Path, scope: q.Endpoint.Scope, dimensions: asked, baseURL: c.base.Redacted()},
	}
	seen, misplanned := make(map[string]bool), false
	var used usage
	defer func() { c.report(q.Endpoint, used) }()
	for pages := 1; ; pages++ {
		var next page
		err := c.retry(ctx, req, func(a answer) error {
			body := &countedBody{r: a.body}
			defer func() { used.page(body.read, d.rows) }()
			if read.AsOf.IsZero() {
				// The first page's now is frozen in the cursor, so it is the whole read's.
				read.AsOf = a.at
				if misplanned = p.wrong(a.at) || a.doubtful && !p.trusting; misplanned {
					return nil
				}
			}
			var err error
			next, err = d.page(body, read, keep(q.Window, read.AsOf))
			if err != nil {
				return bodyError(q.Endpoint, a.requestID, err)
			}
			if next.more && seen[next.cursor] {
				return bodyError(q.Endpoint, a.requestID, errors.New("the cursor repeats itself"))
			}
			if next.more && pages >= most {
				return boundError(q.Endpoint, fmt.Sprintf("has more than %d pages, which is more than there are buckets", most))
			}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
		if misplanned {
			return nil, nil, errClock
		}
		if err := c.exceeded(q.Endpoint, used, next.more); err != nil {
			return nil, nil, err
		}
		if !next.more {
			break
		}
		seen[next.cursor] = true
		// The other parameters are not part of the cursor: they are sent again.
		query.Set("page", next.cursor)
	}
	if !d.ambiguous {
		read.Organization = d.owner
	}
	return read, d.empty(asked), nil
}

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
		level.Debug(c.o.Logger).Log("msg", "Asking again", "endpoint", r.name, "err", err, "request_id", e.RequestID, "in", pause)
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// start is where a request begins: at the window's start, or later where a dimension is known only from some date on.
func start(e *api.Endpoint, asked []string, w ledger.Window) (time.Time, error) {
	for _, t := range []time.Time{w.From, w.To} {
		if !t.IsZero() && !t.Truncate(w.Width.Duration).Equal(t) {
			return time.Time{}, fmt.Errorf("read %s: the window's edge %s is not aligned to %s, which would give a partial bucket", e.Name, t.UTC().Format(time.RFC3339), w.Width.Name)
		}
	}
	if !w.To.IsZero() && !w.To.After(w.From) {
		return time.Time{}, fmt.Errorf("read %s: the window ends at %s, before it starts", e.Name, w.To.UTC().Format(time.RFC3339))
	}
	from := w.From
	for _, name := range asked {
		d, _ := e.Dimension(name)
		if d.Since.IsZero() || !from.Before(d.Since) {
			continue
		}
		if from = d.Since.Truncate(w.Width.Duration); from.Before(d.Since) {
			from = from.Add(w.Width.Duration)
		}
	}
	return from, nil
}

// limit is how many buckets to ask for a page, up to the API's maximum: above it the API refuses, and without a limit
// it truncates silently.
func limit(w ledger.Window, from, now time.Time) int {
	return min(buckets(w, from, now), w.Width.Max)
}

// buckets is how many there are from a time to the end of a window, at least one.
func buckets(w ledger.Window, from, now time.Time) int {
	to := w.To
	if to.IsZero() {
		// Two more than now needs, because it is getting later.
		to = now.Add(2 * w.Width.Duration)
	}
	n := (to.Sub(from) + w.Width.Duration - 1) / w.Width.Duration
	return int(max(n, 1))
}

// keep says which buckets of an answer belong to the window. One that has not begun by the API's clock holds nothing
// yet, whatever the API fills in.
func keep(w ledger.Window, asOf time.Time) func(start, end time.Time) (bool, error) {
	return func(start, end time.Time) (bool, error) {
		if !start.Truncate(w.Width.Duration).Equal(start) {
			return false, fmt.Errorf("the bucket %s is not aligned to %s", start.Format(time.RFC3339), w.Width.Name)
		}
		if !end.IsZero() && end.Sub(start) > w.Width.Duration {
			return false, fmt.Errorf("the bucket %s is wider than %s", start.Format(time.RFC3339), w.Width.Name)
		}
		return !start.Before(w.From) && (w.To.IsZero() || start.Before(w.To)) && start.Before(asOf), nil
	}
}

// empty returns the dimensions asked for that no row has a value for, if there was a row.
func (d *decoder) empty(asked []string) []string {
	if d.rows == 0 {
		return nil
	}
	var out []string
	for i, name := range asked { // The columns begin with what was asked for.
		if !d.filled[i] {
			out = append(out, name)
		}
	}
	return slices.Clip(out)
}
