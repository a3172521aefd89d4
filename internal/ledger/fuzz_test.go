package ledger_test

import (
	"bytes"
	"testing"
)

// FuzzStateFile changes real state files, a byte here and there, and cuts them off. What opens must show what was
// committed; everything else is refused.
func FuzzStateFile(f *testing.F) {
	small, large := newSpecimen(f, 3), newSpecimen(f, 120)
	f.Add(false, uint32(0), []byte{})
	f.Add(true, uint32(0), []byte{0, 0, 16, 1, 0, 16, 16, 255}) // the heads of both meta pages
	f.Add(true, uint32(100_000), []byte{})
	for page := range byte(16) {
		f.Add(page%2 == 0, uint32(0), []byte{0, page * 16, 10, 3, 0, page * 16, 40, 128})
	}
	dir := f.TempDir()
	// Each change is four bytes: where it is, and what is changed there.
	f.Fuzz(func(t *testing.T, big bool, end uint32, changes []byte) {
		s := small
		if big {
			s = large
		}
		file := bytes.Clone(s.file)
		if n := int(end); n > 0 && n < len(file) {
			file = file[:n]
		}
		for ; len(changes) >= 4; changes = changes[4:] {
			at := int(changes[0])<<16 | int(changes[1])<<8 | int(changes[2])
			if at < len(file) {
				file[at] ^= changes[3]
			}
		}
		s.holds(t, dir, "a change", file)
	})
}
