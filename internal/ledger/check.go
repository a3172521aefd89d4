package ledger

import "github.com/openai-exporter/openai_exporter/internal/decimal"

// A checker looks whether buckets from disk can be read. It takes what decodeCells takes, of series that exist, and keeps
// nothing: with thousands of feeds most of a start would be spent on cells that nobody asks for.
type checker struct {
	layouts  *layouts
	position map[uint32]int
	ids      []uint32 // scratch
}

func (c *checker) check(b []byte) error {
	layout, b, err := uvarint(b, uint64(len(c.layouts.names))-1)
	if err != nil {
		return err
	}
	values := len(c.layouts.to[layout])
	c.ids = c.ids[:0]
	id, unknown, derived := uint32(0), false, false
	for len(b) > 0 && !derived {
		var step uint64
		if step, b, err = uvarint(b, 1<<32-1); err != nil {
			return err
		}
		if derived = step == 0 && len(c.ids) > 0; derived {
			break
		}
		id += uint32(step)
		if b, err = decodeValues(b, values, ignored); err != nil {
			return err
		}
		_, exists := c.position[id]
		unknown = unknown || !exists
		c.ids = append(c.ids, id)
	}
	if err := c.derived(b); err != nil {
		return err
	}
	if unknown {
		return errUnknownSeries
	}
	return nil
}

// derived looks at what is derived of cells.
func (c *checker) derived(b []byte) error {
	id, next := uint32(0), 0
	for len(b) > 0 {
		step, rest, err := uvarint(b, 1<<32-1)
		if err != nil {
			return err
		}
		id += uint32(step)
		for next < len(c.ids) && c.ids[next] < id {
			next++
		}
		if next == len(c.ids) || c.ids[next] != id {
			return errBucket
		}
		if b, err = decodeValues(rest, derivations, ignored); err != nil {
			return err
		}
	}
	return nil
}

func ignored(int, decimal.Fixed) {}
