package decimal

import (
	"encoding/binary"
	"math/big"
	"math/rand/v2"
	"testing"
)

// rounded is r rounded half away from zero to Places places, as far as it fits.
func rounded(r *big.Rat) Fixed {
	n := new(big.Int).Mul(r.Num(), new(big.Int).SetUint64(one))
	negative := n.Sign() < 0
	n.Abs(n).Lsh(n, 1).Add(n, r.Denom())
	n.Quo(n, new(big.Int).Lsh(r.Denom(), 1))
	if n.BitLen() >= 128 {
		return saturated(negative)
	}
	f := Fixed{int64(new(big.Int).Rsh(n, 64).Uint64()), new(big.Int).And(n, new(big.Int).SetUint64(1<<64-1)).Uint64()}
	if negative {
		return f.Neg()
	}
	return f
}

func rat(f Fixed) *big.Rat {
	r, _ := new(big.Rat).SetString(f.String())
	return r
}

func TestProductsAndQuotientsOfPricesAreRounded(t *testing.T) {
	for _, tc := range []struct{ f, g, product, quotient string }{
		{"1000000", "0.00000025", "0.25", "4000000000000"},
		{"0.00915", "7625", "69.76875", "0.0000012"},
		{"1", "3", "3", "0.333333333333333333"},
		{"2", "3", "6", "0.666666666666666667"},
		{"-2", "3", "-6", "-0.666666666666666667"},
		{"2", "-3", "-6", "-0.666666666666666667"},
		{"-2", "-3", "6", "0.666666666666666667"},
		{"0.000000000000000001", "0.5", "0.000000000000000001", "0.000000000000000002"},
		{"0.000000000000000001", "0.4", "0", "0.000000000000000003"},
		{"-0.000000000000000001", "0.5", "-0.000000000000000001", "-0.000000000000000002"},
		{"0", "7", "0", "0"},
		{"99999999999999999", "1000", "99999999999999999000", "99999999999999.999"},
	} {
		f, g := mustParse(t, tc.f), mustParse(t, tc.g)
		if got := f.Mul(g).String(); got != tc.product {
			t.Errorf("%s · %s = %s, want %s", tc.f, tc.g, got, tc.product)
		}
		if got := f.Quo(g).String(); got != tc.quotient {
			t.Errorf("%s ÷ %s = %s, want %s", tc.f, tc.g, got, tc.quotient)
		}
	}
}

func TestMulAndQuoSaturateInsteadOfWrapping(t *testing.T) {
	tiny := mustParse(t, "-0.000000000000000001")
	for what, tc := range map[string]struct{ got, want Fixed }{
		"max·max": {maxFixed.Mul(maxFixed), maxFixed},
		"max·min": {maxFixed.Mul(minFixed), minFixed},
		"min·min": {minFixed.Mul(minFixed), maxFixed},
		"max·1":   {maxFixed.Mul(FromInt(1)), maxFixed},
		"min·1":   {minFixed.Mul(FromInt(1)), minFixed},
		"max÷-ε":  {maxFixed.Quo(tiny), minFixed},
		"min÷-ε":  {minFixed.Quo(tiny), maxFixed},
		"1÷0":     {FromInt(1).Quo(Fixed{}), maxFixed},
		"-1÷0":    {FromInt(-1).Quo(Fixed{}), minFixed},
		"0÷0":     {Fixed{}.Quo(Fixed{}), Fixed{}},
	} {
		if tc.got != tc.want {
			t.Errorf("%s = %s, want %s", what, tc.got, tc.want)
		}
	}
}

func TestMultiplyingAndDividingAgreesWithBigRationals(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	draw := func() Fixed {
		return Fixed{int64(rng.Uint64()) >> rng.IntN(64), rng.Uint64() >> rng.IntN(64)}
	}
	for range 20000 {
		agree(t, draw(), draw())
	}
}

func agree(t *testing.T, f, g Fixed) {
	t.Helper()
	if got, want := f.Mul(g), rounded(new(big.Rat).Mul(rat(f), rat(g))); got != want {
		t.Fatalf("%s · %s = %s, want %s", f, g, got, want)
	}
	if g.IsZero() {
		return
	}
	if got, want := f.Quo(g), rounded(new(big.Rat).Quo(rat(f), rat(g))); got != want {
		t.Fatalf("%s ÷ %s = %s, want %s", f, g, got, want)
	}
}

func FuzzMulQuo(f *testing.F) {
	f.Add(make([]byte, 32))
	f.Add([]byte("0123456789abcdef0123456789abcdef"))
	f.Add([]byte("\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) != 32 {
			return
		}
		word := func(i int) uint64 { return binary.BigEndian.Uint64(b[8*i:]) }
		agree(t, Fixed{int64(word(0)), word(1)}, Fixed{int64(word(2)), word(3)})
	})
}
