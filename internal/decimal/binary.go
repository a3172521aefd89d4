package decimal

import (
	"encoding/binary"
	"errors"
)

// The binary form is one tag-carrying varint for whole numbers, which nearly all are, and 17 bytes for the others.
const fractional = 1 // lowest bit of the first varint; a whole number has it clear

// AppendBinary appends a compact, canonical binary form.
func (f Fixed) AppendBinary(b []byte) []byte {
	if n, ok := f.Int(); ok && n > -1<<61 && n < 1<<61 {
		zigzag := uint64(n<<1) ^ uint64(n>>63)
		return binary.AppendUvarint(b, zigzag<<1)
	}
	b = append(b, fractional)
	b = binary.BigEndian.AppendUint64(b, uint64(f.hi))
	return binary.BigEndian.AppendUint64(b, f.lo)
}

// ErrBinary is returned for bytes that AppendBinary did not write.
var ErrBinary = errors.New("malformed binary number")

// DecodeBinary reads what AppendBinary wrote and returns the bytes behind it.
func DecodeBinary(b []byte) (Fixed, []byte, error) {
	u, n := binary.Uvarint(b)
	if n <= 0 {
		return Fixed{}, nil, ErrBinary
	}
	if u&fractional == 0 {
		u >>= 1
		return FromInt(int64(u>>1) ^ -int64(u&1)), b[n:], nil
	}
	if u != fractional || n != 1 || len(b) < 17 {
		return Fixed{}, nil, ErrBinary
	}
	f := Fixed{int64(binary.BigEndian.Uint64(b[1:])), binary.BigEndian.Uint64(b[9:])}
	return f, b[17:], nil
}
