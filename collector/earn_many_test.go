//go:build !race

package collector_test

import (
	"net/http"
	"testing"
	"time"
)

func TestAThousandOrganizationsWithoutDataAreScrapedAtOnce(t *testing.T) {
	s, c := organizations(t, 1000, 0)
	h := c.Handler()
	for _, coding := range []string{"gzip", "identity"} {
		if got := scrape(h, coding); got.code != http.StatusOK {
			t.Fatalf("status %d", got.code)
		}
		// Nothing is encoded for a scrape.
		if n := testing.AllocsPerRun(3, func() { scrape(h, coding) }); n > 20_000 {
			t.Errorf("%s: %v allocations for a scrape of what has not changed", coding, n)
		}
		// One endpoint's poll costs what it changes.
		poll := func() {
			c.Poll(s.statuses[0].Organization, s.statuses[0].Endpoint, time.Second, nil)
			scrape(h, coding)
		}
		if n := testing.AllocsPerRun(3, poll); n > 40_000 {
			t.Errorf("%s: %v allocations for a poll of one endpoint and a scrape", coding, n)
		}
	}
}
