package exporter

import (
	"maps"
	"math"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/openai-exporter/openai_exporter/collector"
	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// near is the share of a bound from which on it is worth a warning, and quiet how long the share has to stay below before
// the next warning. Polls and audits take turns, and one may be far below what the other is near.
const (
	near  = 0.8
	quiet = 24 * time.Hour
)

// A watch is the collector as an observer that also warns in the log before a bound is hit, once each time.
type watch struct {
	*collector.Collector
	views interface{ View() *ledger.View }
	log   log.Logger
	// listed is told when the projects of an organization were looked up.
	listed func(organization string)

	mu     sync.Mutex
	warned map[boundKey]time.Time // when it was last near
}

// A boundKey is what a bound is on. The endpoint is empty where the bound is an organization's.
type boundKey struct{ organization, endpoint, bound string }

func newWatch(c *collector.Collector, views interface{ View() *ledger.View }, logger log.Logger) *watch {
	return &watch{Collector: c, views: views, log: logger, warned: make(map[boundKey]time.Time)}
}

// Poll looks at the label sets of the organization, which only a poll makes more.
func (w *watch) Poll(organization, endpoint string, took time.Duration, err error) {
	w.Collector.Poll(organization, endpoint, took, err)
	if endpoint == fetcher.LookupProjects && err == nil && w.listed != nil {
		w.listed(organization)
	}
	for _, o := range w.views.View().Organizations {
		if o.Name == organization && w.news(boundKey{organization, "", "label_sets"}, float64(o.LabelSets)/float64(o.Limit)) {
			level.Warn(w.log).Log("msg", "The number of label sets is close to its limit, above which new ones are counted as \"other\": raise counters.max_label_sets, or group by fewer dimensions", "organization", organization, "label_sets", o.LabelSets, "max_label_sets", o.Limit)
		}
	}
}

// Bound looks at what a read has brought.
func (w *watch) Bound(organization, endpoint string, b fetcher.Bound, share float64) {
	w.Collector.Bound(organization, endpoint, b, share)
	if w.news(boundKey{organization, endpoint, string(b)}, share) {
		level.Warn(w.log).Log("msg", "A read was almost as large as the exporter allows, and polls with larger reads fail: group by fewer dimensions, or shorten lookback", "organization", organization, "endpoint", endpoint, "bound", b, "used", math.Round(100*share)/100)
	}
}

// news says whether the bound is near and the log does not know.
func (w *watch) news(b boundKey, share float64) bool {
	if share < near {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(w.warned, func(_ boundKey, near time.Time) bool { return now.Sub(near) > quiet })
	_, warned := w.warned[b]
	w.warned[b] = now
	return !warned
}
