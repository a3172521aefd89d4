package collector

import (
	"hash/crc32"
	"math/rand/v2"
	"testing"
)

func TestTheChecksumOfJoinedPartsIsThatOfTheWhole(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for _, size := range []int{0, 1, 2, 7, 8, 255, 256, 4096, 65537, 300_000} {
		whole := make([]byte, size)
		for i := range whole {
			whole[i] = byte(random.Uint32())
		}
		want := crc32.ChecksumIEEE(whole)
		for range 20 {
			var got checked
			for rest := whole; ; {
				n := random.IntN(len(rest) + 1)
				got = got.and(checked{crc: crc32.ChecksumIEEE(rest[:n]), plain: n, coded: 1})
				rest = rest[n:]
				if len(rest) == 0 {
					break
				}
			}
			if got.crc != want || got.plain != size {
				t.Fatalf("%d bytes in parts: checksum %08x of %d bytes, want %08x", size, got.crc, got.plain, want)
			}
		}
	}
}
