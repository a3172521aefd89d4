package ledger_test

import (
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// TestEachOfManyFeedsCostsNoMore to begin or to load than each of a few: what there is once for all of them, such as their
// names, is read and written once.
func TestEachOfManyFeedsCostsNoMore(t *testing.T) {
	cost := func(n int) (begin, load float64) {
		synctest.Test(t, func(t *testing.T) {
			p := newParty(t, n, embeddings)
			defer p.close()
			reads, order := map[int][]*ledger.Read{}, make([]int, n)
			for i := range p.feeds {
				reads[i], order[i] = []*ledger.Read{p.read(i)}, i
			}
			begin = allocated(func() {
				for _, err := range p.together(reads, order...) {
					if err != nil {
						t.Error(err)
					}
				}
			})
			load = allocated(p.open)
		})
		return begin / float64(n), load / float64(n)
	}
	begin, load := cost(100)
	beginMany, loadMany := cost(1000)
	t.Logf("bytes a feed: to begin %.0f and %.0f, to load %.0f and %.0f", begin, beginMany, load, loadMany)
	if beginMany > 1.5*begin {
		t.Errorf("to begin takes %.0f bytes for each of 1000 feeds, and %.0f for each of 100", beginMany, begin)
	}
	if loadMany > 1.5*load {
		t.Errorf("to load takes %.0f bytes for each of 1000 feeds, and %.0f for each of 100", loadMany, load)
	}
}

func allocated(f func()) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return float64(after.TotalAlloc - before.TotalAlloc)
}
