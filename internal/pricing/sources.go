package pricing

import (
	"maps"
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// sources are the tables that may price one model, best first.
type sources struct {
	learned  []*learnedModel
	products []*learnedModel
	lists    []listed
	// more are the lists' prices of products.
	more []listed
}

type listed struct {
	table  *table
	source string
}

func (p *Prices) sources(w what, at time.Time) sources {
	var s sources
	find := func(name string) []listed {
		return []listed{{p.o.File.find(name, at), SourceFile}, {p.builtin.find(name, at), SourceBuiltin}}
	}
	if !w.unknown {
		s.learned = p.o.Learned.find(w.model)
		s.lists = find(w.model)
	}
	for _, m := range w.endpoint.Measures {
		for _, product := range productOf[m.Name] {
			s.products = append(s.products, p.o.Learned.find(product)...)
			s.more = append(s.more, find(product)...)
		}
	}
	if billedByTokens(w.model) {
		for i := range s.lists {
			s.lists[i].table = s.lists[i].table.ofImages()
		}
	}
	return s
}

// ofImages is the table of a model that makes images. An image's tokens never cost what text does, so a list that has no
// price for any of them has none. One that knows what images cost to put in, and has one price for what comes out, means
// images by that.
func (t *table) ofImages() *table {
	if t == nil {
		return nil
	}
	out := &table{split: true, prices: maps.Clone(t.prices), factors: t.factors}
	_, aware := t.prices[slot{tokens, Image, Input}]
	_, said := t.prices[partSlots[partOutImage]]
	if usd, ok := t.prices[slot{tokens, "", Output}]; ok && aware && !said {
		out.set(partSlots[partOutImage], usd)
	}
	return out
}

// tokens prices a kind of token: as the bill did in this tier, else as it did in the standard tier times what the tier
// makes of it, else as lists do. A share that is free is that of the tier alone in which it was. The bill's prices have what regional processing costs in them, in the share of the newest
// days; those of lists do not.
func (s sources) tokens(k slot, t Tier, inRegion bool) quote {
	if !t.priced() {
		return quote{source: SourceNone}
	}
	for _, m := range s.learned {
		if usd, ok := m.tiers[t].paid(k); ok {
			return quote{usd, SourceBill}
		}
	}
	if t != anyTier && t != Standard {
		for _, m := range s.learned {
			if usd, ok := m.tiers[Standard].price(k); ok {
				return quote{usd.Mul(s.factor(t)), SourceBill}
			}
		}
	}
	for _, l := range s.lists {
		if k.modality == Audio && (l.table == nil || !l.table.split) {
			continue // Sound never costs what text does, so a list without a price for it has none.
		}
		if usd, ok := l.table.price(k); ok {
			if inRegion {
				usd = usd.Mul(s.factor(regional))
			}
			return quote{usd.Mul(s.factor(t)), l.source}
		}
	}
	return quote{source: SourceNone}
}

// factor is what a tier makes of the model's standard price: as a list has it for the model, else as it is for most.
func (s sources) factor(t Tier) decimal.Fixed {
	for _, l := range s.lists {
		if l.table == nil {
			continue
		}
		if f, ok := l.table.factors[t]; ok {
			return f
		}
	}
	return t.factor()
}

// unit prices what is not a token: by its model, else by its product if that may be.
func (s sources) unit(unit string, byProduct bool) quote {
	k := slot{unit: unit}
	learned, lists := s.learned, s.lists
	if byProduct {
		learned, lists = slices.Concat(learned, s.products), slices.Concat(lists, s.more)
	}
	for _, m := range learned {
		if usd, ok := m.tiers[Standard].paid(k); ok {
			return quote{usd, SourceBill}
		}
	}
	for _, source := range []string{SourceFile, SourceBuiltin} {
		for _, l := range lists {
			if usd, ok := l.table.price(k); ok && l.source == source {
				return quote{usd, source}
			}
		}
	}
	return quote{source: SourceNone}
}

// bill prices something as the bill of its product did, or not at all.
func (s sources) bill(unit string) quote {
	for _, m := range s.products {
		if usd, ok := m.tiers[Standard].paid(slot{unit: unit}); ok {
			return quote{usd, SourceBill}
		}
	}
	return quote{source: SourceNone}
}

func (s sources) hasTokens() bool {
	for _, m := range s.learned {
		for _, t := range m.tiers {
			if t.hasTokens() {
				return true
			}
		}
	}
	for _, l := range s.lists {
		if l.table.hasTokens() {
			return true
		}
	}
	return false
}
