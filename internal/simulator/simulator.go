// Package simulator is a faithful fake of OpenAI's organization Usage and Costs API, for the demo, the tests and the
// measurement of accuracy. Usage is a pure function of the seed, the label set and the minute: nothing is stored, any
// range of the past can be asked for, and the truth about it is known to the last digit. What the API is like (page
// shape, limits, cursors, lateness, errors) follows the published specification and what users of the API have
// reported; dimensions, measures, widths and limits come from the endpoint table.
package simulator

import (
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// Options say what the simulated organization is and how its API behaves.
type Options struct {
	// Seed decides everything that is random. Equal options and an equal clock give equal bytes.
	Seed uint64
	// Clock is the API's now, which the Date header of every answer follows; nil means time.Now.
	Clock func() time.Time
	// AdminKey is the key that is accepted; empty accepts any key but an empty one.
	AdminKey string
	// KeysWithoutScope are refused for want of a scope, in all the shapes that the API has for it.
	KeysWithoutScope []string
	// KeysWithoutManagement are refused by the look-ups alone, which need a scope of their own.
	KeysWithoutManagement []string
	// Scale multiplies the traffic; 0 means 1. Beyond 1000 a day's bill no longer fits the integers that it is made of.
	Scale float64
	// Streams is how many streams of traffic an endpoint has at most, by its name; one that is not named has all.
	Streams map[string]int
	// MixedTiers draws the tier of every stream of completions, so that most label sets without it are a blend.
	MixedTiers bool
	// ByContent has faults befall a request by what it asks for and when, not by how many came before it. Who asks
	// from several goroutines needs that to be repeatable.
	ByContent bool
	// Begin and End bound the usage: there is none outside [Begin,End). Zero means no bound.
	Begin, End time.Time
	// Spikes multiply the traffic of a project for a while.
	Spikes   []Spike
	Lateness Lateness
	Restate  Restatement
	Faults   Faults
	// RejectGroupBy names, per endpoint, dimensions that this organization may not group by: 400. "a+b" rejects the
	// two only together.
	RejectGroupBy map[string][]string
	// Missing are endpoints that this organization does not have: 404.
	Missing []string
	// StringAmounts spells amounts as strings of up to 39 decimals instead of numbers.
	StringAmounts bool
	// Prices change on these days of the bill. A change takes the place of the one before it.
	Prices []PriceChange
	// Credits adds a row with a negative amount, without line item and project, to every day of the bill. A counter
	// can't follow it, so it is off unless asked for.
	Credits bool
	// ResultKey is the field that holds a bucket's rows: "results", or "result" as the reference long said.
	ResultKey string
	// LegacyBefore is when measures that were renamed got their present name; zero means 2026-01-01.
	LegacyBefore time.Time
	// LabelSets adds that many label sets to completions, for load tests: each has a fine-tuned model of its own and
	// sees one request every LabelSetEvery. They are not billed.
	LabelSets int
	// LabelSetEvery is a whole number of hours; 0 means 1 h.
	LabelSetEvery time.Duration
	// Kept is how many bytes of buckets are kept as they were printed, of those that can't change any more: for who asks for
	// the same ones again and again. Zero keeps none.
	Kept int
	// Projects adds that many projects without traffic, each with one key, which the look-ups list.
	Projects int
	// Enforcing are the projects whose spend limit is being enforced, by id; "" stands for the organization.
	Enforcing []string
	// Renamed gives projects, by id, other names than they were created with.
	Renamed map[string]string
	// Organization is the organization's name; empty means Example Org.
	Organization string
}

// A PriceChange is what becomes of all prices, in thousandths of those at first, from a UTC day on.
type PriceChange struct {
	From   time.Time
	Factor int64
}

// A Simulator is one organization behind one API. It starts no goroutine and reads no clock but Options.Clock, save
// for the waits that faults ask for.
type Simulator struct {
	org   *organization
	scale int64

	mu    sync.Mutex
	o     Options
	cache *cache

	groupings groupings
	counter   atomic.Uint64
	log       requestLog
	gateway   *gateway
}

// New returns a simulator.
func New(o Options) *Simulator {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Scale == 0 {
		o.Scale = 1
	}
	if o.ResultKey == "" {
		o.ResultKey = "results"
	}
	if o.LegacyBefore.IsZero() {
		o.LegacyBefore = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if o.Organization == "" {
		o.Organization = "Example Org"
	}
	s := &Simulator{
		org:   newOrganization(o.Seed, o.Organization, o.Streams, o.MixedTiers, o.Projects, o.LabelSets, max(int64(o.LabelSetEvery/time.Hour), 1)),
		scale: max(int64(o.Scale*1000+0.5), 0),
		o:     o,
		cache: newCache(o.Kept),
	}
	s.gateway = newGateway(s)
	return s
}

// Handler serves the API under /v1/organization/.
func (s *Simulator) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// Now is the API's clock.
func (s *Simulator) Now() time.Time { return s.o.Clock() }

func (s *Simulator) change(f func(o *Options)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.o)
}

// SetFaults changes the faults from the next request on.
func (s *Simulator) SetFaults(f Faults) { s.change(func(o *Options) { o.Faults = f }) }

// SetLateness changes how late usage is, for past minutes too.
func (s *Simulator) SetLateness(l Lateness) { s.change(func(o *Options) { o.Lateness = l }) }

// SetRestatement changes what is restated, for past minutes too.
func (s *Simulator) SetRestatement(r Restatement) { s.change(func(o *Options) { o.Restate = r }) }

// AdminKey is the key that is accepted now.
func (s *Simulator) AdminKey() string { return s.view().o.AdminKey }

// SetAdminKey changes the key that is accepted.
func (s *Simulator) SetAdminKey(key string) { s.change(func(o *Options) { o.AdminKey = key }) }

// SetKeysWithoutScope changes which keys lack the scope.
func (s *Simulator) SetKeysWithoutScope(keys ...string) {
	s.change(func(o *Options) { o.KeysWithoutScope = slices.Clone(keys) })
}

// SetMissing changes which endpoints this organization does not have.
func (s *Simulator) SetMissing(endpoints ...string) {
	s.change(func(o *Options) { o.Missing = slices.Clone(endpoints) })
}

// SetRejectGroupBy changes which dimensions an endpoint refuses to group by.
func (s *Simulator) SetRejectGroupBy(endpoint string, dimensions ...string) {
	s.change(func(o *Options) {
		m := make(map[string][]string, len(o.RejectGroupBy)+1)
		for k, v := range o.RejectGroupBy {
			m[k] = v
		}
		m[endpoint] = slices.Clone(dimensions)
		o.RejectGroupBy = m
	})
}

// SetRenamed changes the names of projects, by id.
func (s *Simulator) SetRenamed(names map[string]string) {
	s.change(func(o *Options) { o.Renamed = maps.Clone(names) })
}

// SetEnforcing changes which spend limits are being enforced.
func (s *Simulator) SetEnforcing(projects ...string) {
	s.change(func(o *Options) { o.Enforcing = slices.Clone(projects) })
}

// SetKeysWithoutManagement changes which keys are refused by the look-ups alone.
func (s *Simulator) SetKeysWithoutManagement(keys ...string) {
	s.change(func(o *Options) { o.KeysWithoutManagement = slices.Clone(keys) })
}

// SetStringAmounts changes how amounts are spelled.
func (s *Simulator) SetStringAmounts(on bool) { s.change(func(o *Options) { o.StringAmounts = on }) }

// SetResultKey changes the field that holds a bucket's rows.
func (s *Simulator) SetResultKey(key string) { s.change(func(o *Options) { o.ResultKey = key }) }

// SetEnd stops the traffic at that moment. A zero time lets it run on, as if it had never stopped.
func (s *Simulator) SetEnd(t time.Time) {
	s.gateway.mu.Lock()
	defer s.gateway.mu.Unlock()
	s.gateway.end(t)
	s.changePast(func(o *Options) { o.End = t })
}

// changePast changes an option that decides what the final sums are, so that those in the cache no longer hold.
func (s *Simulator) changePast(f func(o *Options)) {
	s.change(func(o *Options) {
		f(o)
		s.cache = newCache(o.Kept)
	})
}

// A view is the simulator with its options held still, for one answer.
type view struct {
	s     *Simulator
	o     Options
	cache *cache
}

func (s *Simulator) view() *view {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &view{s: s, o: s.o, cache: s.cache}
}

// source returns the traffic of an endpoint of the table.
func (s *Simulator) source(e *api.Endpoint) *source { return s.org.sources[e.Name] }
