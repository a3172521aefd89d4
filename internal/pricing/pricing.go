// Package pricing says what usage costs before the bill does. A price is what the organization was really charged for
// the same thing on the last days of its bill, else what a price list says that the user has given, else what the
// built-in list says. What none of them knows has no price, and is counted as such: nothing is guessed.
package pricing

import "github.com/openai-exporter/openai_exporter/internal/decimal"

// A Tier is how a request was served. It decides what its tokens cost.
type Tier string

// The tiers that are known.
const (
	Standard  Tier = "standard"
	Batch     Tier = "batch"
	Flex      Tier = "flex"
	Priority  Tier = "priority"
	Ultrafast Tier = "ultrafast"
	// Scale is paid in advance, so that its tokens have no price.
	Scale Tier = "scale"

	// anyTier is the blend of all tiers, for usage that does not say how it was served.
	anyTier Tier = ""
	// regional is what processing in a region of the project's own makes of the price, in whatever tier.
	regional Tier = "regional"
	// unknownTier stands for every name of a tier that is not known. It has no price.
	unknownTier Tier = "unknown"
)

// tierNames are how usage and bills name tiers. OpenAI renamed priority to fast; older models still answer priority.
var tierNames = map[string]Tier{
	"":          Standard,
	"auto":      Standard,
	"default":   Standard,
	"standard":  Standard,
	"batch":     Batch,
	"flex":      Flex,
	"priority":  Priority,
	"fast":      Priority,
	"ultrafast": Ultrafast,
	"scale":     Scale,
}

// Knows says whether a service tier is known by that name.
func Knows(serviceTier string) bool {
	_, known := tierNames[serviceTier]
	return known
}

// Priced says whether tokens of a service tier have a price where their model has one.
func Priced(serviceTier string) bool {
	t, known := tierNames[serviceTier]
	return known && t.priced()
}

// priced says whether tokens of the tier have a price.
func (t Tier) priced() bool { return t != Scale && t != unknownTier }

// factor is what a tier makes of the standard price, where nothing is published for the model. OpenAI publishes batch and
// flex as half of it, and ultrafast as six times. That priority is twice the price is true of most models.
func (t Tier) factor() decimal.Fixed {
	switch t {
	case Batch, Flex:
		return decimal.FromInt(1).Quo(decimal.FromInt(2))
	case Priority:
		return decimal.FromInt(2)
	case Ultrafast:
		return decimal.FromInt(6)
	}
	return decimal.FromInt(1)
}

// A Modality is what tokens stand for. It is empty where a model has but one price for all of them.
type Modality string

// The modalities.
const (
	Text  Modality = "text"
	Audio Modality = "audio"
	Image Modality = "image"
)

// A Kind is what happened to tokens.
type Kind string

// The kinds. Cache writes go by how long they are kept, where that is said.
const (
	Input         Kind = "input"
	CachedInput   Kind = "cached input"
	CacheWrite    Kind = "cache writes"
	CacheWrite30m Kind = "cache writes 30m"
	CacheWrite12h Kind = "cache writes 12h"
	Output        Kind = "output"
)

// The units that prices are for. Those but tokens are the names of the measures that count them.
const (
	tokens          = "tokens"
	images          = "images"
	characters      = "characters"
	audioSeconds    = "audio_seconds"
	sessions        = "code_interpreter_sessions"
	fileSearchCalls = "file_search_calls"
	webSearchCalls  = "web_search_calls"

	// storage is what bills count storedBytes in, the level that usage has.
	storage     = "gibibyte_hours"
	storedBytes = "vector_store_bytes"
)

// A slot is something that has one price. Modality and kind are set only for tokens.
type slot struct {
	unit     string
	modality Modality
	kind     Kind
}

// A table holds the prices of one model, from one source, in US dollars a unit.
type table struct {
	prices map[slot]decimal.Fixed
	// free is which share of a slot is free, day after day.
	free map[slot]decimal.Fixed
	// factors are what tiers make of the standard price, where the source says so.
	factors map[Tier]decimal.Fixed
	// split says that the source tells modalities apart, so that the price of one is not that of another.
	split bool
}

func (t *table) set(s slot, usd decimal.Fixed) {
	if t.prices == nil {
		t.prices = map[slot]decimal.Fixed{}
	}
	t.prices[s] = usd
	t.split = t.split || s.modality == Audio || s.modality == Image
}

func (t *table) setFree(s slot, share decimal.Fixed) {
	if share.IsZero() {
		return
	}
	if t.free == nil {
		t.free = map[slot]decimal.Fixed{}
	}
	t.free[s] = share
}

func (t *table) setFactor(tier Tier, factor decimal.Fixed) {
	if t.factors == nil {
		t.factors = map[Tier]decimal.Fixed{}
	}
	t.factors[tier] = factor
}

// price returns the price of a slot.
func (t *table) price(s slot) (decimal.Fixed, bool) {
	at, ok := t.find(s)
	if !ok {
		return decimal.Fixed{}, false
	}
	return t.prices[at], true
}

// paid returns what a unit of a slot costs on average where a share of it is free.
func (t *table) paid(s slot) (decimal.Fixed, bool) {
	at, ok := t.find(s)
	if !ok {
		return decimal.Fixed{}, false
	}
	usd := t.prices[at]
	return usd.Sub(usd.Mul(t.free[at])), true
}

// find returns the slot that has the price of another one, because the source does not tell them apart: tokens without a
// modality are text, modalities and retentions of a cache have one price where the source has only one.
func (t *table) find(s slot) (slot, bool) {
	if t == nil || len(t.prices) == 0 {
		return slot{}, false
	}
	if s.unit != tokens {
		_, ok := t.prices[s]
		return s, ok
	}
	kinds := []Kind{s.kind}
	switch s.kind {
	case CacheWrite30m, CacheWrite12h:
		kinds = append(kinds, CacheWrite)
	case CacheWrite:
		// What does not say how long it is kept is kept for the shorter time, which is the default.
		kinds = append(kinds, CacheWrite30m)
	}
	modalities := []Modality{s.modality}
	switch {
	case s.modality == Text || !t.split:
		modalities = append(modalities, "")
	case s.modality == "":
		modalities = append(modalities, Text)
	}
	for _, k := range kinds {
		for _, m := range modalities {
			at := slot{tokens, m, k}
			if _, ok := t.prices[at]; ok {
				return at, true
			}
		}
	}
	return slot{}, false
}

// hasTokens says whether the model is billed by tokens.
func (t *table) hasTokens() bool {
	if t == nil {
		return false
	}
	for s := range t.prices {
		if s.unit == tokens {
			return true
		}
	}
	return false
}
