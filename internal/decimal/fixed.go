// Package decimal holds the one number type of the accounting: a signed fixed-point decimal of 128 bits with 18 decimal
// places. Tokens, seconds and dollars all fit it exactly, adding up never rounds, and a change of the API's spelling of
// an amount (a number today, a string of 39 decimals tomorrow) does not change the value.
package decimal

import (
	"cmp"
	"errors"
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

// Low returns the lower half of the number's bits. That of a sum is the sum of those of its parts, modulo 2⁶⁴.
func (f Fixed) Low() uint64 { return f.lo }

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
	wholeHi, rem := hi/one, hi%one
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
