package fetcher_test

import (
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/fetcher"
)

// A gauged witness wants to know about bounds too.
type gauged struct {
	*witness
	mu     sync.Mutex
	shares map[fetcher.Bound]float64
}

func (g *gauged) Bound(organization, endpoint string, b fetcher.Bound, share float64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shares == nil {
		g.shares = make(map[fetcher.Bound]float64)
	}
	g.shares[b] = share
}

func (g *gauged) told() map[fetcher.Bound]float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.shares)
}

func TestAReadPastABoundFailsWholeAndSaysWhich(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Seven minutes are seven rows on three pages.
		for _, tc := range []struct {
			pages, rows int
			want        string
			asked       int
		}{
			{3, 7, "", 3},
			{2, 7, "has more than 2 pages: shorten lookback", 2},
			{3, 6, "has more than 6 rows: group by fewer dimensions, or shorten lookback", 3},
			{3, 2, "has more than 2 rows: group by fewer dimensions, or shorten lookback", 1},
		} {
			f, seen := &fake{perPage: 3}, &witness{}
			c := client(t, serve(t, f), seen, func(o *fetcher.ClientOptions) { o.MaxPages, o.MaxRows = tc.pages, tc.rows })
			r, err := c.Read(t.Context(), embeddings(t, minutes(7)))
			var e *fetcher.Error
			switch {
			case tc.want == "":
				if err != nil {
					t.Errorf("%d pages and %d rows are refused: %v", tc.pages, tc.rows, err)
				}
			case r != nil || !errors.As(err, &e) || e.Class != fetcher.ClassBody || e.Error() != "the API's answer for embeddings "+tc.want:
				t.Errorf("with %d pages and %d rows: %v, want one line with %q", tc.pages, tc.rows, err, tc.want)
			}
			// What is too much now is too much in a second, too.
			if n := len(f.asks()); n != tc.asked {
				t.Errorf("with %d pages and %d rows it asked %d times, want %d", tc.pages, tc.rows, n, tc.asked)
			}
		}
	})
}

func TestAnObserverIsToldHowNearAReadCameToItsBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const body = `{"object":"page","data":[],"has_more":false}`
		for name, tc := range map[string]struct {
			fake *fake
			set  func(*fetcher.ClientOptions)
			want map[fetcher.Bound]float64
		}{
			"pages and rows": {
				&fake{perPage: 3},
				func(o *fetcher.ClientOptions) { o.MaxBody, o.MaxPages, o.MaxRows = 1<<50, 4, 10 },
				map[fetcher.Bound]float64{fetcher.BoundPages: 0.75, fetcher.BoundRows: 0.7},
			},
			"body": {
				&fake{before: says(200, body)},
				func(o *fetcher.ClientOptions) { o.MaxBody = int64(2 * len(body)) },
				map[fetcher.Bound]float64{fetcher.BoundBody: 0.5, fetcher.BoundPages: 0.001, fetcher.BoundRows: 0},
			},
			"a body that is too large": {
				&fake{before: says(200, strings.Repeat(" ", 2<<10)+body)},
				func(o *fetcher.ClientOptions) { o.MaxBody = 1 << 10 },
				map[fetcher.Bound]float64{fetcher.BoundBody: 1, fetcher.BoundPages: 0.001, fetcher.BoundRows: 0},
			},
		} {
			g := &gauged{witness: &witness{}}
			c := client(t, serve(t, tc.fake), g.witness, tc.set, func(o *fetcher.ClientOptions) { o.Observer = g })
			_, err := c.Read(t.Context(), embeddings(t, minutes(7)))
			got := g.told()
			if _, ok := tc.want[fetcher.BoundBody]; !ok {
				delete(got, fetcher.BoundBody)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s, %v (-want +got):\n%s", name, err, diff)
			}
		}
	})
}
