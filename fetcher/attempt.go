package fetcher

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// An attempt reads a window from its first page to its last. Nothing of one that failed is used.
type attempt struct {
	client  *Client
	query   Query
	plan    plan
	request request
	decoder *decoder
	read    *ledger.Read

	most       int             // pages that can lead anywhere
	seen       map[string]bool // cursors
	used       usage
	misplanned bool // the first answer shows that the plan's clock is wrong
}

// attempt makes one attempt at a read. empty names the dimensions that no row has a value for.
func (c *Client) attempt(ctx context.Context, q Query, p plan, pr priority) (r *ledger.Read, empty []string, err error) {
	asked := q.Endpoint.GroupBy(q.GroupBy)
	read := ledger.NewRead(q.Endpoint, q.GroupBy, q.Window)
	if read.Begin, err = requestStart(q.Endpoint, asked, q.Window); err != nil {
		return nil, nil, err
	}
	if !q.Window.To.IsZero() && !read.Begin.Before(q.Window.To) {
		// All of the window lies before what the API can answer for this grouping.
		read.AsOf = p.api
		return read, nil, nil
	}
	query, err := parameters(q, asked, read.Begin, p.api)
	if err != nil {
		return nil, nil, err
	}
	d := newDecoder(q.Endpoint, read.Columns())
	d.next, d.width = read.Begin, q.Window.Width.Duration
	a := &attempt{
		client:  c,
		query:   q,
		plan:    p,
		decoder: d,
		read:    read,
		request: request{
			name:     q.Endpoint.Name,
			path:     q.Endpoint.Path,
			query:    query,
			priority: pr,
			inquiry:  inquiry{path: q.Endpoint.Path, scope: q.Endpoint.Scope, dimensions: asked, baseURL: c.base.Redacted()},
		},
		// A page holds a bucket at least, so a chain of pages that is longer than that leads nowhere. Some are granted,
		// since time goes on.
		most: buckets(q.Window, read.Begin, p.api) + 10,
		seen: make(map[string]bool),
	}
	defer func() { c.report(q.Endpoint, a.used) }()
	if err := a.pages(ctx); err != nil {
		return nil, nil, err
	}
	if !a.decoder.ambiguous {
		read.Organization = a.decoder.owner
	}
	return read, a.decoder.empty(asked), nil
}

// parameters are those of the first page's request.
func parameters(q Query, asked []string, from, now time.Time) (url.Values, error) {
	query := url.Values{
		"start_time":   {strconv.FormatInt(from.Unix(), 10)},
		"bucket_width": {q.Window.Width.Name},
		"limit":        {strconv.Itoa(limit(q.Window, from, now))},
	}
	if !q.Window.To.IsZero() {
		query.Set("end_time", strconv.FormatInt(q.Window.To.Unix(), 10))
	}
	if len(asked) > 0 {
		query["group_by"] = asked
	}
	filters, err := api.DecodeFilters(q.Filters)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", q.Endpoint.Name, err)
	}
	maps.Copy(query, filters)
	return query, nil
}

// pages reads one page after the other.
func (a *attempt) pages(ctx context.Context) error {
	for {
		var next page
		err := a.client.retry(ctx, a.request, func(answer answer) (err error) {
			next, err = a.take(answer)
			return err
		})
		if err != nil {
			return err
		}
		if a.misplanned {
			return errClock
		}
		if err := a.client.exceeded(a.query.Endpoint, a.used, next.more); err != nil {
			return err
		}
		if !next.more {
			return nil
		}
		a.seen[next.cursor] = true
		// The other parameters are not part of the cursor: they are sent again.
		a.request.query.Set("page", next.cursor)
	}
}

// take takes a page's rows over, unless it shows that the window was planned by a wrong clock.
func (a *attempt) take(answer answer) (page, error) {
	e := a.query.Endpoint
	body := &countedBody{r: answer.body}
	defer func() { a.used.page(body.read, a.decoder.rows) }()
	switch {
	case a.used.pages == 0:
		a.read.Key = answer.key
	case a.read.Key != answer.key:
		a.read.Key = 0 // It was replaced between two pages.
	}
	if a.read.AsOf.IsZero() {
		// The first page's now is frozen in the cursor, so it is the whole read's.
		a.read.AsOf = answer.at
		if a.misplanned = a.plan.wrong(answer.at) || answer.doubtful && !a.plan.trusting; a.misplanned {
			return page{}, nil
		}
	}
	next, err := a.decoder.page(body, a.read, keep(a.query.Window, a.read.AsOf))
	switch {
	case err != nil:
		return next, bodyError(e, answer.requestID, err)
	case next.more && a.seen[next.cursor]:
		return next, bodyError(e, answer.requestID, errors.New("the cursor in next_page repeats an earlier one"))
	case next.more && a.used.pages+1 >= a.most:
		return next, boundError(e, fmt.Sprintf("has more than %d pages, which is more than there are buckets", a.most))
	}
	return next, nil
}

// empty returns the dimensions asked for that no row has a value for, if there was a row.
func (d *decoder) empty(asked []string) []string {
	if d.rows == 0 {
		return nil
	}
	var out []string
	for i, name := range asked { // The columns begin with what was asked for.
		if !d.filled.Has(i) {
			out = append(out, name)
		}
	}
	return slices.Clip(out)
}
