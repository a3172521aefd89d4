package pricing

import (
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// The parts that the tokens of a row fall into, each with one price. They never overlap, unlike the fields they are
// made of.
const (
	partInText = iota
	partInAudio
	partInImage
	partCachedText
	partCachedAudio
	partCachedImage
	partWrite
	partWrite30m
	partWrite12h
	partOutText
	partOutAudio
	partOutImage
	parts
)

// partSlots says what each part is priced as. What a row does not attribute to a modality is text.
var partSlots = [parts]slot{
	partInText:      {tokens, Text, Input},
	partInAudio:     {tokens, Audio, Input},
	partInImage:     {tokens, Image, Input},
	partCachedText:  {tokens, Text, CachedInput},
	partCachedAudio: {tokens, Audio, CachedInput},
	partCachedImage: {tokens, Image, CachedInput},
	partWrite:       {tokens, Text, CacheWrite},
	partWrite30m:    {tokens, Text, CacheWrite30m},
	partWrite12h:    {tokens, Text, CacheWrite12h},
	partOutText:     {tokens, Text, Output},
	partOutAudio:    {tokens, Audio, Output},
	partOutImage:    {tokens, Image, Output},
}

// usage says at which index of an endpoint's measures the fields are that its parts are made of, -1 for those that it
// does not have.
type usage struct {
	input, uncached, inText, inAudio, inImage    int
	cached, cachedText, cachedAudio, cachedImage int
	write, write30m, write12h                    int
	output, outText, outAudio, outImage          int
}

func usageOf(e *api.Endpoint) usage {
	at := func(name string) int {
		for i, m := range e.Measures {
			if m.Name == name {
				return i
			}
		}
		return -1
	}
	return usage{
		input: at("input_tokens"), uncached: at("input_uncached_tokens"),
		inText: at("input_text_tokens"), inAudio: at("input_audio_tokens"), inImage: at("input_image_tokens"),
		cached: at("input_cached_tokens"), cachedText: at("input_cached_text_tokens"), cachedAudio: at("input_cached_audio_tokens"), cachedImage: at("input_cached_image_tokens"),
		write: at("input_cache_write_tokens"), write30m: at("input_cache_write_30m_tokens"), write12h: at("input_cache_write_12h_tokens"),
		output: at("output_tokens"), outText: at("output_text_tokens"), outAudio: at("output_audio_tokens"), outImage: at("output_image_tokens"),
	}
}

// parts takes a row's tokens apart. input_tokens and output_tokens are the whole, and every token is in exactly one part:
// what the other fields claim beyond the whole is cut off, since a field may have come late, and what they leave is
// text, or images where the model makes images. A whole that is missing is what its parts add up to.
func (u *usage) parts(values []decimal.Fixed, makesImages bool) [parts]decimal.Fixed {
	get := func(i int) decimal.Fixed {
		if i < 0 || i >= len(values) {
			return decimal.Fixed{}
		}
		return values[i].Max(decimal.Fixed{})
	}
	whole := func(i int, parts decimal.Fixed) decimal.Fixed {
		if w := get(i); !w.IsZero() {
			return w
		}
		return parts
	}
	var out [parts]decimal.Fixed

	cachedAudio, cachedImage := get(u.cachedAudio), get(u.cachedImage)
	cached := whole(u.cached, get(u.cachedText).Add(cachedAudio).Add(cachedImage))
	write30m, write12h := get(u.write30m), get(u.write12h)
	write := whole(u.write, write30m.Add(write12h))
	inAudio, inImage := get(u.inAudio), get(u.inImage)
	left := whole(u.input, cached.Add(write).Add(whole(u.uncached, get(u.inText).Add(inAudio).Add(inImage))))

	take(&cached, &left)
	out[partCachedAudio] = take(&cachedAudio, &cached)
	out[partCachedImage] = take(&cachedImage, &cached)
	out[partCachedText] = cached
	take(&write, &left)
	out[partWrite30m] = take(&write30m, &write)
	out[partWrite12h] = take(&write12h, &write)
	out[partWrite] = write
	out[partInAudio] = take(&inAudio, &left)
	out[partInImage] = take(&inImage, &left)
	out[partInText] = left

	outAudio, outImage := get(u.outAudio), get(u.outImage)
	made := whole(u.output, get(u.outText).Add(outAudio).Add(outImage))
	out[partOutAudio] = take(&outAudio, &made)
	out[partOutImage] = take(&outImage, &made)
	if makesImages {
		outText := get(u.outText)
		out[partOutText] = take(&outText, &made)
		out[partOutImage] = out[partOutImage].Add(made)
		return out
	}
	out[partOutText] = made
	return out
}

// take moves a part out of a whole, as much as is there, and returns it.
func take(part, whole *decimal.Fixed) decimal.Fixed {
	if part.Cmp(*whole) > 0 {
		*part = *whole
	}
	*whole = whole.Sub(*part)
	return *part
}
