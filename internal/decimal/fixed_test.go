package decimal

import (
	"errors"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

func mustParse(t *testing.T, s string) Fixed {
	t.Helper()
	f, err := Parse(s)
	if err != nil {
		t.Fatalf("Parse(%q): %v", s, err)
	}
	return f
}

func TestAmountsOfEverySpellingAreExact(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"0", "0"},
		{"-0", "0"},
		{"0E-6176", "0"},
		{"0e99999999999999999999", "0"},
		{"1e-99999999999999999999", "0"},
		{"0.000004500000000000000000000000000000000", "0.0000045"},
		{"0.00003420000000000000000000000000000000", "0.0000342"},
		{"2.55e-06", "0.00000255"},
		{"2.55E-6", "0.00000255"},
		{"0.13080438340307526", "0.13080438340307526"},
		{"9.888144383403077", "9.888144383403077"},
		{"-12.5", "-12.5"},
		{"+3", "3"},
		{"27444", "27444"},
		{"30.0", "30"},
		{"1.5e3", "1500"},
		{"00012", "12"},
		{"12.", "12"},
		{".5", "0.5"},
		{"99999999999999999", "99999999999999999"},
		{"99999999999999999.999999999999999999", "99999999999999999.999999999999999999"},
		{"0.0000000000000000014", "0.000000000000000001"},
		{"0.0000000000000000015", "0.000000000000000002"},
		{"0.0000000000000000005", "0.000000000000000001"},
		{"0.00000000000000000049", "0"},
		{"-0.0000000000000000005", "-0.000000000000000001"},
		{"5e-19", "0.000000000000000001"},
		{"0.9999999999999999999", "1"},
		{"12345e-20", "0.000000000000000123"},
		{"123456e-20", "0.000000000000001235"},
	} {
		if got := mustParse(t, tc.in).String(); got != tc.want {
			t.Errorf("Parse(%q) = %s, want %s", tc.in, got, tc.want)
		}
		if b, err := Parse([]byte(tc.in)); err != nil || b.String() != tc.want {
			t.Errorf("Parse([]byte(%q)) = %s, %v", tc.in, b, err)
		}
	}
}

func TestWhatIsNoNumberIsRefused(t *testing.T) {
	for _, in := range []string{"", "-", ".", "e5", "1e", "1e+", "1.2.3", "0x10", "NaN", "Infinity", "1 ", " 1", "1,5", "--1", strings.Repeat("9", 30) + "x"} {
		if f, err := Parse(in); err == nil {
			t.Errorf("Parse(%q) = %s, want an error", in, f)
		} else if len(err.Error()) > 100 {
			t.Errorf("Parse(%q): error repeats the input: %d bytes", in, len(err.Error()))
		}
	}
	for _, in := range []string{"1e17", "100000000000000000", "1e99999999999999999999", strings.Repeat("9", 5000)} {
		if _, err := Parse(in); !errors.Is(err, ErrRange) {
			t.Errorf("Parse(%q) error = %v, want ErrRange", in, err)
		}
	}
}

func TestAddingAgreesWithBigRationals(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	sum, want := Fixed{}, new(big.Rat)
	for range 20000 {
		digits := make([]byte, 0, 40)
		if rng.IntN(3) == 0 {
			digits = append(digits, '-')
		}
		for range 1 + rng.IntN(14) {
			digits = append(digits, byte('0'+rng.IntN(10)))
		}
		digits = append(digits, '.')
		for range 1 + rng.IntN(18) {
			digits = append(digits, byte('0'+rng.IntN(10)))
		}
		f := mustParse(t, string(digits))
		r, _ := new(big.Rat).SetString(string(digits))
		if rng.IntN(4) == 0 {
			sum, want = sum.Sub(f), want.Sub(want, r)
		} else {
			sum, want = sum.Add(f), want.Add(want, r)
		}
		got, ok := new(big.Rat).SetString(sum.String())
		if !ok || got.Cmp(want) != 0 {
			t.Fatalf("sum = %s, want %s", sum, want.FloatString(Places))
		}
		if exact, _ := want.Float64(); sum.Float64() != exact {
			t.Fatalf("Float64 of %s = %v, want %v", sum, sum.Float64(), exact)
		}
		if c := sum.Cmp(f); c != want.Cmp(r) {
			t.Fatalf("Cmp(%s, %s) = %d", sum, f, c)
		}
	}
}

func TestBinaryFormSurvivesTheRoundTrip(t *testing.T) {
	var b []byte
	values := []string{"0", "1", "-1", "63", "64", "-64", "2305843009213693951", "2305843009213693952", "0.5", "-0.000000000000000001", "99999999999999999.999999999999999999"}
	var want []Fixed
	for _, v := range values {
		f := Fixed{}
		if v == "2305843009213693951" || v == "2305843009213693952" {
			f = FromInt(2305843009213693951)
			if v[18] == '2' {
				f = f.Add(FromInt(1))
			}
		} else {
			f = mustParse(t, v)
		}
		want = append(want, f)
		b = f.AppendBinary(b)
	}
	for i, w := range want {
		var got Fixed
		var err error
		if got, b, err = DecodeBinary(b); err != nil || got != w {
			t.Fatalf("%s: got %s, %v", values[i], got, err)
		}
	}
	if len(b) != 0 {
		t.Fatalf("%d bytes left over", len(b))
	}
	for _, torn := range [][]byte{{}, {1}, {1, 2, 3}, {3}, {0x80}, make([]byte, 0)} {
		if _, _, err := DecodeBinary(torn); err == nil {
			t.Errorf("DecodeBinary(%v) succeeded", torn)
		}
	}
}

func TestAddSaturatesInsteadOfWrapping(t *testing.T) {
	if got := maxFixed.Add(FromInt(1)); got != maxFixed {
		t.Errorf("max+1 = %s", got)
	}
	if got := minFixed.Sub(FromInt(1)); got != minFixed {
		t.Errorf("min-1 = %s", got)
	}
	if got := minFixed.Neg(); got != maxFixed {
		t.Errorf("-min = %s", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"0E-6176", "0.000004500000000000000000000000000000000", "-1.5e3", "1e17", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Parse(s)
		if err != nil {
			return
		}
		again, err := Parse(got.String())
		if err != nil || again != got {
			t.Fatalf("%q → %s → %s, %v", s, got, again, err)
		}
		decoded, rest, err := DecodeBinary(got.AppendBinary(nil))
		if err != nil || len(rest) != 0 || decoded != got {
			t.Fatalf("%q: binary round trip: %s, %v", s, decoded, err)
		}
	})
}
