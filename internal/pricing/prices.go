package pricing

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// The sources of a price, the best one first.
const (
	SourceBill    = "bill"
	SourceFile    = "file"
	SourceBuiltin = "builtin"
	SourceNone    = "none"
)

// Options are where prices come from. All may be left out: the built-in prices are always there.
type Options struct {
	Learned *Learned
	File    *List
	// At is when the prices of lists that change with time are to hold for usage that does not say when it was; zero
	// means whenever they are asked for.
	At time.Time
}

// Prices tell what usage costs. They change with time alone, and any number of goroutines may use them; who learns again
// makes new ones.
type Prices struct {
	o       Options
	builtin builtin
	moments atomic.Pointer[[]*moment] // those that were asked for lately, the newest one first
}

// A moment is a time during which no price of a list changes, and what was resolved in it.
type moment struct {
	from time.Time // zero for since ever
	to   time.Time // exclusive, zero for never

	resolved sync.Map // of what to *resolution
	held     atomic.Int64
}

// maxResolved bounds what is remembered of a moment, and maxMoments how many moments are: usage comes from some days back, on
// which lists may have prices by the time of day. Resolving again is slower, and no more.
const (
	maxResolved = 20_000
	maxMoments  = 32
)

// New returns the prices of these sources.
func New(o Options) *Prices {
	return &Prices{o: o, builtin: builtinLists()}
}

// when is a time; zero is when prices are asked for.
func (p *Prices) when(at time.Time) time.Time {
	if at.IsZero() {
		at = p.o.At
	}
	if at.IsZero() {
		at = time.Now()
	}
	return at
}

// at is the moment that a time lies in.
func (p *Prices) at(at time.Time) *moment {
	var known []*moment
	if all := p.moments.Load(); all != nil {
		known = *all
	}
	for _, m := range known {
		if m.has(at) {
			return m
		}
	}
	m := &moment{}
	for _, l := range []*List{p.o.File, p.builtin.list, p.builtin.more} {
		from, to := l.span(at)
		if from.After(m.from) {
			m.from = from
		}
		if !to.IsZero() && (m.to.IsZero() || to.Before(m.to)) {
			m.to = to
		}
	}
	next := append([]*moment{m}, known[:min(len(known), maxMoments-1)]...)
	p.moments.Store(&next) // Of two at once one is forgotten, and made again.
	return m
}

func (m *moment) has(at time.Time) bool {
	return !at.Before(m.from) && (m.to.IsZero() || at.Before(m.to))
}

// Labels are what a row of usage says of its price.
type Labels struct {
	Model string
	// Batch is "true" for the Batch API.
	Batch string
	// ServiceTier is the API's service_tier. One that is not known has no price.
	ServiceTier string
	// TierKnown says that usage is grouped by batch and service_tier, so that a row that names neither is served in
	// the standard tier. Else it is priced by the blend of tiers that the bill shows.
	TierKnown bool
	// Regional says that the project's usage is processed in a region of its own.
	Regional bool
	// At is when the usage was, for prices that change with time. Zero is now.
	At time.Time
	// ModelUnknown says that usage is not grouped by model, so that an empty Model is any of them. What is priced by
	// model has no price then.
	ModelUnknown bool
}

func (l Labels) tier() Tier {
	named, known := tierNames[l.ServiceTier]
	switch {
	case !known:
		return unknownTier // The row may cost anything, by batch or not.
	case l.Batch == "true":
		return Batch
	case named != Standard:
		return named
	case l.TierKnown:
		return Standard
	}
	return anyTier
}

// what is something to resolve the prices of.
type what struct {
	endpoint *api.Endpoint
	model    string
	unknown  bool
	tier     Tier
	regional bool
}

// A quote is the price of one unit of something, from one source.
type quote struct {
	usd    decimal.Fixed
	source string
}

// A resolution is how rows of one endpoint, model and tier are priced.
type resolution struct {
	// unit is tokens or the name of the measure that is priced; empty where nothing is.
	unit   string
	usage  usage
	unitAt int
	// makesImages says that output tokens are images where the row does not say what they are.
	makesImages bool
	// free units cost nothing, and lack no price.
	free   bool
	quotes [parts]quote // by part for tokens, else the first alone
}

// Row says what a row of usage costs, and how many of its units have no price. See Rate.Row.
func (p *Prices) Row(e *api.Endpoint, l Labels, values []decimal.Fixed) (usd, unpriced decimal.Fixed) {
	return p.Rate(e, l).Row(l.At, values)
}

// A Rate prices rows that have the same labels. It is for one goroutine.
type Rate struct {
	prices *Prices
	what   what
	// moment is the one that the last row was in, and resolution how rows are priced in it.
	moment     *moment
	resolution *resolution
}

// Rate is the rate for labels, at whatever time.
func (p *Prices) Rate(e *api.Endpoint, l Labels) *Rate {
	return &Rate{prices: p, what: what{e, l.Model, l.ModelUnknown && l.Model == "", l.tier(), l.Regional}}
}

// Row says what a row costs that is of some time, zero for now, and how many of its units have no price. Values are in the
// order of the endpoint's measures. The bytes of vector stores are times hours, and have the bill's price or none. They and
// costs never count as without a price.
func (q *Rate) Row(at time.Time, values []decimal.Fixed) (usd, unpriced decimal.Fixed) {
	if at = q.prices.when(at); q.moment == nil || !q.moment.has(at) {
		q.moment = q.prices.at(at)
		q.resolution = q.prices.resolve(q.what, q.moment)
	}
	r := q.resolution
	switch {
	case r.free || r.unit == "":
		return usd, unpriced
	case r.unit == storage:
		usd, _ = r.quotes[0].of(values[r.unitAt].Quo(decimal.FromInt(1 << 30)))
		return usd, unpriced
	case r.unit != tokens:
		return r.quotes[0].of(values[r.unitAt])
	}
	for i, n := range r.usage.parts(values, r.makesImages) {
		if n.Sign() > 0 {
			u, lacking := r.quotes[i].of(n)
			usd, unpriced = usd.Add(u), unpriced.Add(lacking)
		}
	}
	return usd, unpriced
}

func (q quote) of(n decimal.Fixed) (usd, unpriced decimal.Fixed) {
	if q.source == SourceNone {
		return usd, n
	}
	return q.usd.Mul(n), unpriced
}

// Sources says where the prices of a model come from: bill, file, builtin or none. Where tokens are priced it is the
// worse one of input and output, of the modality that has the better one: other kinds may have no price for want of such
// traffic, and if there is some, the units without a price tell.
func (p *Prices) Sources(e *api.Endpoint, model string) string {
	r := p.resolve(what{endpoint: e, model: model, tier: anyTier}, p.at(p.when(time.Time{})))
	switch {
	case r.unit == "":
		return SourceNone
	case r.unit != tokens:
		return r.quotes[0].source
	case r.free:
		return SourceBuiltin // That it is free is what is built in.
	}
	source := r.best(partInText, partInAudio, partInImage)
	if r.usage.output >= 0 {
		source = worse(source, r.best(partOutText, partOutAudio, partOutImage))
	}
	return source
}

func (r *resolution) best(indices ...int) string {
	best := SourceNone
	for _, i := range indices {
		if worse(best, r.quotes[i].source) == best {
			best = r.quotes[i].source
		}
	}
	return best
}

func worse(a, b string) string {
	for _, s := range []string{SourceNone, SourceBuiltin, SourceFile} {
		if a == s || b == s {
			return s
		}
	}
	return SourceBill
}

// Time is what the prices of a source date from: the end of the newest day of the bill, the file's modification, or the
// date of the built-in list. It is zero for a source that is not there.
func (p *Prices) Time(source string) time.Time {
	switch {
	case source == SourceBill:
		return p.o.Learned.Through()
	case source == SourceFile && p.o.File != nil:
		return p.o.File.Modified
	case source == SourceBuiltin:
		return BuiltinDate
	}
	return time.Time{}
}

// Learned is what was learned from the bill.
func (p *Prices) Learned() *Learned { return p.o.Learned }

func (p *Prices) resolve(w what, m *moment) *resolution {
	if !w.endpoint.Supports("batch") {
		w.tier = anyTier // Nobody can say how it was served.
	}
	if r, ok := m.resolved.Load(w); ok {
		return r.(*resolution)
	}
	r := p.compute(w, m.from)
	if m.held.Load() < maxResolved {
		if _, loaded := m.resolved.LoadOrStore(w, r); !loaded {
			m.held.Add(1)
		}
	}
	return r
}

func (p *Prices) compute(w what, at time.Time) *resolution {
	r := &resolution{usage: usageOf(w.endpoint), unitAt: -1}
	if w.endpoint.IsCosts() {
		return r
	}
	s := p.sources(w, at)
	if w.endpoint.Stock {
		// What is free of storage is so for the whole organization: only the bill tells whether any of it costs something.
		r.unit, r.unitAt, r.quotes[0] = storage, 0, s.bill(storage)
		return r
	}
	if r.usage.input >= 0 {
		r.unit = tokens
		r.makesImages = billedByTokens(w.model)
		r.free = w.endpoint.Name == "moderations"
		for i := range r.quotes {
			r.quotes[i] = s.tokens(partSlots[i], w.tier, w.regional)
		}
		return r
	}
	for i, m := range w.endpoint.Measures {
		if productOf[m.Name] != nil {
			r.unit, r.unitAt = m.Name, i
		}
	}
	if r.unit == "" {
		return r
	}
	if r.unit == images && (billedByTokens(w.model) || s.hasTokens() && s.unit(images, false).source == SourceNone) {
		// The bill has the tokens of these images, and completions have counted them.
		r.free = true
		r.quotes[0] = quote{source: s.tokens(partSlots[partOutImage], w.tier, w.regional).source}
		return r
	}
	// Images of any model have one line item, but those of some are not on it.
	r.quotes[0] = s.unit(r.unit, r.unit != images || !w.unknown)
	return r
}

// productOf says for each measure that is priced by the unit under which names it is priced besides its model's.
var productOf = map[string][]string{
	images:          {"Image models"},
	characters:      {},
	audioSeconds:    {},
	sessions:        {"code interpreter sessions"},
	fileSearchCalls: {"file search tool calls"},
	webSearchCalls:  {"web search tool calls"},
	storedBytes:     {"Vector storage", assistantsStorage},
}

// String says where the prices come from, for a log.
func (p *Prices) String() string {
	var out []string
	for _, s := range []string{SourceBill, SourceFile, SourceBuiltin} {
		if t := p.Time(s); !t.IsZero() {
			out = append(out, s+" of "+t.UTC().Format(time.RFC3339))
		}
	}
	return strings.Join(out, ", ")
}
