// Package verify compares what Prometheus has recorded with what the API says now, so that everybody can see with
// their own numbers whether the recorded ones are right.
package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/metrics"

	"github.com/prometheus/common/model"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// A Source reads windows of the API. A fetcher.Client is one.
type Source interface {
	Read(ctx context.Context, q fetcher.Query) (*ledger.Read, error)
}

// An Organization is one to compare.
type Organization struct {
	Name   string
	Source Source
}

// An Endpoint is one to compare, with the grouping of its live metrics.
type Endpoint struct {
	Endpoint *api.Endpoint
	GroupBy  []string
	// Filters say which rows are recorded of an organization, by its name, as api.Filters encodes them.
	Filters map[string]string
}

// Options describe a comparison.
type Options struct {
	Organizations []Organization
	Endpoints     []Endpoint
	// From and To bound the range, both at midnight UTC.
	From, To time.Time
	// Range compares the sums of the whole range instead of those of each day.
	Range      bool
	Prometheus *Prometheus
	// Began is told what is compared next. It may be nil.
	Began func(organization, endpoint string)
}

// A Sum is one measure of one project of one endpoint on one day, both ways.
type Sum struct {
	Day          time.Time // the first day of the range where that is compared as a whole
	Organization string
	Endpoint     string
	Project      string // "" where there is none
	Measure      string
	// API is what the API says now, Recorded what Prometheus has.
	API, Recorded float64
}

// Difference is by how much the recorded sum is above the API's.
func (s Sum) Difference() float64 { return s.Recorded - s.API }

// noise is what adding up floats in another order may change, as a share.
const noise = 1e-9

// Share is the difference as a share of the API's sum, 0 where there is none but noise.
func (s Sum) Share() float64 {
	d := math.Abs(s.Difference())
	if d <= noise*max(math.Abs(s.API), math.Abs(s.Recorded)) {
		return 0
	}
	if s.API == 0 {
		return math.Copysign(math.Inf(1), s.Difference())
	}
	return s.Difference() / math.Abs(s.API)
}

// Equal says whether the difference is within a tolerance, given as a share.
func (s Sum) Equal(tolerance float64) bool { return math.Abs(s.Share()) <= tolerance }

type sumKey struct {
	day              int64
	project, measure string
}

// Run compares. The sums are in the order of organization, endpoint, day, project and measure; those that are zero
// both ways are left out.
func Run(ctx context.Context, o Options) ([]Sum, error) {
	var out []Sum
	for _, org := range o.Organizations {
		for _, e := range o.Endpoints {
			if e.Endpoint.Stock {
				continue // A level is not counted.
			}
			if o.Began != nil {
				o.Began(org.Name, e.Endpoint.Name)
			}
			sums := map[sumKey]*Sum{}
			at := func(day time.Time, project, measure string) *Sum {
				if o.Range {
					day = o.From
				}
				k := sumKey{day.Unix(), project, measure}
				if sums[k] == nil {
					sums[k] = &Sum{Day: day.UTC(), Organization: org.Name, Endpoint: e.Endpoint.Name, Project: project, Measure: measure}
				}
				return sums[k]
			}
			if err := o.said(ctx, org, e, at); err != nil {
				return nil, fmt.Errorf("read %s of %s: %w", e.Endpoint.Name, org.Name, err)
			}
			if err := o.recorded(ctx, org.Name, e, at); err != nil {
				return nil, err
			}
			for _, s := range slices.SortedFunc(maps.Values(sums), compareSums) {
				if s.API != 0 || s.Recorded != 0 {
					out = append(out, *s)
				}
			}
		}
	}
	return out, nil
}

func compareSums(a, b *Sum) int {
	return cmp.Or(a.Day.Compare(b.Day), cmp.Compare(a.Project, b.Project), cmp.Compare(a.Measure, b.Measure))
}

const (
	projectID = "project_id"
	lineItem  = "line_item"
	oneDay    = 24 * time.Hour
)

// said adds up what the API says.
func (o Options) said(ctx context.Context, org Organization, e Endpoint, at func(time.Time, string, string) *Sum) error {
	width, ok := e.Endpoint.WidthOf(oneDay)
	if !ok {
		return fmt.Errorf("%s has no daily buckets", e.Endpoint.Name)
	}
	// The quantities of the bill exist by line item only.
	groupBy := slices.DeleteFunc(e.Endpoint.GroupBy(e.GroupBy), func(d string) bool { return d != projectID && d != lineItem })
	for from := o.From; from.Before(o.To); {
		to := from.Add(time.Duration(width.Max) * oneDay)
		if to.After(o.To) {
			to = o.To
		}
		read, err := org.Source.Read(ctx, fetcher.Query{Endpoint: e.Endpoint, GroupBy: groupBy, Filters: e.Filters[org.Name], Window: ledger.Window{Width: width, From: from, To: to}})
		var fe *fetcher.Error
		switch {
		case errors.As(err, &fe) && fe.Class == fetcher.ClassNotFound:
			return nil // The organization does not have it; Prometheus may have something recorded nevertheless.
		case errors.As(err, &fe) && slices.Contains(groupBy, fe.Dimension):
			groupBy = slices.DeleteFunc(groupBy, func(d string) bool { return d == fe.Dimension })
			continue
		case err != nil:
			return err
		}
		err = read.Each(func(start time.Time, row ledger.Row, _ []ledger.Label) {
			for i, m := range row.Measures {
				at(start, project(row.Labels), e.Endpoint.Measures[m].Name).API += row.Values[i].Float64()
			}
		})
		if err != nil {
			return err
		}
		from = to
	}
	return nil
}

func project(labels []ledger.Label) string {
	for _, l := range labels {
		if l.Name == projectID {
			return l.Value
		}
	}
	return ""
}

// recorded adds up by how much the recorded counters have grown: the sum of the differences of neighbouring samples,
// where a counter that was reset has grown by what it shows.
func (o Options) recorded(ctx context.Context, organization string, e Endpoint, at func(time.Time, string, string) *Sum) error {
	measures := map[string]string{}
	for i := range e.Endpoint.Measures {
		m := &e.Endpoint.Measures[i]
		measures[metrics.Name(e.Endpoint, m)] = m.Name
	}
	name := e.Endpoint.Name
	if e.Endpoint.IsCosts() {
		name = ""
	}
	selector := o.Prometheus.selector(slices.Sorted(maps.Keys(measures)), organization, name)
	last := map[string]float64{} // by series
	err := o.Prometheus.before(ctx, selector, o.From, func(s *model.Sample) { last[s.Metric.String()] = float64(s.Value) })
	if err != nil {
		return err
	}
	for day := o.From; day.Before(o.To); day = day.Add(oneDay) {
		err := o.Prometheus.each(ctx, selector, day, day.Add(oneDay), func(s *model.SampleStream) {
			if len(s.Values) == 0 {
				return
			}
			key := s.Metric.String()
			before, known := last[key]
			if !known {
				// Nobody knows what a counter that appears with a value has counted, and when. Ours begin with zero.
				before = float64(s.Values[0].Value)
			}
			grown := 0.0
			for _, v := range s.Values {
				value := float64(v.Value)
				if value < before {
					before = 0
				}
				grown += value - before
				before = value
			}
			last[key] = before
			at(day, string(s.Metric[projectID]), measures[string(s.Metric[model.MetricNameLabel])]).Recorded += grown
		})
		if err != nil {
			return err
		}
	}
	return nil
}
