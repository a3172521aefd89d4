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

	"github.com/klauspost/compress/flate"
)

// A coding is a content coding of HTTP. There is no zstd: blocks of a zstd frame refer to the blocks before them, so that
// parts made one by one can't be joined into one frame, and many decoders read only the first frame.
type coding string

const (
	identity coding = "identity"
	gzipped  coding = "gzip"
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

// A coder applies codings. Its compressors are large, so they are used again.
type coder struct{ deflates sync.Pool }

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
	w, ok := c.deflates.Get().(*flate.Writer)
	if !ok {
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
	// The pool must not hold on to what was made.
	w.Reset(io.Discard)
	c.deflates.Put(w)
	return part{bytes.Clone(coded.Bytes()), checked{crc32.ChecksumIEEE(plain), len(plain), coded.Len()}}, nil
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

// negotiateCoding chooses gzip where the client accepts it and does not like identity better. A client that accepts
// neither gets identity, because a scrape must not fail for it.
//
// goautoneg, which reads Accept, can't read Accept-Encoding: it drops every name without a slash, and knows no "Q".
func negotiateCoding(accept []string) coding {
	const unnamed = -1.0
	gzip, plain, rest := unnamed, unnamed, unnamed
	for wish := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		name, parameters, _ := strings.Cut(wish, ";")
		var named *float64
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "gzip", "x-gzip":
			named = &gzip
		case "identity":
			named = &plain
		case "*":
			named = &rest
		default:
			continue
		}
		// A coding that is named twice is as welcome as where it is least welcome.
		if q := quality(parameters); *named == unnamed || q < *named {
			*named = q
		}
	}
	if gzip == unnamed {
		gzip = rest
	}
	if plain == unnamed {
		plain = rest
	}
	if gzip > 0 && gzip >= plain {
		return gzipped
	}
	return identity
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
