package collector

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
)

// A coding is a content coding of HTTP.
type coding string

const (
	identity  coding = "identity"
	gzipped   coding = "gzip"
	zstandard coding = "zstd"
)

// A part is a piece of an answer in a coding. Parts can be joined in any order.
type part struct {
	bytes []byte
	checked
}

// checked is what the end of a gzip member says of the plain bytes, and how long the coded ones are.
type checked struct {
	crc          uint32
	plain, coded int
}

// and returns what is true of the bytes followed by others.
func (c checked) and(next checked) checked {
	return checked{combineCRC(c.crc, next.crc, next.plain), c.plain + next.plain, c.coded + next.coded}
}

// A coder applies codings. Its compressors are large, so they are used again, and so is the room for what they compress.
type coder struct {
	deflates     shelf[flate.Writer]
	zstds, rooms sync.Pool
}

// A shelf has what is used again. One thing outlives the garbage collections that empty a pool: most scrapes need one, and
// they may be a minute apart.
type shelf[T any] struct {
	one  atomic.Pointer[T]
	more sync.Pool
}

// take returns a thing, nil if there is none.
func (s *shelf[T]) take() *T {
	if one := s.one.Swap(nil); one != nil {
		return one
	}
	one, _ := s.more.Get().(*T)
	return one
}

func (s *shelf[T]) put(one *T) {
	if !s.one.CompareAndSwap(nil, one) {
		s.more.Put(one)
	}
}

// room returns empty room, to be put back into rooms.
func (c *coder) room() []byte {
	if b, ok := c.rooms.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return nil
}

// deflateLevel is the fastest that is nearly as dense as the default: metrics repeat themselves.
const deflateLevel = 2

// code returns the plain bytes as a part, in bytes of their own.
//
// A gzip part is raw deflate that begins without a dictionary and ends with a sync flush: on a whole byte, and not with
// a final block. Such parts are one stream of deflate when they follow each other, which is how pigz joins what several
// processors made. Several gzip members would be shorter to write, but many clients read only the first one: curl, wget
// and browsers among them.
func (c *coder) code(coding coding, plain []byte) (part, error) {
	if coding != gzipped {
		return part{bytes.Clone(plain), checked{plain: len(plain), coded: len(plain)}}, nil
	}
	w := c.deflates.take()
	if w == nil {
		var err error
		if w, err = flate.NewWriter(io.Discard, deflateLevel); err != nil {
			return part{}, err
		}
	}
	var coded bytes.Buffer
	w.Reset(&coded)
	if _, err := w.Write(plain); err != nil {
		return part{}, err
	}
	if err := w.Flush(); err != nil {
		return part{}, err
	}
	w.Reset(io.Discard) // Nobody must hold on to what was made.
	c.deflates.put(w)
	return part{bytes.Clone(coded.Bytes()), checked{crc32.ChecksumIEEE(plain), len(plain), coded.Len()}}, nil
}

// stream returns what is written as a zstd frame that is not at its end. It has no checksum, which would have to be made
// again of everything for each end.
func (c *coder) stream(write func(io.Writer) error) (part, error) {
	w, ok := c.zstds.Get().(*zstd.Encoder)
	if !ok {
		var err error
		w, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow))
		if err != nil {
			return part{}, err
		}
	}
	var coded bytes.Buffer
	w.Reset(&coded)
	if err := write(w); err != nil {
		return part{}, err
	}
	if err := w.Flush(); err != nil {
		return part{}, err
	}
	w.Reset(nil)
	c.zstds.Put(w)
	return part{bytes.Clone(coded.Bytes()), checked{coded: coded.Len()}}, nil
}

const (
	// zstdWindow is small enough for every decoder: browsers take up to 8 MiB.
	zstdWindow = 1 << 20
	// zstdBlock is the most that a block of zstd may hold.
	zstdBlock = 128 << 10
)

// last returns the plain bytes as the part that ends an answer with so many coded bytes before it. In zstd it is blocks
// that are not compressed, which alone refer to nothing before them. With gzip it is those, too, where that makes the answer
// hardly longer: what is true of the moment is compressed for one scrape, and to begin takes as long as to serve hundreds
// of kilobytes.
func (c *coder) last(coding coding, plain []byte, before int) (part, error) {
	switch {
	case coding == gzipped && len(plain) <= before/hardly:
		return stored(plain), nil
	case coding != zstandard:
		return c.code(coding, plain)
	}
	var b []byte
	for {
		n := min(len(plain), zstdBlock)
		header := uint32(n) << 3 // Of the raw type, which is 0.
		if n == len(plain) {
			header |= 1
		}
		b = append(b, byte(header), byte(header>>8), byte(header>>16))
		b = append(b, plain[:n]...)
		if plain = plain[n:]; header&1 == 1 {
			return part{b, checked{coded: len(b)}}, nil
		}
	}
}

// hardly is the part of an answer by which it may be longer than need be.
const hardly = 50

// stored returns the plain bytes as blocks of deflate that are not compressed.
func stored(plain []byte) part {
	whole := checked{crc: crc32.ChecksumIEEE(plain), plain: len(plain)}
	var b []byte
	for len(plain) > 0 {
		n := min(len(plain), math.MaxUint16)
		b = append(b, 0) // Of the stored type, not final, and up to a whole byte.
		b = binary.LittleEndian.AppendUint16(b, uint16(n))
		b = binary.LittleEndian.AppendUint16(b, ^uint16(n))
		b, plain = append(b, plain[:n]...), plain[n:]
	}
	whole.coded = len(b)
	return part{b, whole}
}

// frame returns what comes before and after the parts of an answer.
func (c coding) frame(whole checked) (head, tail []byte) {
	if c != gzipped {
		return nil, nil
	}
	// Deflate without a name, a time or a known system; then an empty final block, the checksum and the length.
	head = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}
	tail = []byte{3, 0}
	tail = binary.LittleEndian.AppendUint32(tail, whole.crc)
	return head, binary.LittleEndian.AppendUint32(tail, uint32(whole.plain))
}

// combineCRC returns the CRC-32 of a followed by b, which is length bytes long. As in zlib's crc32_combine, a's checksum
// is multiplied by x to the power of b's bits, modulo the polynomial; the bit of x to the power of 0 is the highest.
func combineCRC(a, b uint32, length int) uint32 {
	const one, x8 = uint32(1) << 31, uint32(1) << 23
	power, square := one, x8
	for n := length; n > 0; n >>= 1 {
		if n&1 == 1 {
			power = multiplyCRC(power, square)
		}
		square = multiplyCRC(square, square)
	}
	return multiplyCRC(a, power) ^ b
}

// multiplyCRC multiplies two polynomials modulo that of CRC-32.
func multiplyCRC(a, b uint32) uint32 {
	var product uint32
	for ; a != 0; a <<= 1 {
		if a>>31 == 1 {
			product ^= b
		}
		b = b>>1 ^ crc32.IEEE&-(b&1)
	}
	return product
}

// negotiateCoding chooses gzip where the client accepts it, else zstd, unless it likes identity better. gzip comes first
// because Prometheus asks for it, so that it is there already. A client that accepts nothing gets identity, because a
// scrape must not fail for it.
//
// goautoneg, which reads Accept, can't read Accept-Encoding: it drops every name without a slash, and knows no "Q".
func negotiateCoding(accept []string) coding {
	const unnamed = -1.0
	wishes := map[coding]float64{gzipped: unnamed, zstandard: unnamed, identity: unnamed, "*": unnamed}
	for wish := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		name, parameters, _ := strings.Cut(wish, ";")
		c := coding(strings.ToLower(strings.TrimSpace(name)))
		if c == "x-gzip" {
			c = gzipped
		}
		// A coding that is named twice is as welcome as where it is least welcome.
		if before, ok := wishes[c]; ok {
			if q := quality(parameters); before == unnamed || q < before {
				wishes[c] = q
			}
		}
	}
	for _, c := range []coding{gzipped, zstandard, identity} {
		if wishes[c] == unnamed {
			wishes[c] = wishes["*"]
		}
	}
	best := identity
	for _, c := range []coding{zstandard, gzipped} {
		if q := wishes[c]; q > 0 && q >= wishes[best] {
			best = c
		}
	}
	return best
}

// quality is the weight among the parameters of a wish, 1 without one. A weight that can't be read is 0: nothing is taken
// for a wish that may be none.
func quality(parameters string) float64 {
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, text, _ := strings.Cut(parameter, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || math.IsNaN(q) || q < 0 || q > 1 {
			return 0
		}
		return q
	}
	return 1
}
