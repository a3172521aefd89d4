package pricing

import (
	"cmp"
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// A Charge is what a closed day of the bill says of a line item in a unit. Charges of the same item, day and unit add up.
type Charge struct {
	Day      time.Time // the UTC day's start
	LineItem string
	Unit     string // quantity_unit of the quantities, "" for null
	// USD was charged for Quantity: both are of rows that have an amount above 0. Credits are not among them. Where amounts
	// and quantities are only known apart, they come in charges of their own.
	USD      decimal.Fixed
	Quantity decimal.Fixed
	// Free is the quantity of rows that have no amount.
	Free decimal.Fixed
}

// An EffectivePrice is what a line item really cost, per unit of the bill.
type EffectivePrice struct {
	LineItem, Unit string
	USD            decimal.Fixed
	// Says is what the line item says, as far as its spelling is known.
	Says Says
}

// Says is what a line item says in words of its own for each thing, "" for what it does not say.
type Says struct {
	Model string
	// TokenType is input, cached_input, cache_write or output.
	TokenType string
	Modality  string
	// ServiceTier is batch, flex, priority, ultrafast or scale.
	ServiceTier string
	// Context is long for requests above the model's first limit.
	Context string
}

// tokenTypes are kinds as one word each.
var tokenTypes = map[Kind]string{
	Input: "input", CachedInput: "cached_input", Output: "output",
	CacheWrite: "cache_write", CacheWrite30m: "cache_write", CacheWrite12h: "cache_write",
}

// says is what the item says.
func (l LineItem) says() Says {
	out := Says{Model: l.Model, TokenType: tokenTypes[l.Kind], Modality: string(l.Modality)}
	if l.Tier != Standard {
		out.ServiceTier = string(l.Tier)
	}
	if l.Long {
		out.Context = "long"
	}
	return out
}

// Learned are the prices that a bill teaches. They do not change once learned.
type Learned struct {
	models    map[string]*learnedModel // by canonical name; products by the name of the bill
	snapshots map[string][]string      // models that have a date, by their name without it, newest first
	effective []EffectivePrice
	unparsed  []string
	through   time.Time
}

// learnedModel holds a model's prices by tier, and under anyTier the blend of all tiers.
type learnedModel struct{ tiers map[Tier]*table }

// agreeOnModalities lets a tier know that another one tells modalities apart: it is the same model.
func (m *learnedModel) agreeOnModalities() {
	split := false
	for _, t := range m.tiers {
		split = split || t.split
	}
	for _, t := range m.tiers {
		t.split = split
	}
}

// units are the units of the bill: what they count, and how many of it one is.
var units = map[string]struct {
	unit string
	size int64
}{
	"tokens":           {tokens, 1},
	"1000_tokens":      {tokens, 1000},
	"duration_seconds": {audioSeconds, 1},
	"duration_minutes": {audioSeconds, 60},
	"duration_hours":   {audioSeconds, 3600},
	"gibibyte_hours":   {storage, 1},
	"images":           {images, 1},
	"characters":       {characters, 1},
}

// learnKey is something whose price is learned: a slot of a model in a tier.
type learnKey struct {
	model string
	tier  Tier
	slot
}

// Learn makes prices of the bill of closed days. A price is the charged amount over the charged quantity of the newest
// days on which there is one. What is free or negative teaches no price, since it is a gift or a credit. What is free in
// the same share day after day is kept as that share, apart from the price. Long context is not told apart by usage, so it
// is a part of the price of its kind.
func Learn(charges []Charge) *Learned {
	l := &Learned{models: map[string]*learnedModel{}, snapshots: map[string][]string{}}
	items := map[string]map[int64]*dayOf{}
	for _, c := range charges {
		if c.LineItem == "" {
			continue // A credit or a tax: nothing was bought.
		}
		if end := c.Day.UTC().Add(24 * time.Hour); end.After(l.through) {
			l.through = end
		}
		if items[c.LineItem] == nil {
			items[c.LineItem] = map[int64]*dayOf{}
		}
		if c.USD.Sign() < 0 || c.Quantity.Sign() < 0 || c.Free.Sign() < 0 {
			continue
		}
		d := items[c.LineItem][c.Day.Unix()]
		if d == nil {
			d = &dayOf{}
			items[c.LineItem][c.Day.Unix()] = d
		}
		d.add(c)
	}

	slots := map[learnKey]*history{}
	for name, byDay := range items {
		if !l.learnItem(name, byDay, slots) {
			l.unparsed = append(l.unparsed, name)
		}
	}
	for k, h := range slots {
		l.set(k, h.price(), h.freeShare())
	}
	slices.Sort(l.unparsed)
	slices.SortFunc(l.effective, func(a, b EffectivePrice) int {
		return cmp.Or(cmp.Compare(a.LineItem, b.LineItem), cmp.Compare(a.Unit, b.Unit))
	})
	l.index()
	return l
}

// learnItem learns from all days of a line item, and says whether its spelling and its units are known.
func (l *Learned) learnItem(name string, byDay map[int64]*dayOf, slots map[learnKey]*history) (understood bool) {
	item, known := ParseLineItem(name)
	understood = known
	byUnit, whole := map[string]days{}, map[string]days{}
	for day, d := range byDay {
		seen := d.seen()
		if _, _, fits := item.count(seen); len(seen) > 0 && !fits {
			understood = false
		}
		usd, charged := d.charged()
		unit, total, fits := item.count(charged)
		fits = fits && known
		for u, s := range charged {
			if len(charged) == 1 {
				s.usd = usd
			} else if fits {
				// What was paid for several units is shared out by how much of it each is.
				s.usd = usd.Mul(s.quantity.Mul(unitSize(u)).Quo(total))
			} else if !d.apart.IsZero() {
				continue // Nobody can tell what was paid for which.
			}
			if byUnit[u] == nil {
				byUnit[u] = days{}
			}
			byUnit[u][day] = s
		}
		if fits {
			if whole[unit] == nil {
				whole[unit] = days{}
			}
			whole[unit][day] = sum{usd, total, item.freeOf(unit, d)}
		}
	}
	for u, d := range byUnit {
		p := EffectivePrice{LineItem: name, Unit: u, USD: (&history{days: d, since: d.jumped()}).price()}
		if known {
			p.Says = item.says()
		}
		l.effective = append(l.effective, p)
	}
	for unit, d := range whole {
		for _, k := range item.teaches(unit) {
			if slots[k] == nil {
				slots[k] = &history{days: days{}}
			}
			slots[k].add(d)
		}
	}
	return understood
}

// index finishes what was learned for being looked up.
func (l *Learned) index() {
	for name, m := range l.models {
		m.agreeOnModalities()
		if base, dated := undated(name); dated {
			l.snapshots[base] = append(l.snapshots[base], name)
		}
	}
	for _, names := range l.snapshots {
		slices.Sort(names)
		slices.Reverse(names) // Dates sort as texts.
	}
}

// count adds up quantities in the one unit that all of them are in. They don't fit where the units of the bill have
// nothing in common or are not what the item is counted in.
func (l LineItem) count(quantities map[string]sum) (unit string, total decimal.Fixed, fits bool) {
	for u, s := range quantities {
		in := l.counted(u)
		if in == "" || unit != "" && unit != in {
			return "", decimal.Fixed{}, false
		}
		unit, total = in, total.Add(s.quantity.Mul(unitSize(u)))
	}
	return unit, total, unit != ""
}

// freeOf is how much of a unit was free beside what was charged on a day. Where amounts came apart from quantities nobody
// can tell.
func (l LineItem) freeOf(unit string, d *dayOf) decimal.Fixed {
	if len(d.free) == 0 {
		return decimal.Fixed{}
	}
	free := make(map[string]sum, len(d.free))
	for u, q := range d.free {
		free[u] = sum{quantity: q}
	}
	if in, total, fits := l.count(free); fits && in == unit && d.apart.IsZero() {
		return total
	}
	return decimal.Fixed{}
}

// unitSize is how much of what it counts a unit of the bill is.
func unitSize(unit string) decimal.Fixed {
	if u, ok := units[unit]; ok {
		return decimal.FromInt(u.size)
	}
	return decimal.FromInt(1)
}

// unknowable is the unit of what can't be counted in any, such as a model's tokens without a kind: it teaches nothing.
const unknowable = "unknowable"

// counted is what a unit of the bill counts for this item, empty where the two don't go together.
func (l LineItem) counted(unit string) string {
	natural := l.unit
	if natural == "" && l.Kind != "" {
		natural = tokens
	}
	if unit == "" || unit == "others" {
		// A bare number is a number of what the item is counted in, unless that has several units.
		switch {
		case natural == "":
			return unknowable
		case natural == audioSeconds, natural == storage, natural == tokens && unit != "":
			return ""
		}
		return natural
	}
	u, ok := units[unit]
	switch {
	case !ok:
		return ""
	case natural == "" && u.unit == tokens:
		return unknowable
	case natural == "", u.unit == natural:
		return u.unit
	case l.unit == "" && l.Kind == Input && u.unit == audioSeconds:
		return u.unit // Speech that is put in may be billed by its length.
	}
	return ""
}

// teaches says what the price of the item is the price of: tokens of a kind in their tier, and in the blend of all tiers.
// What is no token has one price, in whatever tier.
func (l LineItem) teaches(unit string) []learnKey {
	k := learnKey{model: canonical(l.Model), tier: Standard, slot: slot{unit: unit}}
	if l.Product != "" {
		k.model = l.Product
	}
	switch unit {
	case unknowable:
		return nil
	case tokens:
		if !l.Tier.priced() {
			return nil
		}
		k.tier, k.modality, k.kind = l.Tier, l.Modality, l.Kind
		blend := k
		blend.tier = anyTier
		return []learnKey{k, blend}
	}
	return []learnKey{k}
}

func (l *Learned) set(k learnKey, usd, free decimal.Fixed) {
	m := l.models[k.model]
	if m == nil {
		m = &learnedModel{tiers: map[Tier]*table{}}
		l.models[k.model] = m
	}
	if m.tiers[k.tier] == nil {
		m.tiers[k.tier] = &table{}
	}
	m.tiers[k.tier].set(k.slot, usd)
	m.tiers[k.tier].setFree(k.slot, free)
}

// Effective is what line items really cost, in the order of their names.
func (l *Learned) Effective() []EffectivePrice {
	if l == nil {
		return nil
	}
	return slices.Clone(l.effective)
}

// Unparsed are the line items that teach nothing because their spelling or their unit is not known.
func (l *Learned) Unparsed() []string {
	if l == nil {
		return nil
	}
	return slices.Clone(l.unparsed)
}

// Through is the end of the newest day that was learned from, zero if there was none.
func (l *Learned) Through() time.Time {
	if l == nil {
		return time.Time{}
	}
	return l.through
}

// find returns what the bill says of a model, the best name first: the exact one, then the one that lacks usage's
// date, or where usage has none the newest snapshot of the bill. Two snapshots are never taken for each other, since
// they have had different prices before.
func (l *Learned) find(name string) []*learnedModel {
	if l == nil {
		return nil
	}
	var out []*learnedModel
	name = canonical(name)
	if m := l.models[name]; m != nil {
		out = append(out, m)
	}
	base, dated := undated(name)
	switch {
	case dated:
		if m := l.models[base]; m != nil {
			out = append(out, m)
		}
	case len(l.snapshots[name]) > 0:
		out = append(out, l.models[l.snapshots[name][0]])
	}
	return out
}
