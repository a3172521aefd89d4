package decimal

import (
	"math"
	"math/big"
	"math/bits"
)

// half is what a rest is compared with to round it, in units of 10⁻¹⁸ of the last place.
const half = one / 2

// Mul returns f·g, rounded half away from zero to Places places. It saturates as Add does.
func (f Fixed) Mul(g Fixed) Fixed {
	negative := (f.hi < 0) != (g.hi < 0)
	fHi, fLo := f.abs()
	gHi, gLo := g.abs()

	// The product is w3·2¹⁹² + w2·2¹²⁸ + w1·2⁶⁴ + w0.
	w1, w0 := bits.Mul64(fLo, gLo)
	crossHi, crossLo := bits.Mul64(fHi, gLo)
	otherHi, otherLo := bits.Mul64(fLo, gHi)
	w3, w2 := bits.Mul64(fHi, gHi)
	w1, c := bits.Add64(w1, crossLo, 0)
	w2, c = bits.Add64(w2, crossHi, c)
	w3 += c
	w1, c = bits.Add64(w1, otherLo, 0)
	w2, c = bits.Add64(w2, otherHi, c)
	w3 += c

	q3, rest := bits.Div64(0, w3, one)
	q2, rest := bits.Div64(rest, w2, one)
	hi, rest := bits.Div64(rest, w1, one)
	lo, rest := bits.Div64(rest, w0, one)
	if rest >= half {
		lo, c = bits.Add64(lo, 1, 0)
		hi, c = bits.Add64(hi, 0, c)
		q2 |= c
	}
	if q3|q2 != 0 || hi > math.MaxInt64 {
		return saturated(negative)
	}
	p := Fixed{int64(hi), lo}
	if negative {
		return p.Neg()
	}
	return p
}

// Quo returns f÷g, rounded half away from zero to Places places. It saturates as Add does, and so does a division by
// zero, except that 0÷0 is 0: nothing that costs nothing is free. It allocates, unlike Mul: prices are divided rarely and
// multiplied often.
func (f Fixed) Quo(g Fixed) Fixed {
	negative := (f.hi < 0) != (g.hi < 0)
	if g.IsZero() {
		if f.IsZero() {
			return Fixed{}
		}
		return saturated(negative)
	}
	n, d := f.magnitude(), g.magnitude()
	n.Mul(n, new(big.Int).SetUint64(one))
	q, rest := n.QuoRem(n, d, new(big.Int))
	if rest.Lsh(rest, 1).Cmp(d) >= 0 {
		q.Add(q, big.NewInt(1))
	}
	const word = 64
	if q.BitLen() >= 2*word {
		return saturated(negative)
	}
	p := Fixed{int64(new(big.Int).Rsh(q, word).Uint64()), new(big.Int).And(q, new(big.Int).SetUint64(math.MaxUint64)).Uint64()}
	if negative {
		return p.Neg()
	}
	return p
}

func (f Fixed) magnitude() *big.Int {
	const word = 64
	hi, lo := f.abs()
	n := new(big.Int).SetUint64(hi)
	return n.Or(n.Lsh(n, word), new(big.Int).SetUint64(lo))
}

func saturated(negative bool) Fixed {
	if negative {
		return minFixed
	}
	return maxFixed
}
