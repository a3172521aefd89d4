// Package decimal holds the one number type of the accounting: a signed fixed-point decimal of 128 bits with 18 decimal
// places. Tokens, seconds and dollars all fit it exactly, adding up never rounds, and a change of the API's spelling of
// an amount (a number today, a string of 39 decimals tomorrow) does not change the value.
package decimal

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
)

// Places is the number of decimal places kept. A digit behind them is rounded half away from zero, row by row, so
// that reading a row again gives the same value.
const Places = 18

const one = 1_000_000_000_000_000_000 // 10^Places

// maxDigits bounds what Parse accepts: below 10^17, so that a thousand of the largest rows still add up.
const maxDigits = 17

// Fixed is a decimal number: (hi·2⁶⁴ + lo) · 10⁻¹⁸ in two's complement. The zero value is 0.
type Fixed struct {
	hi int64
	lo uint64
}

var (
	maxFixed = Fixed{math.MaxInt64, math.MaxUint64}
	minFixed = Fixed{math.MinInt64, 0}
)

// ErrRange is returned for a number too large to be a count or an amount.
var ErrRange = errors.New("number out of range")

// FromInt returns n as a Fixed.
func FromInt(n int64) Fixed {
	abs := uint64(n)
	if n < 0 {
		abs = -abs
	}
	hi, lo := bits.Mul64(abs, one)
	f := Fixed{int64(hi), lo}
	if n < 0 {
		return f.Neg()
	}
	return f
}

// IsZero says whether f is 0.
func (f Fixed) IsZero() bool { return f.hi == 0 && f.lo == 0 }

// Sign returns -1, 0 or 1.
func (f Fixed) Sign() int {
	switch {
	case f.hi < 0:
		return -1
	case f.IsZero():
		return 0
	}
	return 1
}

// Neg returns -f.
func (f Fixed) Neg() Fixed {
	if f == minFixed {
		return maxFixed
	}
	lo, borrow := bits.Sub64(0, f.lo, 0)
	return Fixed{-f.hi - int64(borrow), lo}
}

// Add returns f+g. It saturates instead of wrapping round: a counter that can't count further stands still.
func (f Fixed) Add(g Fixed) Fixed {
	lo, carry := bits.Add64(f.lo, g.lo, 0)
	hi := f.hi + g.hi + int64(carry)
	if (f.hi < 0) == (g.hi < 0) && (hi < 0) != (f.hi < 0) {
		if f.hi < 0 {
			return minFixed
		}
		return maxFixed
	}
	return Fixed{hi, lo}
}

// Sub returns f-g.
func (f Fixed) Sub(g Fixed) Fixed { return f.Add(g.Neg()) }

// Cmp returns -1, 0 or 1 as f is less than, equal to or greater than g.
func (f Fixed) Cmp(g Fixed) int {
	if c := cmp.Compare(f.hi, g.hi); c != 0 {
		return c
	}
	return cmp.Compare(f.lo, g.lo)
}

// Max returns the greater of f and g.
func (f Fixed) Max(g Fixed) Fixed {
	if f.Cmp(g) < 0 {
		return g
	}
	return f
}

// abs returns the magnitude as an unsigned 128-bit number.
func (f Fixed) abs() (hi, lo uint64) {
	if f.hi >= 0 {
		return uint64(f.hi), f.lo
	}
	lo, borrow := bits.Sub64(0, f.lo, 0)
	hi, _ = bits.Sub64(0, uint64(f.hi), borrow)
	return hi, lo
}

// split returns the magnitude's whole part, up to 2¹²⁷/10¹⁸, and its fraction in units of 10⁻¹⁸.
func (f Fixed) split() (wholeHi, wholeLo, frac uint64) {
	hi, lo := f.abs()
	wholeHi, rem := bits.Div64(0, hi, one)
	wholeLo, frac = bits.Div64(rem, lo, one)
	return wholeHi, wholeLo, frac
}

// Int returns f as an integer, if it is one that fits.
func (f Fixed) Int() (int64, bool) {
	hi, lo, frac := f.split()
	if hi != 0 || frac != 0 || lo > math.MaxInt64 {
		return 0, false
	}
	if f.hi < 0 {
		return -int64(lo), true
	}
	return int64(lo), true
}

// Float64 returns the float nearest to f, so that a greater f never gives a smaller float.
func (f Fixed) Float64() float64 {
	if n, ok := f.Int(); ok && n > -1<<53 && n < 1<<53 {
		return float64(n)
	}
	v, _ := strconv.ParseFloat(f.String(), 64) // Correctly rounded; String gives nothing it can't parse.
	return v
}

// String returns the shortest exact decimal spelling.
func (f Fixed) String() string { return string(f.Append(nil)) }

// Append appends the spelling of String.
func (f Fixed) Append(b []byte) []byte {
	if f.hi < 0 {
		b = append(b, '-')
	}
	hi, lo, frac := f.split()
	if hi == 0 {
		b = strconv.AppendUint(b, lo, 10)
	} else {
		q, r := bits.Div64(hi, lo, one) // hi < one: the whole part is below 2¹²⁷/10¹⁸.
		b = strconv.AppendUint(b, q, 10)
		b = appendPadded(b, r)
	}
	if frac == 0 {
		return b
	}
	b = append(b, '.')
	b = appendPadded(b, frac)
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	return b
}

func appendPadded(b []byte, n uint64) []byte {
	var digits [Places]byte
	for i := Places - 1; i >= 0; i-- {
		digits[i] = byte('0' + n%10)
		n /= 10
	}
	return append(b, digits[:]...)
}

// Parse reads a decimal number as JSON spells it, or as the API's string amounts do: an optional sign, digits, an
// optional fraction and an optional exponent of any size.
func Parse[T []byte | string](s T) (Fixed, error) {
	bad := func() (Fixed, error) {
		const show = 40
		if len(s) > show {
			return Fixed{}, fmt.Errorf("not a decimal number: %q…", s[:show])
		}
		return Fixed{}, fmt.Errorf("not a decimal number: %q", s)
	}
	i, neg := 0, false
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		neg = s[i] == '-'
		i++
	}
	// The digits are s[first:last] with the point at position point; all arithmetic is on positions, so a spelling
	// of any length costs one pass.
	first, point := i, -1
	for ; i < len(s); i++ {
		c := s[i]
		if c == '.' && point < 0 {
			point = i
		} else if c < '0' || c > '9' {
			break
		}
	}
	last := i
	digits := last - first
	if point >= 0 {
		digits--
	} else {
		point = last
	}
	if digits == 0 {
		return bad()
	}
	exp := 0
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		sign := 1
		if i < len(s) && (s[i] == '-' || s[i] == '+') {
			if s[i] == '-' {
				sign = -1
			}
			i++
		}
		if i == len(s) {
			return bad()
		}
		for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
			if exp < 1<<30 {
				exp = exp*10 + int(s[i]-'0')
			}
		}
		exp *= sign
	}
	if i != len(s) {
		return bad()
	}

	// power is the decimal power of the digit at hand.
	power := point - first - 1 + exp
	var hi, lo uint64
	next := -Places - 1 // power of the digit last taken up, one below
	started, roundUp := false, false
	for j := first; j < last; j++ {
		if s[j] == '.' {
			continue
		}
		d := uint64(s[j] - '0')
		switch {
		case !started && d == 0:
		case power >= maxDigits:
			return Fixed{}, ErrRange
		case power < -Places:
			if power == -Places-1 && d >= 5 {
				roundUp = true
			}
			j = last
			continue
		default:
			started = true
			carryHi, mulLo := bits.Mul64(lo, 10)
			var carry uint64
			lo, carry = bits.Add64(mulLo, d, 0)
			hi = hi*10 + carryHi + carry
			next = power
		}
		power--
	}
	if started {
		for ; next > -Places; next-- {
			carryHi, mulLo := bits.Mul64(lo, 10)
			lo = mulLo
			hi = hi*10 + carryHi
		}
	}
	if roundUp {
		var carry uint64
		lo, carry = bits.Add64(lo, 1, 0)
		hi += carry
	}
	f := Fixed{int64(hi), lo}
	if neg {
		f = f.Neg()
	}
	return f, nil
}

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
