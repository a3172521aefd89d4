package pricing

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// Compare says in a line each which models have other prices in the second list than in the first one at a time, in the
// order of their names. Only names are compared that one of the lists has in full.
func Compare(before, after *List, at time.Time) []string {
	names := map[string]bool{}
	for _, l := range []*List{before, after} {
		for i := range l.entries {
			for _, c := range exactNames(&l.entries[i].match) {
				names[c.text] = true
			}
		}
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		was, is := before.find(name, at).spelled(), after.find(name, at).spelled()
		var changes []string
		for _, key := range Keys() {
			switch a, b := was[key], is[key]; {
			case a == b:
			case a == "":
				changes = append(changes, key+" "+b+" (new)")
			case b == "":
				changes = append(changes, key+" "+a+" (gone)")
			default:
				changes = append(changes, fmt.Sprintf("%s %s → %s", key, a, b))
			}
		}
		if len(changes) > 0 {
			out = append(out, name+": "+strings.Join(changes, ", "))
		}
	}
	return out
}

// Unpriced are the ids of the entries that have no price at a time, in the order of the list.
func (l *List) Unpriced(at time.Time) []string {
	var out []string
	for i := range l.entries {
		if t := l.entries[i].at(at); t == nil || len(t.prices) == 0 {
			out = append(out, l.entries[i].id)
		}
	}
	return out
}

// spelled are the prices and factors of a table by their keys, as a list spells them.
func (t *table) spelled() map[string]string {
	out := map[string]string{}
	if t == nil {
		return out
	}
	for name, key := range keys {
		if usd, ok := t.prices[key.slot]; ok {
			out[name] = rounded(usd.Mul(decimal.FromInt(key.per)))
		}
	}
	for name, tier := range factorKeys {
		if f, ok := t.factors[tier]; ok {
			out[name] = rounded(f)
		}
	}
	return out
}

// rounded spells a price without the digits that dividing and multiplying it has cost.
func rounded(usd decimal.Fixed) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.9f", usd.Float64()), "0"), ".")
}
