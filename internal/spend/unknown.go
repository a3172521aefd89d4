package spend

import (
	"strings"

	"github.com/go-kit/log/level"
)

// namedAtOnce is how many line items a line of the log names at most.
const namedAtOnce = 10

// An unknown is something that the bill or usage has and that nobody knows.
type unknown struct{ organization, kind, name string }

// mostNamed bounds what is remembered of names that are the API's: past it nothing more is named.
const mostNamed = 10_000

// news says whether the log has not named it yet.
func (b *Books) news(u unknown) bool {
	if _, logged := b.logged.Load(u); logged || b.loggedCount.Load() >= mostNamed {
		return false
	}
	_, named := b.logged.LoadOrStore(u, true)
	if !named {
		b.loggedCount.Add(1)
	}
	return !named
}

// nameTier tells the log of a service tier that has no price because nobody knows it.
func (b *Books) nameTier(organization, endpoint, tier string) {
	if logger := b.settings.Load().Logger; logger != nil && b.news(unknown{organization, "service_tier", tier}) {
		level.Warn(logger).Log("msg", "Unknown service tier; its usage has no price until it is on the bill, unless a newer version of the exporter knows the tier",
			"organization", organization, "endpoint", endpoint, "service_tier", tier)
	}
}

// nameModel tells the log of a model that has no price for some of its usage, in whatever tier.
func (b *Books) nameModel(organization, endpoint, model string) {
	if logger := b.settings.Load().Logger; logger != nil && b.news(unknown{organization, "model", model}) {
		level.Warn(logger).Log("msg", "No price for some usage of a model; until it is on the bill it is counted as unpriced and not as spent, so add a price in pricing.file",
			"organization", organization, "endpoint", endpoint, "model", model)
	}
}

// nameItems tells the log of line items that teach nothing because nobody knows how they are spelled.
func (b *Books) nameItems(organization string, items []string) {
	logger := b.settings.Load().Logger
	if logger == nil {
		return
	}
	var fresh []string
	for _, name := range items {
		if b.news(unknown{organization, "line_item", name}) {
			fresh = append(fresh, name)
		}
	}
	if len(fresh) > 0 {
		level.Warn(logger).Log("msg", "Unknown line items on the bill; they are counted as spent, but no price is derived from them, unless a newer version of the exporter knows them",
			"organization", organization, "count", len(fresh), "line_items", strings.Join(fresh[:min(namedAtOnce, len(fresh))], "; "))
	}
}
