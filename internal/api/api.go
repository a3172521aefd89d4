// Package api holds the facts of OpenAI's organization Usage and Costs API: one table of endpoints with their paths,
// widths, limits, dimensions and measures. Request building, decoding, validation, metrics, documentation and the
// simulator all derive from it, so supporting a new field or dimension is one line here.
package api

import (
	"slices"
	"time"
)

// DefaultBaseURL is where the API lives unless a configuration says otherwise.
const DefaultBaseURL = "https://api.openai.com/v1"

// A Width is a bucket width that the API offers, with its page limits. The API counts buckets, not rows, and answers
// 400 above Max instead of clamping; below it a missing limit truncates silently, so a limit is always sent.
type Width struct {
	Name     string
	Duration time.Duration
	Default  int
	Max      int
}

// The widths of the usage endpoints, and the only one of costs.
var (
	Minute  = Width{Name: "1m", Duration: time.Minute, Default: 60, Max: 1440}
	Hour    = Width{Name: "1h", Duration: time.Hour, Default: 24, Max: 168}
	Day     = Width{Name: "1d", Duration: 24 * time.Hour, Default: 7, Max: 31}
	CostDay = Width{Name: "1d", Duration: 24 * time.Hour, Default: 7, Max: 180}
)

// A Dimension is something a result can be grouped by.
type Dimension struct {
	Name string // the API's name: the group_by value, the row's field
	// Label is the Prometheus label, the API's own name except for quantity_unit.
	Label string
	// Since is the earliest start_time the API accepts together with this dimension; zero when any is.
	Since time.Time
	// Help completes the sentence "The label holds …".
	Help string
}

// A Measure is one number that a row carries.
type Measure struct {
	// Name is the metric's own word: openai_usage_<name>_total.
	Name string
	// Fields are the JSON fields that carry it, the first one present and not null wins.
	Fields []string
	// By fixes the labels of this measure where they are not the endpoint's configured grouping. A By dimension that
	// can be grouped by counts only when it is configured.
	By []string
	// Rare says that most label sets never have any of it, so that a series of it begins when it first has some.
	Rare bool
	// Help completes "… as reported by the API, polled": what is counted, and what it includes.
	Help string
}

// An Endpoint is one resource of the API.
type Endpoint struct {
	Name       string // the value of the endpoint label
	Path       string // below the base URL
	Object     string // the object field of its rows
	Widths     []Width
	Dimensions []Dimension // what group_by accepts
	// Attributes are dimensions that rows carry on their own; they can't be asked for in group_by.
	Attributes []Dimension
	Measures   []Measure
	// Derived are what the ledger makes of every row when it books it: what the row is estimated to cost, and how much
	// of it has no price, in the order of the Derived constants. Levels and costs have none.
	Derived []Measure
	// Filters are the query parameters that narrow the result.
	Filters []string
	// Stock marks measures that are a level, not a flow: never summed over time, exposed as gauges.
	Stock bool
	// Scope is the permission the admin key needs.
	Scope string
}

// Costs is the name of the costs endpoint, which is configured apart from the usage endpoints.
const Costs = "costs"

// The names of measures that code has to single out.
const (
	MeasureRequests     = "requests"
	MeasureCost         = "cost_usd"
	MeasureCostQuantity = "cost_quantity"
)

// The order of an endpoint's derived measures.
const (
	DerivedCost     = iota // in US dollars
	DerivedUnpriced        // in the unit that the endpoint is billed by
)

// MeasureEstimate is the name of the derived measure in US dollars.
const MeasureEstimate = "estimated_cost_usd"

// Find returns the endpoint of that name.
func Find(name string) (*Endpoint, bool) {
	for i := range Endpoints {
		if Endpoints[i].Name == name {
			return &Endpoints[i], true
		}
	}
	return nil, false
}

// Width returns the width of that name that the endpoint offers.
func (e *Endpoint) Width(name string) (Width, bool) {
	for _, w := range e.Widths {
		if w.Name == name {
			return w, true
		}
	}
	return Width{}, false
}

// WidthOf returns the width of that duration that the endpoint offers.
func (e *Endpoint) WidthOf(d time.Duration) (Width, bool) {
	for _, w := range e.Widths {
		if w.Duration == d {
			return w, true
		}
	}
	return Width{}, false
}

// Dimension returns the dimension of that name, be it a grouping or an attribute.
func (e *Endpoint) Dimension(name string) (Dimension, bool) {
	for _, ds := range [][]Dimension{e.Dimensions, e.Attributes} {
		for _, d := range ds {
			if d.Name == name {
				return d, true
			}
		}
	}
	return Dimension{}, false
}

// Supports says whether group_by accepts the dimension.
func (e *Endpoint) Supports(dimension string) bool {
	return slices.ContainsFunc(e.Dimensions, func(d Dimension) bool { return d.Name == dimension })
}

// GroupBy cuts a wanted grouping down to what the endpoint supports, in the table's order and without repeats, so that
// equal groupings are equal slices.
func (e *Endpoint) GroupBy(wanted []string) []string {
	var out []string
	for _, d := range e.Dimensions {
		if slices.Contains(wanted, d.Name) {
			out = append(out, d.Name)
		}
	}
	return out
}

// IsCosts says whether this is the costs endpoint: money, whole UTC days.
func (e *Endpoint) IsCosts() bool { return e.Name == Costs }
