package ledger

import "github.com/openai-exporter/openai_exporter/internal/decimal"

// A touch is what a stage has found out about a series, so that each is looked up once for all buckets.
type touch struct {
	id    uint32
	delta []decimal.Fixed     // of its measures, nil where nothing has changed
	seen  int64               // start of the newest bucket of the read that has it
	kin   [derivations]*touch // the series of its derived measures, where they are known
	price *cell               // scratch of price: what is priced of it
}

// touch is the touch of a series that exists.
func (st *stage) touch(id uint32) *touch {
	t := st.touched[id]
	if t == nil {
		t = &touch{id: id}
		st.touched[id] = t
	}
	return t
}

// add adds a difference of one of so many measures.
func (t *touch) add(measures, m int, delta decimal.Fixed) {
	if t.delta == nil {
		t.delta = make([]decimal.Fixed, measures)
	}
	t.delta[m] = t.delta[m].Add(delta)
}

// see notes that the API has the series in a bucket.
func (t *touch) see(start int64) { t.seen = max(t.seen, start) }

// A scratch is memory that a stage uses again for every replacement.
type scratch struct {
	key     []byte
	order   []uint64
	placed  []cell
	cells   [][]cell // by part
	encoded [][]byte // by part
	before  cellRoom
	paid    []decimal.Fixed
	series  []byte
}

// parts makes room for the parts of a replacement.
func (s *scratch) parts(n int) (cells [][]cell, encoded [][]byte) {
	for len(s.cells) < n {
		s.cells, s.encoded = append(s.cells, nil), append(s.encoded, nil)
	}
	return s.cells[:n], s.encoded[:n]
}
