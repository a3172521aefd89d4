package exporter

import (
	"testing"
	"time"
)

// However many organizations there are, their commits leave the disk room for the names that look-ups save, of a thousand six a
// second: together no more than twenty.
func TestCommitsSyncTheDiskAtMostFourteenTimesASecond(t *testing.T) {
	const syncs = 2 // of each commit: the database's pages, and then the page that says which are valid
	if n := syncs * time.Second / commitPace; n > 14 {
		t.Errorf("commits may sync the disk %d times a second, want at most 14", n)
	}
}
