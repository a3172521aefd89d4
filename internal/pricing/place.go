package pricing

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// A place is where something stands in a list, for errors.
type place struct {
	text  string
	steps []any // names of members and indexes of items, from the outside
}

func (p place) at(i int) place {
	return place{fmt.Sprintf("%s[%d]", p.text, i), append(p.steps[:len(p.steps):len(p.steps)], i)}
}

func (p place) in(name string) place {
	return place{p.text + "." + name, append(p.steps[:len(p.steps):len(p.steps)], name)}
}

func (p place) errorf(format string, args ...any) error {
	return &misplaced{p, fmt.Sprintf(format, args...)}
}

// A misplaced is what is wrong at a place.
type misplaced struct {
	place place
	text  string
}

func (m *misplaced) Error() string { return m.place.text + ": " + m.text }

// line is the line of a text in JSON on which a place begins, or what it is in where the place is not there.
func (p place) line(b []byte) int {
	d := json.NewDecoder(bytes.NewReader(b))
	found := int64(0)
	for _, step := range p.steps {
		at, ok := enter(d, step)
		if !ok {
			break
		}
		found = at
	}
	if len(p.steps) > 0 && found == 0 {
		return 1
	}
	// What comes after the offset is white space, or a comma, before the item.
	rest := b[found:]
	if _, item := p.last(); item {
		rest = bytes.TrimLeft(rest, ", \t\r\n")
	}
	return 1 + bytes.Count(b[:len(b)-len(rest)], []byte{'\n'})
}

// last is the last step, and whether it is an item of a list.
func (p place) last() (step any, item bool) {
	if len(p.steps) == 0 {
		return nil, false
	}
	step = p.steps[len(p.steps)-1]
	_, item = step.(int)
	return step, item
}

// enter moves to an item of the list, or to the value of a member of the object, that comes next, and returns the offset
// before the item, or after the member's name.
func enter(d *json.Decoder, step any) (offset int64, ok bool) {
	open, err := d.Token()
	if err != nil {
		return 0, false
	}
	var skipped json.RawMessage
	for i := 0; d.More(); i++ {
		if open == json.Delim('[') {
			if step == i {
				return d.InputOffset(), true
			}
		} else {
			name, err := d.Token()
			if err != nil {
				return 0, false
			}
			if name == step {
				return d.InputOffset(), true
			}
		}
		if d.Decode(&skipped) != nil {
			return 0, false
		}
	}
	return 0, false
}
