package decimal

import (
	"fmt"
	"math/bits"
)

// Parse reads a decimal number as JSON spells it, or as the API's string amounts do: an optional sign, digits, an
// optional fraction and an optional exponent of any size.
func Parse[T []byte | string](s T) (Fixed, error) {
	if n, ok := whole(s); ok {
		return FromInt(n), nil
	}
	digits, neg := s, false
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		digits, neg = s[1:], s[0] == '-'
	}
	// All arithmetic is on positions, so a spelling of any length costs one pass.
	n, point := scan(digits)
	if n == 0 || n == 1 && point == 0 {
		return Fixed{}, notDecimal(s)
	}
	exp, ok := exponent(digits[n:])
	if !ok {
		return Fixed{}, notDecimal(s)
	}
	f, err := value(digits[:n], point-1+exp)
	if neg {
		f = f.Neg()
	}
	return f, err
}

// whole reads digits alone, which nearly all numbers are.
func whole[T []byte | string](s T) (n int64, ok bool) {
	if len(s) == 0 || len(s) > maxDigits {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

func notDecimal[T []byte | string](s T) error {
	const show = 40
	if len(s) > show {
		return fmt.Errorf("not a decimal number: %q…", s[:show])
	}
	return fmt.Errorf("not a decimal number: %q", s)
}

// scan returns how long the digits are, with the point among them, and where the point is: behind them if there is none.
func scan[T []byte | string](s T) (n, point int) {
	point = -1
	for ; n < len(s); n++ {
		c := s[n]
		if c == '.' && point < 0 {
			point = n
		} else if c < '0' || c > '9' {
			break
		}
	}
	if point < 0 {
		point = n
	}
	return n, point
}

// exponent reads what follows the digits: nothing, or an exponent. A larger one than any number can have saturates.
func exponent[T []byte | string](s T) (exp int, ok bool) {
	if len(s) == 0 {
		return 0, true
	}
	if s[0] != 'e' && s[0] != 'E' {
		return 0, false
	}
	s = s[1:]
	sign := 1
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		if s[0] == '-' {
			sign = -1
		}
		s = s[1:]
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		if exp < 1<<30 {
			exp = exp*10 + int(s[i]-'0')
		}
	}
	return sign * exp, len(s) > 0
}

// value adds up digits, the first of which has the given decimal power.
func value[T []byte | string](digits T, power int) (Fixed, error) {
	var f Fixed
	next := -Places - 1 // the power of the digit last taken up, one below
	started, roundUp := false, false
	for j := range len(digits) {
		if digits[j] == '.' {
			continue
		}
		d := uint64(digits[j] - '0')
		if !started && d == 0 {
			power--
			continue
		}
		if power >= maxDigits {
			return Fixed{}, ErrRange
		}
		if power < -Places {
			roundUp = power == -Places-1 && d >= 5
			break
		}
		started = true
		f = f.shift(d)
		next = power
		power--
	}
	if started {
		for ; next > -Places; next-- {
			f = f.shift(0)
		}
	}
	if roundUp {
		f = f.Add(Fixed{lo: 1})
	}
	return f, nil
}

// shift appends a digit to a magnitude.
func (f Fixed) shift(digit uint64) Fixed {
	over, lo := bits.Mul64(f.lo, 10)
	lo, carry := bits.Add64(lo, digit, 0)
	return Fixed{f.hi*10 + int64(over+carry), lo}
}
