package collector

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// A labelSet is the labels of a series, written once for all metrics that have it.
type labelSet struct {
	pairs []ledger.Label // sorted by name
	text  string         // as the text formats spell them, without the braces
	wire  int            // how long they are in protobuf
	// repaired: a value was not valid UTF-8, so that two label sets may have become one.
	repaired bool
	edge     bool // a block may begin with it
}

// newLabelSet makes a label set of two parts. The values are those of the arguments, not copies.
func newLabelSet(base, own []ledger.Label) *labelSet {
	s := &labelSet{pairs: make([]ledger.Label, 0, len(base)+len(own))}
	s.pairs = append(append(s.pairs, base...), own...)
	slices.SortFunc(s.pairs, func(a, b ledger.Label) int { return cmp.Compare(a.Name, b.Name) })
	size := 0
	for i := range s.pairs {
		p := &s.pairs[i]
		if !utf8.ValidString(p.Value) {
			// Every exposition format demands valid UTF-8, and Prometheus drops the whole scrape otherwise.
			p.Value, s.repaired = strings.ToValidUTF8(p.Value, string(utf8.RuneError)), true
		}
		size += len(p.Name) + len(p.Value) + len(`="",`)
		s.wire += lengthed(lengthed(len(p.Name)) + lengthed(len(p.Value)))
	}
	b := make([]byte, 0, size)
	for i := range s.pairs {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, s.pairs[i].Name...), `="`...)
		b = append(appendEscaped(b, s.pairs[i].Value, true), '"')
	}
	s.text = string(b)
	h := fnv.New32a()
	_, _ = h.Write(b) // It can't fail.
	s.edge = h.Sum32()%blockSamples == 0
	return s
}

func (s *labelSet) equal(o *labelSet) bool { return s == o || s.text == o.text }

func compareLabels(a, b *labelSet) int {
	if a == b {
		return 0
	}
	return cmp.Compare(a.text, b.text)
}

// appendEscaped appends a text as the text formats escape it, in which quotes are not special everywhere.
func appendEscaped(b []byte, s string, quotes bool) []byte {
	special := "\\\n"
	if quotes {
		special = "\\\n\""
	}
	for {
		i := strings.IndexAny(s, special)
		if i < 0 {
			return append(b, s...)
		}
		b = append(append(b, s[:i]...), '\\')
		if s[i] == '\n' {
			b = append(b, 'n')
		} else {
			b = append(b, s[i])
		}
		s = s[i+1:]
	}
}
