package pricing

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// maxList is far above the largest list there is, which has all providers and is below 2 MiB.
const maxList = 16 << 20

// provider is the one of a list's providers that is read.
const provider = "openai"

// A List is a list of prices in the format of genai-prices, with a few keys more. It does not change once loaded.
type List struct {
	// Modified is when the file was last changed; zero for a list that came from no file.
	Modified time.Time

	entries []entry
}

type entry struct {
	id    string
	match clause
	// prices are those that hold at different times: the last one whose constraint is met counts, else the first.
	prices []conditional
}

// keys are the prices that a model may have, in US dollars for so many units.
var keys = map[string]struct {
	slot slot
	per  int64
}{
	"input_mtok":            {slot{tokens, "", Input}, 1_000_000},
	"cache_write_mtok":      {slot{tokens, "", CacheWrite}, 1_000_000},
	"cache_read_mtok":       {slot{tokens, "", CachedInput}, 1_000_000},
	"output_mtok":           {slot{tokens, "", Output}, 1_000_000},
	"input_text_mtok":       {slot{tokens, Text, Input}, 1_000_000},
	"cache_text_read_mtok":  {slot{tokens, Text, CachedInput}, 1_000_000},
	"output_text_mtok":      {slot{tokens, Text, Output}, 1_000_000},
	"input_audio_mtok":      {slot{tokens, Audio, Input}, 1_000_000},
	"cache_audio_read_mtok": {slot{tokens, Audio, CachedInput}, 1_000_000},
	"output_audio_mtok":     {slot{tokens, Audio, Output}, 1_000_000},
	"input_image_mtok":      {slot{tokens, Image, Input}, 1_000_000},
	"cache_image_read_mtok": {slot{tokens, Image, CachedInput}, 1_000_000},
	"output_image_mtok":     {slot{tokens, Image, Output}, 1_000_000},
	"input_mchars":          {slot{unit: characters}, 1_000_000},
	"input_audio_hours":     {slot{unit: audioSeconds}, 3600},
	"web_searches_kcount":   {slot{unit: webSearchCalls}, 1000},

	// Genai-prices has no keys for these. The names follow its style.
	"cache_write_30m_mtok":             {slot{tokens, "", CacheWrite30m}, 1_000_000},
	"cache_write_12h_mtok":             {slot{tokens, "", CacheWrite12h}, 1_000_000},
	"images_kcount":                    {slot{unit: images}, 1000},
	"code_interpreter_sessions_kcount": {slot{unit: sessions}, 1000},
	"file_searches_kcount":             {slot{unit: fileSearchCalls}, 1000},
}

// factorKeys are what a tier makes of the standard price of a model, where that is published. They are ours, too.
var factorKeys = map[string]Tier{
	"batch_factor":     Batch,
	"flex_factor":      Flex,
	"priority_factor":  Priority,
	"ultrafast_factor": Ultrafast,
	"regional_factor":  regional,
}

// Load reads a list from a file. The error is one line that says what is wrong, where, and what would be right.
func Load(path string) (*List, error) {
	f, err := os.Open(path)
	if err != nil {
		// The error of the system names the operation and the path.
		return nil, fmt.Errorf("read price list: %w: give the path of a readable JSON file in the format of genai-prices", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read price list: %w", err)
	}
	if info.IsDir() {
		return nil, fmt.Errorf("read price list %s: it is a directory: give the path of the file in it", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxList+1))
	if err != nil {
		return nil, fmt.Errorf("read price list %s: %w", path, err)
	}
	l, err := ParseList(b)
	if err != nil {
		return nil, fmt.Errorf("read price list %s: %w", path, err)
	}
	l.Modified = info.ModTime()
	return l, nil
}

// ParseList reads a list from JSON. Keys it does not know are left alone.
func ParseList(b []byte) (*List, error) {
	if len(b) > maxList {
		return nil, fmt.Errorf("it is larger than %d MiB: remove the other providers", maxList>>20)
	}
	if bytes.HasPrefix(b, []byte{0xff, 0xfe}) || bytes.HasPrefix(b, []byte{0xfe, 0xff}) {
		return nil, errors.New("it is in UTF-16: save it as UTF-8")
	}
	b = bytes.TrimPrefix(b, []byte("\ufeff")) // Some editors mark UTF-8.
	var syntax *json.SyntaxError
	var raw json.RawMessage
	if err := json.Unmarshal(b, &raw); errors.As(err, &syntax) {
		at := min(max(int(syntax.Offset), 0), len(b))
		return nil, fmt.Errorf("line %d: %s: correct the JSON", 1+bytes.Count(b[:at], []byte{'\n'}), oneLine(err))
	} else if err != nil {
		return nil, errors.New(oneLine(err))
	}
	l, err := parseProviders(raw)
	var m *misplaced
	if errors.As(err, &m) {
		return nil, fmt.Errorf("line %d: %w", m.place.line(b), err)
	}
	return l, err
}

func parseProviders(raw json.RawMessage) (*List, error) {
	type provided struct {
		ID     string          `json:"id"`
		Models json.RawMessage `json:"models"`
	}
	var found *provided
	var where place
	var providers []json.RawMessage
	if err := json.Unmarshal(raw, &providers); err != nil || providers == nil {
		return nil, errors.New(`want a list of providers, such as [{"id": "openai", "models": […]}]`)
	}
	for i, p := range providers {
		var one provided
		if err := json.Unmarshal(p, &one); err != nil {
			return nil, place{}.at(i).errorf(`want a provider, such as {"id": "openai", "models": […]}`)
		}
		if one.ID != provider {
			continue
		}
		if found != nil {
			return nil, place{}.at(i).errorf("there are two providers %q: merge them", provider)
		}
		found, where = &one, place{}.at(i).in("models")
	}
	if found == nil {
		return nil, fmt.Errorf("it has no provider with the id %q: add one, with the models to price", provider)
	}
	var models []json.RawMessage
	if err := json.Unmarshal(found.Models, &models); err != nil || models == nil {
		return nil, where.errorf("want a list of models")
	}
	l := &List{}
	for i, m := range models {
		e, err := parseEntry(m, where.at(i))
		if err != nil {
			return nil, err
		}
		l.entries = append(l.entries, e)
	}
	return l, nil
}

func parseEntry(raw json.RawMessage, where place) (entry, error) {
	var m struct {
		ID     string          `json:"id"`
		Match  json.RawMessage `json:"match"`
		Prices json.RawMessage `json:"prices"`
	}
	if err := json.Unmarshal(raw, &m); err != nil || m.ID == "" {
		return entry{}, where.errorf(`want a model with an "id", "match" and "prices"`)
	}
	where.text += fmt.Sprintf(" (%.60q)", m.ID)
	e := entry{id: m.ID}
	var err error
	switch {
	case len(m.Match) == 0:
		return entry{}, where.errorf(`it has no "match": add {"equals": %.60q}`, m.ID)
	case len(m.Prices) == 0:
		return entry{}, where.errorf(`it has no "prices": add them, or {} if no price is known`)
	}
	if e.match, err = parseClause(m.Match, where.in("match"), 0); err != nil {
		return entry{}, err
	}
	var list []json.RawMessage
	if err := json.Unmarshal(m.Prices, &list); err != nil {
		t, err := parsePrices(m.Prices, where.in("prices"))
		if err != nil {
			return entry{}, err
		}
		e.prices = []conditional{{table: t}}
		return e, nil
	}
	for i, p := range list {
		c, err := parseConditional(p, where.in("prices").at(i))
		if err != nil {
			return entry{}, err
		}
		e.prices = append(e.prices, c)
	}
	return e, nil
}

func parsePrices(raw json.RawMessage, where place) (table, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || members == nil {
		return table{}, where.errorf(`want an object such as {"input_mtok": 1.25}`)
	}
	var t table
	for _, name := range slices.Sorted(maps.Keys(members)) {
		key, isPrice := keys[name]
		tier, isFactor := factorKeys[name]
		v := members[name]
		if !isPrice && !isFactor || string(v) == "null" {
			continue
		}
		where := where.in(name)
		var tiered struct {
			Base json.RawMessage `json:"base"`
		}
		if isPrice && v[0] == '{' {
			// Usage does not say how long a request was, so the price of short ones is taken.
			if err := json.Unmarshal(v, &tiered); err != nil || len(tiered.Base) == 0 {
				return table{}, where.errorf(`want a number, or {"base": 2.5, "tiers": […]}`)
			}
			v = tiered.Base
		}
		usd, err := decimal.Parse([]byte(v))
		if err != nil {
			return table{}, where.errorf("want a number of US dollars: %s", oneLine(err))
		}
		if usd.Sign() < 0 {
			return table{}, where.errorf("a price can't be negative")
		}
		if isFactor {
			t.setFactor(tier, usd)
			continue
		}
		t.set(key.slot, usd.Quo(decimal.FromInt(key.per)))
	}
	return t, nil
}

// Keys are the prices and factors that a model of a list may have.
func Keys() []string {
	names := slices.AppendSeq(slices.Collect(maps.Keys(keys)), maps.Keys(factorKeys))
	slices.Sort(names)
	return names
}

// Entry is the id of the entry that a model's prices are in, "" if there is none. It is looked for under the exact name
// first, and only else without its snapshot date. Fine-tuned models are found by what the list says of fine-tuned models,
// never by their base.
func (l *List) Entry(model string) string {
	if e := l.entry(model); e != nil {
		return e.id
	}
	return ""
}

// find returns the prices of a model at a time.
func (l *List) find(model string, at time.Time) *table {
	if e := l.entry(model); e != nil {
		return e.at(at)
	}
	return nil
}

func (l *List) entry(name string) *entry {
	if l == nil || name == "" {
		return nil
	}
	names := []string{name}
	add := func(n string) {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	add(canonical(name))
	base, _ := undated(canonical(name))
	add(base)
	for _, n := range names {
		best, found := noMatch, (*entry)(nil)
		for i := range l.entries {
			if m := l.entries[i].match.match(n, isTuned(name)); m > best {
				best, found = m, &l.entries[i]
			}
		}
		if found != nil {
			return found
		}
	}
	return nil
}

// overlaid is t with the prices of more on top.
func (t *table) overlaid(more *table) *table {
	if t == nil || more == nil {
		if t == nil {
			return more
		}
		return t
	}
	sum := &table{split: t.split || more.split, prices: maps.Clone(t.prices)}
	for s, usd := range more.prices {
		sum.set(s, usd)
	}
	for _, from := range []*table{t, more} {
		for tier, factor := range from.factors {
			sum.setFactor(tier, factor)
		}
	}
	return sum
}
