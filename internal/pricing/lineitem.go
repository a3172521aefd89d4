package pricing

import "strings"

// A LineItem is what a line item of the bill says. Either Product or Model names what was bought; both are empty for
// usage that was recorded without a model.
type LineItem struct {
	// Prefix is what stands before the item and is no tier, such as "evals". It does not change the price.
	Prefix   string
	Tier     Tier
	Product  string // as the bill spells it
	Model    string // as the bill spells it, or as usage does where the two have nothing in common
	Modality Modality
	Kind     Kind // empty where the item does not say
	Long     bool // long context

	unit string // that the product is priced by
}

// products are the line items that name no model, or name it as usage never does.
var products = map[string]LineItem{
	"web search tool calls":     {Product: "web search tool calls", unit: webSearchCalls},
	"file search tool calls":    {Product: "file search tool calls", unit: fileSearchCalls},
	"code interpreter sessions": {Product: "code interpreter sessions", unit: sessions},
	"Image models":              {Product: "Image models", unit: images},
	"Vector storage":            {Product: "Vector storage", unit: storage},
	"whisper":                   {Model: "whisper-1", unit: audioSeconds},
	"tts":                       {Model: "tts-1", unit: characters},
	"tts hd":                    {Model: "tts-1-hd", unit: characters},
}

// storageProduct is billed as a search, but it is the space that vector stores take.
const (
	assistants     = "assistants api"
	storageProduct = "file search"

	assistantsStorage = assistants + " | " + storageProduct
)

// prefixes are those that are no tier and do not change the price. Any other prefix may change it.
var prefixes = map[string]bool{"evals": true, assistants: true}

// kinds are how bills spell kinds, after the field of the usage API sometimes.
var kinds = map[string]struct {
	kind     Kind
	modality Modality
}{
	"input":                        {kind: Input},
	"input_tokens":                 {kind: Input},
	"input_uncached_tokens":        {kind: Input},
	"input_text_tokens":            {Input, Text},
	"input_audio_tokens":           {Input, Audio},
	"input_image_tokens":           {Input, Image},
	"cached input":                 {kind: CachedInput},
	"cached input_tokens":          {kind: CachedInput},
	"input_cached_tokens":          {kind: CachedInput},
	"input_cached_text_tokens":     {CachedInput, Text},
	"input_cached_audio_tokens":    {CachedInput, Audio},
	"input_cached_image_tokens":    {CachedInput, Image},
	"cache writes":                 {kind: CacheWrite},
	"cache writes_tokens":          {kind: CacheWrite},
	"input_cache_write_tokens":     {kind: CacheWrite},
	"cache writes 30m":             {kind: CacheWrite30m},
	"cache writes (30m)":           {kind: CacheWrite30m},
	"input_cache_write_30m_tokens": {kind: CacheWrite30m},
	"cache writes 12h":             {kind: CacheWrite12h},
	"cache writes (12h)":           {kind: CacheWrite12h},
	"input_cache_write_12h_tokens": {kind: CacheWrite12h},
	"output":                       {kind: Output},
	"output_tokens":                {kind: Output},
	"output_text_tokens":           {Output, Text},
	"output_audio_tokens":          {Output, Audio},
	"output_image_tokens":          {Output, Image},
}

// ParseLineItem reads [prefix " | "] model [" " modality] [", " kind [", long context"]], a kind alone, or a product. It
// returns false for anything else, which must not be guessed at.
func ParseLineItem(s string) (LineItem, bool) {
	out, rest, ok := cutPrefixes(s)
	if !ok {
		return LineItem{}, false
	}
	if p, ok := products[rest]; ok {
		p.Prefix, p.Tier = out.Prefix, out.Tier
		return p, true
	}
	if rest == storageProduct && out.Prefix == assistants {
		out.Product, out.unit = assistantsStorage, storage
		return out, true
	}
	parts := strings.Split(rest, ", ")
	if last := len(parts) - 1; last > 0 && parts[last] == "long context" {
		out.Long, parts = true, parts[:last]
	}
	name := parts[0]
	if k, ok := kinds[name]; ok && len(parts) == 1 {
		// A kind alone: usage that was recorded without a model.
		out.Kind, out.Modality = k.kind, k.modality
		return out, true
	}
	name, modality, two := strings.Cut(name, " ")
	if two {
		out.Modality = Modality(modality)
		if out.Modality != Text && out.Modality != Audio && out.Modality != Image {
			return LineItem{}, false
		}
	}
	if !isModel(name) || isReserved(name) {
		return LineItem{}, false
	}
	out.Model = name
	switch len(parts) {
	case 1:
		// Without a kind nothing tells a model from any other word, but models have numbers.
		if out.Long || !strings.ContainsAny(name, "0123456789") {
			return LineItem{}, false
		}
		return out, true
	case 2:
		k, ok := kinds[parts[1]]
		if !ok || k.modality != "" && out.Modality != "" && k.modality != out.Modality {
			return LineItem{}, false
		}
		out.Kind = k.kind
		if k.modality != "" {
			out.Modality = k.modality
		}
		return out, true
	}
	return LineItem{}, false
}

// cutPrefixes takes off what stands before the name: a tier, or what the usage was a part of.
func cutPrefixes(s string) (out LineItem, rest string, ok bool) {
	out, rest = LineItem{Tier: Standard}, s
	for {
		prefix, after, found := strings.Cut(rest, " | ")
		if !found {
			return out, rest, true
		}
		t, isTier := tierNames[prefix]
		switch {
		case isTier && t != Standard && out.Tier == Standard:
			out.Tier = t
		case prefixes[prefix] && out.Prefix == "":
			out.Prefix = prefix
		default:
			return LineItem{}, "", false
		}
		rest = after
	}
}

// String spells the item as bills do.
func (l LineItem) String() string {
	var b strings.Builder
	for _, p := range []string{l.Prefix, string(l.Tier)} {
		if p != "" && p != string(Standard) {
			b.WriteString(p + " | ")
		}
	}
	switch {
	case l.Product == assistantsStorage:
		return b.String() + storageProduct
	case l.Product != "":
		return b.String() + l.Product
	case l.unit != "":
		for spelled, p := range products {
			if p.Model == l.Model {
				return b.String() + spelled
			}
		}
	}
	parts := []string{}
	if l.Model != "" {
		name := l.Model
		if l.Modality != "" {
			name += " " + string(l.Modality)
		}
		parts = append(parts, name)
	}
	if k := string(l.Kind); k != "" {
		if l.Model == "" && l.Modality != "" {
			// Without a model the modality stands in the name of the field.
			k = map[Kind]string{Input: "input_", CachedInput: "input_cached_", Output: "output_"}[l.Kind] + string(l.Modality) + "_tokens"
		}
		parts = append(parts, k)
	}
	if l.Long {
		parts = append(parts, "long context")
	}
	return b.String() + strings.Join(parts, ", ")
}

// isReserved says whether a name is a word of the grammar, which names no model.
func isReserved(name string) bool {
	_, kind := kinds[name]
	_, tier := tierNames[name]
	return kind || tier || prefixes[name] || name == string(Text) || name == string(Audio) || name == string(Image)
}

// isModel says whether a name has only what names of models have.
func isModel(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && strings.IndexByte("-._:/", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}
