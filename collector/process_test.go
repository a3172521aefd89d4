package collector_test

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestScrapesWithinASecondShareWhatIsReadForThem(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return // Elsewhere the process tells other things of itself.
	}
	s := &source{now: noon}
	c := newCollector(s)
	files := func() string {
		for _, line := range samples(t, c, "process_open_fds") {
			return strings.TrimPrefix(line, "process_open_fds ")
		}
		t.Fatal("the process tells nothing of itself")
		return ""
	}
	before := files()
	for range 8 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
	}
	s.now = s.now.Add(900 * time.Millisecond)
	if got := files(); got != before {
		t.Errorf("open files went from %s to %s within a second", before, got)
	}
	s.now = s.now.Add(200 * time.Millisecond)
	if got := files(); got == before {
		t.Errorf("still %s open files after eight were opened", got)
	}
}
