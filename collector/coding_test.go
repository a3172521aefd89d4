package collector

import (
	"bytes"
	"compress/gzip"
	"hash/crc32"
	"io"
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

func TestWhatEndsAnAnswerIsStoredWhereThatIsHardlyLonger(t *testing.T) {
	var c coder
	before, err := c.code(gzipped, bytes.Repeat([]byte("before\n"), 9))
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 1, 65535, 65536, 131070, 200_000} {
		plain := bytes.Repeat([]byte("m 1\n"), size/4+1)[:size]
		for _, length := range []int{0, 50*size - 1, 50 * size} {
			end, err := c.last(gzipped, plain, length)
			if err != nil {
				t.Fatal(err)
			}
			if hardly := length >= 50*size; hardly != (end.coded >= size) && size > 1 {
				t.Errorf("%d bytes after %d are %d", size, length, end.coded)
			}
			whole := before.and(end.checked)
			head, tail := gzipped.frame(whole)
			answer := bytes.Join([][]byte{head, before.bytes, end.bytes, tail}, nil)
			if len(answer) != len(head)+whole.coded+len(tail) {
				t.Errorf("%d bytes after %d: the answer has %d bytes, not %d", size, length, len(answer), len(head)+whole.coded+len(tail))
			}
			z, err := gzip.NewReader(bytes.NewReader(answer))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(z)
			if want := string(bytes.Repeat([]byte("before\n"), 9)) + string(plain); err != nil || string(got) != want {
				t.Errorf("%d bytes after %d become %d bytes, want %d: %v", size, length, len(got), len(want), err)
			}
		}
	}
}
