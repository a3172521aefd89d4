//go:build !race

package simulation_test

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/metrics"
)

// lastBucket holds the gauges of the newest closed bucket against what the API said of it when it was read.
func (o *oracle) lastBucket(got scraped, b *book, f *ledger.FeedView) {
	width := int64(b.window.Width.Duration / time.Second)
	through := f.ReadThrough.Unix()
	start := through - through%width - width
	configured := int64(60)
	if o.w.settings.width == "1h" {
		configured = 3600
	}
	at := int64(0)
	for _, p := range b.pages {
		switch {
		case p.start <= start && p.hole > 0 && p.hole-p.hole%3600 == start-start%3600:
			return // What an answer left out is not known, and the first read of an hour waits until it has all of it.
		case p.start <= start:
			at = p.at
		}
	}
	if b.date-b.asOf > 60 {
		return // By a Date that is ahead, the newest bucket is one that is yet to come.
	}
	if width != configured || at < start+width || b.pages[len(b.pages)-1].at-through >= width {
		return // It was not the newest poll that read it.
	}
	o.bucket(got, b, metrics.LastBucketName, o.truth(b, f.GroupBy, start, start+width, at))
}

// stock holds the gauges of a level against the newest one that the API has had in the window of the newest poll.
func (o *oracle) stock(got scraped, b *book, f *ledger.FeedView) {
	if len(b.pages) != 1 || b.pages[0].hole != 0 || !b.read.After(o.w.begun) || !b.read.After(o.w.configured) {
		return // A level is not kept over a restart, and another limit of label sets holds from the next poll on.
	}
	o.bucket(got, b, metrics.StockName, o.truth(b, f.GroupBy, b.window.From.Unix(), b.asOf, b.asOf))
}

// bucket holds gauges of some measures against what they have to be, per label set where nothing is folded. What is zero
// may be absent.
func (o *oracle) bucket(got scraped, b *book, nameOf func(*api.Measure) string, want []map[string]decimal.Fixed) {
	w := o.w
	organization := "organization=\"" + b.organization.name + "\""
	for i := range b.endpoint.Measures {
		name := nameOf(&b.endpoint.Measures[i])
		sum, shown := 0.0, map[string]bool{}
		at, _ := slices.BinarySearch(o.keys, name+"{")
		for _, key := range o.keys[at:] {
			n := got[key]
			if !strings.HasPrefix(key, name+"{") {
				break
			}
			if strings.Contains(key, organization) && strings.Contains(key, "endpoint=\""+b.endpoint.Name+"\"") {
				sum += n
				shown[key] = n != 0
			}
		}
		o.levels++
		if want := total(want[i]).Float64(); math.Abs(sum-want) > 1e-9*max(want, 1) {
			w.fault("%s of %s %s sums up to %v, the API said %v", name, b.organization.name, b.endpoint.Name, sum, want)
			continue
		}
		if b.folded || w.settings.labelSets < 1000 {
			continue
		}
		for l, v := range want[i] {
			key := name + "{" + sortLabels(l, "endpoint=\""+b.endpoint.Name+"\"", organization) + "}"
			if n := got[key]; n != v.Float64() {
				w.fault("%s is %v, the API said %s", key, n, v)
			}
			delete(shown, key)
		}
		for _, key := range sorted(shown) {
			if shown[key] {
				w.fault("%s is shown, and the API had no such thing", key)
			}
		}
	}
}
