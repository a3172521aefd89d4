package exporter

import (
	"testing"
	"time"
)

// However many organizations there are, their commits leave the disk room for the names that look-ups save: together no more
// than twenty syncs a second.
func TestCommitsSyncTheDiskAtMostSixteenTimesASecond(t *testing.T) {
	const syncs = 2 // of each commit: the database's pages, and then the page that says which are valid
	if n := syncs * time.Second / commitPace; n > 16 {
		t.Errorf("commits may sync the disk %d times a second, want at most 16", n)
	}
}
