package ledger

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// numbers are bytes of the state that are written as unsigned varints.
func numbers(ns ...uint64) (b []byte) {
	for _, n := range ns {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

// TestCellsAreReadAsTheyWereWritten: up to the last id, and with whether anything could be derived of them.
func TestCellsAreReadAsTheyWereWritten(t *testing.T) {
	l := newLayouts(nil, []string{"requests", "tokens"})
	n := decimal.FromInt
	free := cell{id: 7, values: []decimal.Fixed{n(5), {}}}
	empty := cell{id: 8, values: make([]decimal.Fixed, 2), derived: [derivations]decimal.Fixed{n(3), {}}}
	last := cell{id: 1<<32 - 1, values: []decimal.Fixed{n(1), n(2)}, derived: [derivations]decimal.Fixed{{}, n(4)}}
	for name, cells := range map[string][]cell{
		"none":                       nil,
		"nothing is derived of it":   {free},
		"all":                        {free, empty, last},
		"the last id by itself":      {last},
		"nothing of several":         {{id: 0, values: free.values}, free},
		"something of the first one": {{id: 0, values: free.values, derived: last.derived}, free},
	} {
		plain := encodeCells(nil, l.current, cells)
		for _, derived := range []bool{false, true} {
			b, want := plain, make([]cell, len(cells))
			for i, c := range cells {
				if want[i] = c; !derived {
					want[i].derived = [derivations]decimal.Fixed{}
				}
			}
			if derived {
				b = encodeDerived(slices.Clone(plain), cells)
			}
			got, layout, hasDerived, err := l.decodeCells(b)
			if err != nil || layout != l.current || hasDerived != (derived || len(cells) == 0) || !slices.EqualFunc(got, want, func(a, b cell) bool {
				return a.id == b.id && a.equal(&b) && a.derived == b.derived
			}) {
				t.Errorf("%s, derived %t: read as %v, derived %t, error %v", name, derived, got, hasDerived, err)
			}
		}
	}
}

// TestMalformedCellsAreRefused: what no version has written is never taken for another series, not even where a number
// that is too large for an id would wrap around to one.
func TestMalformedCellsAreRefused(t *testing.T) {
	const ids = 1 << 32
	l := newLayouts(nil, []string{"requests", "tokens"})
	for name, b := range map[string][]byte{
		"no layout":                                 nil,
		"a layout that nobody has written":          numbers(1),
		"an id that is too large":                   numbers(0, ids, 0),
		"an id that is too large by one more":       numbers(0, ids+1, 0),
		"an id that is cut off":                     append(numbers(0), 0x80),
		"a measure that the layout lacks":           append(numbers(0, 7, 4), decimal.FromInt(1).AppendBinary(nil)...),
		"a value that is cut off":                   numbers(0, 7, 1),
		"what is derived of an id too large":        append(numbers(0, 1, 0, 0, ids+1, 1), decimal.FromInt(1).AppendBinary(nil)...),
		"what is derived of a cell that is missing": append(numbers(0, 7, 0, 0, 6, 1), decimal.FromInt(1).AppendBinary(nil)...),
		"what is derived behind the last cell":      append(numbers(0, 7, 0, 0, 8, 1), decimal.FromInt(1).AppendBinary(nil)...),
		"what no version derives":                   append(numbers(0, 7, 0, 0, 7, 1<<derivations), decimal.FromInt(1).AppendBinary(nil)...),
		"what is derived is cut off":                numbers(0, 7, 0, 0, 7, 1),
	} {
		if cells, _, _, err := l.decodeCells(b); err == nil {
			t.Errorf("%s is read as %v", name, cells)
		}
	}
}

// TestMalformedLabelsAreRefused: labels are a name and a value each.
func TestMalformedLabelsAreRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		texts []string
		torn  []byte
		want  []Label // none: it is refused
	}{
		"two labels":                    {texts: []string{"model", "m", "project_id", "p"}, want: []Label{{"model", "m"}, {"project_id", "p"}}},
		"a name alone":                  {texts: []string{"model"}},
		"a name after a label":          {texts: []string{"model", "m", "project_id"}},
		"a text that is cut off":        {texts: []string{"model"}, torn: []byte{2, 'm'}},
		"a length that is cut off":      {texts: []string{"model"}, torn: []byte{0x80}},
		"a length that nobody can have": {texts: []string{"model"}, torn: []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0}},
	} {
		var b []byte
		for _, text := range tc.texts {
			b = appendString(b, text)
		}
		got, err := labelsOf(indexKey(0, append(b, tc.torn...)))
		if refused := errors.Is(err, errSeries); refused != (tc.want == nil) || !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, error %v", name, got, err)
		}
	}
	if got, err := labelsOf(indexKey(0, nil)); got != nil || err != nil {
		t.Errorf("no label at all: %v, error %v", got, err)
	}
	if got, err := labelsOf(""); err == nil {
		t.Errorf("no group: %v", got)
	}
}

// TestMalformedAccountsAreRefused: what is torn or names what has no name is no money of anybody's.
func TestMalformedAccountsAreRefused(t *testing.T) {
	const names = 1 << 32
	n := newSymbols()
	a := newAccount()
	a.charge("p", Amounts{Charged: decimal.FromInt(2)})
	a.sales = map[Item]Sale{{"in", "tokens"}: {USD: decimal.FromInt(3)}}
	written := a.encode(n)
	got, err := decodeAccount(written, n)
	if err != nil || !maps.Equal(got.projects, a.projects) || !maps.Equal(got.sales, a.sales) {
		t.Fatalf("read as %+v, error %v", got, err)
	}
	head := written[:1+1+8] // flags, a mark of 0, and the mix
	after := func(bs ...[]byte) []byte { return slices.Concat(append([][]byte{head}, bs...)...) }
	one := decimal.FromInt(1).AppendBinary(nil)
	for name, b := range map[string][]byte{
		"nothing":                     {},
		"a mark that is cut off":      {0, 0x80},
		"a mark that never ends":      append([]byte{0}, slices.Repeat([]byte{0x80}, 30)...),
		"no count":                    head,
		"fewer projects than counted": after(numbers(2, 0, 0)),
		"a project without a name":    after(numbers(1, uint64(len(n.list)), 1), one),
		"a name that is too large":    after(numbers(1, names, 1), one),
		"an amount that is cut off":   after(numbers(1, 0, 1)),
		"an amount of no kind":        after(numbers(1, 0, 8), one),
		"an item without a name":      after(numbers(0, uint64(len(n.list)), 0, 1), one),
		"an item's name is too large": after(numbers(0, names, 0, 1), one),
		"a unit without a name":       after(numbers(0, 0, uint64(len(n.list)), 1), one),
		"a unit's name is too large":  after(numbers(0, 0, names, 1), one),
		"an item that is cut off":     after(numbers(0, 0)),
		"a sale that is cut off":      after(numbers(0, 0, 0, 1)),
	} {
		if got, err := decodeAccount(b, n); err == nil {
			t.Errorf("%s is read as %+v", name, got)
		}
	}
	if rest, err := new(account).header(head); err != nil || len(rest) > 0 {
		t.Errorf("the head by itself is followed by %v, error %v", rest, err)
	}
	for end := range len(head) {
		if got, err := decodeAccount(head[:end], n); err == nil {
			t.Errorf("the first %d bytes are read as %+v", end, got)
		}
	}
}
