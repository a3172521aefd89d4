//go:build !race

package ledger_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// TestTheBooksOfAThousandProjectsAreSmall: a day of a project is some tens of bytes, in memory and on disk.
func TestTheBooksOfAThousandProjectsAreSmall(t *testing.T) {
	const projects, days = 1000, 400
	live := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	g := costsRig(t)
	g.now = time.Date(2025, 10, 20, 12, 0, 0, 0, time.UTC)
	g.options.GroupBy = []string{"project_id"}
	g.settings.MaxLabelSets = 10 // What is shown is not what is measured here.
	g.open()
	before := live()
	bill := make([]sale, projects)
	for n := 0; n < days; n += 30 {
		rows := map[time.Time][]sale{}
		for d := range 62 {
			for i := range bill {
				// Amounts have as many digits as those of a real bill.
				bill[i] = sale{fmt.Sprintf("proj_%024d", i), fmt.Sprintf("model %d, input", i%40), "tokens", fmt.Sprintf("%d.%09d", i%50, (d*projects+i)*7919%1_000_000_000), "1234567"}
			}
			rows[g.now.Truncate(24*time.Hour).AddDate(0, 0, -d)] = bill
		}
		g.bookSales(rows)
		g.pass(30 * 24 * time.Hour)
	}
	g.open() // Nothing but what is on disk.
	held := live() - before
	books := g.ledger.View().Feeds[0].Books
	if len(books) < days {
		t.Fatalf("%d days are kept", len(books))
	}
	f, err := os.Stat(filepath.Join(g.dir, ledger.FileName))
	if err != nil {
		t.Fatal(err)
	}
	n := int64(projects * len(books))
	t.Logf("%d projects and %d days: %d KiB in memory and %d KiB on disk, %d and %d bytes for a project's day", projects, len(books), held>>10, f.Size()>>10, held/n, f.Size()/n)
	if held/n > 30 || f.Size()/n > 60 {
		t.Errorf("a project's day takes %d bytes in memory and %d on disk", held/n, f.Size()/n)
	}
	runtime.KeepAlive(books)
}
