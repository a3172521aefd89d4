package pricing

import (
	_ "embed" // The lists are part of the program.
	"sync"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// BuiltinDate is the date of the built-in list. Each entry of the second list has a date of its own.
var BuiltinDate = time.Date(2026, time.September, 23, 0, 0, 0, 0, time.UTC)

//go:embed builtin/openai.json
var builtinList []byte

//go:embed builtin/more.json
var builtinMore []byte

// builtinNames are the names under which entries of the built-in list are found whose match begins with, contains or
// resembles a text. Snapshot dates are left out, since they are cut off before.
var builtinNames = map[string][]string{
	"computer-use":                 {"computer-use-preview"},
	"ft:gpt-3.5-turbo-":            {"ft:gpt-3.5-turbo", "ft:gpt-3.5-turbo-0125", "ft:gpt-3.5-turbo-0613", "ft:gpt-3.5-turbo-1106"},
	"ft:gpt-4o":                    {"ft:gpt-4o"},
	"ft:gpt-4o-mini":               {"ft:gpt-4o-mini"},
	"gpt-3.5-turbo-instruct":       {"gpt-3.5-turbo-instruct"},
	"gpt-4.5-preview":              {"gpt-4.5-preview"},
	"gpt-4o-audio-preview":         {"gpt-4o-audio-preview"},
	"gpt-4o-mini-audio-preview":    {"gpt-4o-mini-audio-preview"},
	"gpt-4o-mini-realtime-preview": {"gpt-4o-mini-realtime-preview"},
	"gpt-4o-realtime-preview":      {"gpt-4o-realtime-preview"},
	"moderation":                   {"omni-moderation", "omni-moderation-latest", "text-moderation-latest", "text-moderation-stable"},
}

// A builtin is both lists as one. They are embedded and tested, so that they can be parsed.
type builtin struct{ list, more *List }

// builtinLists reads the lists once, since prices are made again with every day of the bill.
var builtinLists = sync.OnceValue(readBuiltin)

func readBuiltin() builtin {
	list, err := ParseBuiltin(builtinList)
	if err != nil {
		panic("built-in price list: " + err.Error())
	}
	more, err := ParseBuiltin(builtinMore)
	if err != nil {
		panic("built-in price list: " + err.Error())
	}
	return builtin{list, more}
}

// ParseBuiltin reads a list as the built-in one is read: its models are found by their exact names alone. A name that
// only begins like the name of a model may be that of another one, with another price.
func ParseBuiltin(b []byte) (*List, error) {
	l, err := ParseList(b)
	if err != nil {
		return nil, err
	}
	for i := range l.entries {
		e := &l.entries[i]
		names := exactNames(&e.match)
		for _, name := range builtinNames[e.id] {
			names = append(names, clause{op: "equals", text: name})
		}
		e.match = clause{op: "or", parts: names}
		for j := range e.prices {
			e.prices[j].table.keepTwelveHours()
		}
	}
	return l, nil
}

// exactNames are the names that a clause has in full.
func exactNames(c *clause) []clause {
	switch c.op {
	case "equals":
		return []clause{*c}
	case "or":
		var out []clause
		for i := range c.parts {
			out = append(out, exactNames(&c.parts[i])...)
		}
		return out
	}
	return nil
}

// keepTwelveHours adds the price of cache writes that are kept for 12 hours. OpenAI's guide to prompt caching has it as
// twice that of those kept for 30 minutes, for which the list has its one price.
func (t *table) keepTwelveHours() {
	long := slot{tokens, "", CacheWrite12h}
	usd, ok := t.prices[slot{tokens, "", CacheWrite}]
	if _, said := t.prices[long]; ok && !said {
		t.set(long, usd.Mul(decimal.FromInt(2)))
	}
}

func (b builtin) find(name string, at time.Time) *table {
	return b.list.find(name, at).overlaid(b.more.find(name, at))
}
