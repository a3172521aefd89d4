package collector

import (
	"bytes"
	"slices"
	"weak"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// A piece is a family on its way into bytes. Families are shared and never changed, so equal pieces are equal bytes.
type piece struct {
	family *dto.MetricFamily
	// follows: another family of the same name comes before it, so that only its samples are written.
	follows bool
	// total is the length of the samples of all families of the name where several are one message, else 0.
	total int
}

// A mark tells a piece from others without keeping its family in memory: bytes may outlive what they were made of.
type mark struct {
	family  weak.Pointer[dto.MetricFamily]
	follows bool
	total   int
}

// A chunk is some pieces in one format and coding. It is what is made anew when one of them changes.
type chunk struct {
	marks []mark
	part
}

const (
	// So many pieces make a chunk: counted in pieces and not in samples, so that a new series moves no other chunk's edge.
	chunkPieces = 32
	// A family with as many samples as this is a chunk of its own.
	largeFamily = 4096
)

// splits says whether families of one name can be written one after the other in a format.
func splits(f expfmt.Format) bool {
	switch f.FormatType() {
	case expfmt.TypeTextPlain, expfmt.TypeOpenMetrics, expfmt.TypeProtoDelim:
		return true
	}
	return false
}

// encodeChunks writes families as a part that others follow. Chunks of which nothing has changed are those from before.
func encodeChunks(families []*dto.MetricFamily, v variant, before *encoded, with *coder) ([]*chunk, error) {
	old := make(map[mark]*chunk)
	if before != nil {
		for _, c := range before.chunks {
			old[c.marks[0]] = c
		}
	}
	var chunks []*chunk
	var plain bytes.Buffer
	for pieces := range cut(piecesOf(families, v.format)) {
		marks := make([]mark, len(pieces))
		for i, p := range pieces {
			marks[i] = mark{weak.Make(p.family), p.follows, p.total}
		}
		if c := old[marks[0]]; c != nil && slices.Equal(c.marks, marks) {
			chunks = append(chunks, c)
			continue
		}
		plain.Reset()
		for _, p := range pieces {
			if err := p.write(&plain, v.format); err != nil {
				return nil, err
			}
		}
		coded, err := with.code(v.coding, plain.Bytes())
		if err != nil {
			return nil, err
		}
		chunks = append(chunks, &chunk{marks, coded})
	}
	return chunks, nil
}

// encodeEnd writes families with the format's end.
func encodeEnd(families []*dto.MetricFamily, v variant, with *coder) (part, error) {
	var plain bytes.Buffer
	e := expfmt.NewEncoder(&plain, v.format)
	for _, f := range families {
		if err := e.Encode(f); err != nil {
			return part{}, err
		}
	}
	if closer, ok := e.(expfmt.Closer); ok {
		if err := closer.Close(); err != nil {
			return part{}, err
		}
	}
	return with.code(v.coding, plain.Bytes())
}

func piecesOf(families []*dto.MetricFamily, format expfmt.Format) []piece {
	out := make([]piece, 0, len(families))
	for group := range sameName(families) {
		total := 0
		if len(group) > 1 && format.FormatType() == expfmt.TypeProtoDelim {
			for _, f := range group {
				total += proto.Size(&dto.MetricFamily{Metric: f.Metric})
			}
		}
		for i, f := range group {
			p := piece{family: f, follows: i > 0}
			if i == 0 {
				p.total = total
			}
			out = append(out, p)
		}
	}
	return out
}

// cut goes through pieces, a chunk at a time.
func cut(pieces []piece) func(yield func([]piece) bool) {
	return func(yield func([]piece) bool) {
		for len(pieces) > 0 {
			n := 1
			if len(pieces[0].family.Metric) < largeFamily {
				for n < len(pieces) && n < chunkPieces && len(pieces[n].family.Metric) < largeFamily {
					n++
				}
			}
			if !yield(pieces[:n:n]) {
				return
			}
			pieces = pieces[n:]
		}
	}
}

// write appends the piece in a format.
func (p piece) write(b *bytes.Buffer, format expfmt.Format) error {
	if format.FormatType() == expfmt.TypeProtoDelim && (p.follows || p.total > 0) {
		return p.writeProto(b)
	}
	begin := b.Len()
	if err := expfmt.NewEncoder(b, format).Encode(p.family); err != nil || !p.follows {
		return err
	}
	// In the text formats a family begins with lines of comment, which no sample does.
	samples := b.Bytes()[begin:]
	for len(samples) > 0 && samples[0] == '#' {
		_, samples, _ = bytes.Cut(samples, []byte("\n"))
	}
	n := copy(b.Bytes()[begin:], samples)
	b.Truncate(begin + n)
	return nil
}

// writeProto appends the piece as a part of a message that is longer than it: fields of a message may come in parts.
func (p piece) writeProto(b *bytes.Buffer) error {
	if !p.follows {
		head, err := proto.Marshal(header(p.family))
		if err != nil {
			return err
		}
		b.Write(protowire.AppendVarint(nil, uint64(len(head)+p.total)))
		b.Write(head)
	}
	samples, err := proto.Marshal(&dto.MetricFamily{Metric: p.family.Metric})
	b.Write(samples)
	return err
}
