package collector

import "io"

// A chunk is some blocks in a form: what is encoded again when one of them changes.
type chunk struct {
	pieces []piece
	part
}

// A piece is a block on its way into bytes: equal pieces are equal bytes.
type piece struct {
	block *block
	// first: the metric's head is written before it.
	first bool
	// size is that of all of the metric's samples where the head has to say so, else 0.
	size int
}

const (
	// chunkRuns is how many small runs make a chunk, about: the edges depend on the runs' origins and metrics alone.
	chunkRuns = 32
	// blockSamples is how many samples make a block, about: the edges depend on the labels alone. Every block of a run but
	// the first is a chunk.
	blockSamples = 1024
	// mostBytes bounds what is held in memory of a form. What is beyond it is encoded again for each scrape, which nobody
	// notices beside the time that so many bytes take on their way.
	mostBytes = 64 << 20
)

// pieces are the page's blocks in the order in which they are written.
func (p *page) pieces(f form) []piece {
	var out []piece
	e := encoderOf(f.format)
	for _, c := range p.columns {
		size := 0
		for b := range c.blocks {
			size += e.size(b)
		}
		first := true
		for b := range c.blocks {
			out = append(out, piece{b, first, size})
			first, size = false, 0
		}
	}
	return out
}

// cut goes through pieces, a chunk at a time. With zstd they are one chunk: blocks of a zstd frame refer to the blocks
// before them, so that parts made one by one can't be joined, and many decoders read only the first frame.
func cut(pieces []piece, c coding) func(yield func([]piece) bool) {
	return func(yield func([]piece) bool) {
		for len(pieces) > 0 {
			n := 1
			if c == zstandard {
				n = len(pieces)
			}
			for n < len(pieces) && !pieces[n].block.edge {
				n++
			}
			if !yield(pieces[:n:n]) {
				return
			}
			pieces = pieces[n:]
		}
	}
}

// encode makes the chunk's bytes. It returns the room that it took for the plain ones, for the next chunk.
func (k *chunk) encode(room []byte, f form, with *coder) (plain []byte, err error) {
	e := encoderOf(f.format)
	if f.coding == zstandard {
		k.part, err = with.stream(func(w io.Writer) error {
			for i := range k.pieces {
				if room, err = appendPieces(room[:0], k.pieces[i:i+1], e); err != nil {
					return err
				}
				if _, err := w.Write(room); err != nil {
					return err
				}
			}
			return nil
		})
		return room, err
	}
	if plain, err = appendPieces(room, k.pieces, e); err == nil {
		k.part, err = with.code(f.coding, plain)
	}
	return plain, err
}

// content returns the chunk's bytes, encoded again where there are too many to hold them, and room for the next ones.
func (k *chunk) content(room []byte, f form, with *coder) (content, plain []byte, err error) {
	if k.bytes != nil {
		return k.bytes, room, nil
	}
	if f.coding == identity {
		plain, err = appendPieces(room[:0], k.pieces, encoderOf(f.format))
		return plain, plain, err
	}
	again := chunk{pieces: k.pieces}
	plain, err = again.encode(room[:0], f, with)
	return again.bytes, plain, err
}

func appendPieces(b []byte, pieces []piece, e encoder) (_ []byte, err error) {
	for _, p := range pieces {
		if p.first {
			b = e.head(b, p.block.metric, p.size)
		}
		if b, err = e.block(b, p.block); err != nil {
			return nil, err
		}
	}
	return b, nil
}
