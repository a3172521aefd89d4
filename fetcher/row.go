package fetcher

import (
	"bytes"
	"fmt"
	"math"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// row decodes a row into labels and values. A row is read whole, which checks its syntax, and then taken apart: it is
// short, and the fewer calls per token save most of the time.
func (d *decoder) row(row jsontext.Value) error {
	if row.Kind() != '{' {
		return wrongKind("a row", row)
	}
	clear(d.labels)
	clear(d.values)
	for i := range d.ranks {
		d.ranks[i] = math.MaxInt
	}
	measured := false
	for rest, place := between(row[1:]), 0; rest[0] != '}'; place++ {
		p := d.place(place, rest)
		rest = between(rest[len(p.name):])
		measured = measured || p.known && p.field.measure >= 0
		if len(p.raw) > 0 && bytes.HasPrefix(rest, p.raw) {
			// A text that the row before had, too.
			rest = between(rest[len(p.raw):])
			if p.known {
				d.labels[p.field.column] = p.label
			}
			continue
		}
		value := jsontext.Value(rest[:lengthOf(rest)])
		rest = between(rest[len(value):])
		if err := d.member(p, value); err != nil {
			return err
		}
	}
	if !measured {
		return d.unmeasured(row)
	}
	d.rows++
	for i, l := range d.labels {
		if l != "" {
			d.filled = d.filled.With(i)
		}
	}
	return nil
}

// unmeasured is the error of a row without any field that is counted. Such a row is not zero: its fields may have new
// names.
func (d *decoder) unmeasured(row jsontext.Value) error {
	const enough = 20
	var names []string
	for name := range membersOf(row) {
		if len(names) == enough {
			names = append(names, "…")
			break
		}
		names = append(names, shorten(string(d.unquote(name))))
	}
	return fmt.Errorf("a row has none of the fields that are counted, only: %s", strings.Join(names, ", "))
}

// truncated cuts a label value that is too long, between two characters.
func truncated(label []byte) []byte {
	if len(label) <= maxLabel {
		return label
	}
	n := maxLabel
	for n > 0 && label[n]&0xc0 == 0x80 {
		n--
	}
	return label[:n]
}

// mostPlaces bounds what is remembered of the members of a row.
const mostPlaces = 64

// A placed field is what stood at a place of the last row: the API writes the members of all rows in one order, and many
// of them with the same texts.
type placed struct {
	name  string // as it is quoted
	field field
	known bool
	owner bool   // it is the organization's id
	raw   []byte // the text as it is quoted, where it is a label or unknown
	label string
}

// place says what becomes of the member at a place of a row, which b begins with.
func (d *decoder) place(n int, b []byte) *placed {
	if n < len(d.places) && bytes.HasPrefix(b, []byte(d.places[n].name)) {
		return &d.places[n]
	}
	quoted := b[:lengthOf(b)]
	p := placed{name: string(quoted)}
	p.field, p.known = d.fields[string(d.unquote(quoted))]
	p.owner = p.name == `"organization_id"` && !p.known
	switch {
	case n < len(d.places):
		d.places[n] = p
		return &d.places[n]
	case n < mostPlaces:
		d.places = append(d.places, p)
		return &d.places[n]
	}
	return &p
}

// member takes the value of a member of a row.
func (d *decoder) member(p *placed, value jsontext.Value) error {
	const longest = 128 // What is longer is hardly the same twice.
	p.raw = p.raw[:0]
	switch f := p.field; {
	case !p.known:
		if p.owner && value[0] == '"' {
			d.owned(string(truncated(d.text(value))))
		}
		if value[0] == '"' && len(value) <= longest {
			p.raw = append(p.raw, value...)
		}
	case f.column >= 0:
		if kind := value[0]; kind == '{' || kind == '[' {
			return wrongKind(string(d.unquote([]byte(p.name))), value)
		}
		p.label = d.strings.get(truncated(d.text(value)))
		d.labels[f.column] = p.label
		if value[0] == '"' && len(value) <= longest {
			p.raw = append(p.raw, value...)
		}
	case value[0] != 'n' && f.rank <= d.ranks[f.measure]:
		v, err := d.number(value)
		if err != nil {
			return err
		}
		d.values[f.measure], d.ranks[f.measure] = v, f.rank
	}
	return nil
}
