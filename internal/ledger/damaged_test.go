//go:build !race

package ledger_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestADamagedStateIsRefusedOrWhole goes through what disks, file systems and people do to files. A file that opens
// shows what was committed last or, where the last commit's own page is damaged, what was committed before it, as
// after a power cut. Zeros appear nowhere.
func TestADamagedStateIsRefusedOrWhole(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	s := newSpecimen(t, 60)
	dir := ramDir(t)
	if refused := s.holds(t, dir, "no damage", s.file); refused {
		t.Fatal("a whole file is refused")
	}
	size := len(s.file)
	pages := size / pageSize
	changed := func(f func(file []byte)) []byte {
		file := bytes.Clone(s.file)
		f(file)
		return file
	}
	for _, tc := range []struct {
		kind  string
		n     int
		which func(i int) (string, []byte)
	}{
		{"cut off", size/512 + 1, func(i int) (string, []byte) { return fmt.Sprint(i * 512), s.file[:min(i*512, size)] }},
		{"cut off in a sector", *damages, func(int) (string, []byte) {
			n := rng.IntN(size)
			return fmt.Sprint(n), s.file[:n]
		}},
		{"a page of zeros", pages, func(i int) (string, []byte) {
			return fmt.Sprint(i), changed(func(b []byte) { clear(b[i*pageSize : (i+1)*pageSize]) })
		}},
		{"a sector of zeros", size / 512, func(i int) (string, []byte) {
			return fmt.Sprint(i), changed(func(b []byte) { clear(b[i*512 : (i+1)*512]) })
		}},
		{"a page of junk", pages, func(i int) (string, []byte) {
			return fmt.Sprint(i), changed(func(b []byte) {
				for j := i * pageSize; j < (i+1)*pageSize; j += 8 {
					binary.LittleEndian.PutUint64(b[j:], rng.Uint64())
				}
			})
		}},
		{"a page in another's place", *damages, func(int) (string, []byte) {
			from, to := rng.IntN(pages), rng.IntN(pages)
			return fmt.Sprintf("%d at %d", from, to), changed(func(b []byte) { copy(b[to*pageSize:][:pageSize], s.file[from*pageSize:]) })
		}},
		{"a page that was not written", len(s.former) / pageSize, func(i int) (string, []byte) {
			return fmt.Sprint(i), changed(func(b []byte) { copy(b[i*pageSize:][:pageSize], s.former[i*pageSize:]) })
		}},
		{"a sector that was not written", len(s.former) / 512, func(i int) (string, []byte) {
			return fmt.Sprint(i), changed(func(b []byte) { copy(b[i*512:][:512], s.former[i*512:]) })
		}},
		{"a flipped bit", 4 * *damages, func(int) (string, []byte) {
			bit := rng.IntN(8 * size)
			return fmt.Sprint(bit), changed(func(b []byte) { b[bit/8] ^= 1 << (bit % 8) })
		}},
		{"a flipped bit in the head of a page", 16 * 8 * pages / 4, func(i int) (string, []byte) {
			page, bit := i/32, i%32*4+rng.IntN(4)
			return fmt.Sprintf("%d of %d", bit, page), changed(func(b []byte) { b[page*pageSize+bit/8] ^= 1 << (bit % 8) })
		}},
		{"a flipped bit in the length of a branch's first key", 8 * pages, func(i int) (string, []byte) {
			const length = 16 + 4 // behind the head of a page; in a leaf it is where the key is
			return fmt.Sprintf("%d of %d", i%8, i/8), changed(func(b []byte) { b[i/8*pageSize+length] ^= 1 << (i % 8) })
		}},
		{"a changed byte", *damages, func(int) (string, []byte) {
			at := rng.IntN(size)
			return fmt.Sprint(at), changed(func(b []byte) { b[at] = byte(rng.Int()) })
		}},
		{"bytes in a row", *damages, func(int) (string, []byte) {
			at, n := rng.IntN(size), 1+rng.IntN(100)
			return fmt.Sprintf("%d at %d", n, at), changed(func(b []byte) { copy(b[at:], bytes.Repeat([]byte{byte(rng.Int())}, n)) })
		}},
	} {
		t.Run(strings.ReplaceAll(tc.kind, " ", "_"), func(t *testing.T) {
			refused := 0
			for i := range tc.n {
				which, file := tc.which(i)
				if s.holds(t, dir, tc.kind+" "+which, file) {
					refused++
				}
			}
			t.Logf("%d of %d are refused, the others whole", refused, tc.n)
			if refused == 0 {
				t.Error("none has hit anything")
			}
		})
	}
}
