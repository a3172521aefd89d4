package ledger

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// TestAStateIsCheckedAsItIsRead: what is looked at when a state is loaded is refused where reading it would fail, and nowhere else.
func TestAStateIsCheckedAsItIsRead(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	n := decimal.FromInt
	l := newLayouts([][]string{{"requests"}}, []string{"requests", "tokens"})
	position := map[uint32]int{1: 0, 2: 1, 3: 2, 5: 3}
	c := checker{layouts: &l, position: position}
	symbols := newSymbols()
	account := newAccount()
	for i, name := range []string{"a", "b", "c"} {
		account.charge(name, Amounts{Charged: n(int64(i))})
		account.sales[Item{name, "tokens"}] = Sale{USD: n(7), Free: n(int64(i))}
	}
	cells := []cell{
		{id: 1, values: []decimal.Fixed{n(1), {}}},
		{id: 2, values: []decimal.Fixed{{}, n(300)}, derived: [derivations]decimal.Fixed{n(2)}},
		{id: 5, values: []decimal.Fixed{n(70_000), n(1)}, derived: [derivations]decimal.Fixed{{}, n(9)}},
	}
	bucket := encodeDerived(encodeCells(nil, l.current, cells), cells)
	money := account.encode(symbols)
	good, bad := 0, 0
	for range 200_000 {
		b := damaged(random, bucket)
		got, _, _, err := l.decodeCells(b)
		whole := err == nil && !slices.ContainsFunc(got, func(c cell) bool { _, ok := position[c.id]; return !ok })
		if err := c.check(b); (err == nil) != whole {
			t.Fatalf("bucket %x: error %v, although it can be read is %t", b, err, whole)
		}
		if whole {
			good++
		} else {
			bad++
		}
		b = damaged(random, money)
		used := make([]bool, len(symbols.list))
		read, err := decodeAccount(b, symbols)
		if is := mark(b, used); (is == nil) != (err == nil) {
			t.Fatalf("account %x: error %v, but %v when it is read", b, is, err)
		}
		if err != nil {
			continue
		}
		for name := range read.projects {
			if !used[symbols.ids[name]] {
				t.Fatalf("account %x: %q is not in use", b, name)
			}
		}
	}
	if good < 1000 || bad < 1000 {
		t.Errorf("%d were whole and %d were not", good, bad)
	}
}

// damaged is b with a change, a cut or something more in it, or neither.
func damaged(random *rand.Rand, b []byte) []byte {
	b = slices.Clone(b)
	for range random.IntN(3) {
		at := random.IntN(len(b))
		switch random.IntN(4) {
		case 0:
			b = b[:at+1]
		case 1:
			b = slices.Insert(b, at, byte(random.Uint32()))
		case 2:
			b[at] ^= 1 << random.IntN(8)
		default:
			b[at] = byte(random.IntN(6))
		}
	}
	return b
}

// TestADayIsPutTogetherAsItIsFound: of keys in any order as by looking for each.
func TestADayIsPutTogetherAsItIsFound(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		pieces := map[bucketKey][]byte{}
		var keys []bucketKey
		for hour := int64(0); hour < secondsOfDay; hour += secondsOfHour {
			if random.IntN(3) == 0 {
				pieces[bucketKey{hour, secondsOfHour}] = []byte{byte(random.IntN(2)) * flagClosed}
			}
			if minutes := []int64{0, 5, 60, 60}[random.IntN(4)]; minutes > 0 {
				open := random.IntN(120)
				for m := range minutes {
					if closed := byte(flagClosed); int(m) == open {
						pieces[bucketKey{hour + 60*m, 60}] = []byte{0}
					} else {
						pieces[bucketKey{hour + 60*m, 60}] = []byte{closed}
					}
				}
			}
		}
		pieces[bucketKey{120, 90}] = []byte{flagClosed} // Of a width that there is not.
		for k := range pieces {
			keys = append(keys, k)
		}
		piece := func(k bucketKey) []byte { return pieces[k] }
		want, hours := piecesOf(0, secondsOfDay, piece)
		got, n := inOrder(keys, piece)
		if n != hours || !slices.Equal(got, want) {
			t.Fatalf("%d hours of %v, want %d of %v", n, got, hours, want)
		}
	}
}
