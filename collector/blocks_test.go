package collector_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

func numbered(i int, n int64) *ledger.Series {
	return &ledger.Series{
		Labels:   []ledger.Label{{Name: "project_id", Value: fmt.Sprintf("proj_%024d", i)}},
		Measures: []int{0, 1}, Values: []decimal.Fixed{decimal.FromInt(n), decimal.FromInt(7 * n)}, Born: noon,
	}
}

// grown is a series after a poll that has found more, under the same labels.
func grown(s *ledger.Series, by int64) *ledger.Series {
	next := *s
	next.Values = []decimal.Fixed{s.Values[0].Add(decimal.FromInt(by)), s.Values[1].Add(decimal.FromInt(by))}
	return &next
}

func TestALargeFeedIsTheSameHoweverItWasChanged(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	e := find(t, "completions")
	var all []*ledger.Series
	for i := range 5000 { // Enough for several blocks.
		all = append(all, numbered(2*i, int64(i)))
	}
	derived := []*ledger.Series{{Labels: all[7].Labels, Measures: []int{0}, Values: values(t, "70"), Born: noon}}
	s := &source{now: noon}
	old := newCollector(s).Handler()
	for round := range 6 {
		all = slices.Clone(all)
		at := random.IntN(len(all) - 2000)
		switch round % 4 {
		case 0: // Of most feeds a poll changes the newest bucket alone.
			derived = slices.Clone(derived)
			derived[0] = &ledger.Series{Labels: all[7].Labels, Measures: []int{0}, Values: values(t, fmt.Sprint(71+round)), Born: noon}
		case 1: // Some next to each other have grown, as those of one project would.
			for i := range all[at : at+500] {
				all[at+i] = grown(all[at+i], 1+random.Int64N(100))
			}
		case 2: // Some have come, in between and at the end.
			for i := range 700 {
				all = append(all, numbered(2*(at+3*i)+1, random.Int64N(100)))
			}
		case 3: // Some have gone, the first one among them.
			all = slices.Delete(all, at, at+1000)[1:]
		}
		f := &ledger.FeedView{
			Organization: "acme", Endpoint: e, Series: all, Derived: derived, ByMeasure: make([]ledger.MeasureView, len(e.Measures)),
			LastBucket: []ledger.Row{{Labels: all[round].Labels, Measures: []int{0}, Values: values(t, fmt.Sprint(1+round))}},
		}
		s.view.Store(&ledger.View{Feeds: []*ledger.FeedView{f}})
		fresh := newCollector(s).Handler()
		for _, format := range []string{"text", "protobuf"} {
			accept := acceptable[format]
			want := lines(t, ask(t, fresh, "/metrics", accept, "identity"), format)
			for _, coding := range []string{"identity", "gzip"} {
				got := lines(t, ask(t, old, "/metrics", accept, coding), format)
				if !slices.Equal(want, got) {
					t.Fatalf("round %d, %s, %s (-again +taken over):\n%s", round, format, coding, cmp.Diff(want, got))
				}
			}
		}
	}
}

func TestAPollCostsWhatItChangesOfAnEndpoint(t *testing.T) {
	const manySeries = 10_000
	e := find(t, "embeddings")
	var all []*ledger.Series
	for i := range manySeries {
		all = append(all, numbered(i, int64(i)))
	}
	s := &source{now: noon}
	h := newCollector(s).Handler()
	// polled is how much memory it takes to show a poll that changes some of the series, at best: pools may be emptied.
	polled := func(from, to int) uint64 {
		best := uint64(math.MaxUint64)
		for range 6 {
			all = slices.Clone(all)
			for i := from; i < to; i++ {
				all[i] = grown(all[i], 1)
			}
			f := &ledger.FeedView{Organization: "acme", Endpoint: e, Series: all, ByMeasure: make([]ledger.MeasureView, len(e.Measures))}
			s.view.Store(&ledger.View{Feeds: []*ledger.FeedView{f}})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if got := scrape(h, "identity"); got.code != http.StatusOK {
				t.Fatalf("status %d", got.code)
			}
			runtime.ReadMemStats(&after)
			best = min(best, after.TotalAlloc-before.TotalAlloc)
		}
		return best
	}
	everything, few, none := polled(0, manySeries), polled(10, 20), polled(0, 0)
	t.Logf("%d bytes for all of %d label sets, %d for ten of them, %d for none", everything, manySeries, few, none)
	if few > everything/2 {
		t.Errorf("a change of ten label sets takes %d bytes, one of all %d", few, everything)
	}
	if none > everything/10 {
		t.Errorf("a poll that changes nothing takes %d bytes, one that changes all %d", none, everything)
	}
}
