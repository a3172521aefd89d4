package fetcher

import (
	"fmt"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// requestStart is where a request begins: at the window's start, or later where a dimension is known only from some date on.
func requestStart(e *api.Endpoint, asked []string, w ledger.Window) (time.Time, error) {
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
