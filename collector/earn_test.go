package collector_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/collector"
	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/spend"
)

// lookups are polled beside the endpoints.
var lookups = []string{fetcher.LookupProjects, fetcher.LookupUsers, fetcher.LookupAPIKeys, fetcher.LookupRateLimits, fetcher.LookupSpendLimits}

// organizations are of that many with all endpoints and look-ups, whose models are in use and whose polls go well.
func organizations(t testing.TB, n, labelSets int) (*source, *collector.Collector) {
	s := &source{now: noon}
	view := &ledger.View{}
	random := rand.New(rand.NewPCG(11, 12))
	for i := range n {
		o := fmt.Sprintf("organization-%04d", i)
		view.Organizations = append(view.Organizations, ledger.OrganizationView{Name: o, LabelSets: labelSets, Limit: 20000})
		for j := range api.Endpoints {
			e := &api.Endpoints[j]
			f := randomFeed(o, e, random)
			f.Series, f.ReadAt, f.ReadThrough = nil, noon, noon
			for k := range labelSets {
				f.Series = append(f.Series, &ledger.Series{Labels: labels(fmt.Sprintf("project_id=proj_%d model=gpt-%d", k, k)), Measures: []int{0}, Values: values(t, "7"), Born: noon})
			}
			view.Feeds = append(view.Feeds, f)
			s.statuses = append(s.statuses, fetcher.Status{Organization: o, Endpoint: e.Name, State: fetcher.StateOK, LastPoll: noon, LastSuccess: noon})
		}
		for _, name := range lookups {
			s.statuses = append(s.statuses, fetcher.Status{Organization: o, Endpoint: name, State: fetcher.StateOK, LastPoll: noon, LastSuccess: noon, Optional: true})
		}
	}
	s.view.Store(view)
	books := spend.New(s)
	books.Configure(spend.Settings{Learn: true})
	c := collector.New(collector.Options{Views: s, Statuses: s, Directory: s, Books: books, StateBytes: func() int64 { return 65536 }, Now: func() time.Time { return s.now }})
	for i := range s.statuses {
		st := &s.statuses[i]
		c.Request(st.Organization, st.Endpoint, "200", time.Second)
		c.Poll(st.Organization, st.Endpoint, time.Second, nil)
		if e, known := api.Find(st.Endpoint); known && !e.Stock && !e.IsCosts() {
			c.Audit(st.Organization, st.Endpoint, nil)
		}
		for _, b := range fetcher.Bounds {
			c.Bound(st.Organization, st.Endpoint, b, 0.01)
		}
	}
	return s, c
}

// own counts our own series.
func own(t *testing.T, c *collector.Collector) (n int) {
	t.Helper()
	for line := range strings.Lines(ask(t, c.Handler(), "/metrics", acceptable["text"], "identity")) {
		if strings.HasPrefix(line, "openai_exporter_") {
			n++
		}
	}
	return n
}

func TestOurOwnSeriesAreFew(t *testing.T) {
	// As many models as a busy organization uses.
	const labelSets = 6
	_, one := organizations(t, 1, labelSets)
	_, three := organizations(t, 3, labelSets)
	first, further := own(t, one), (own(t, three)-own(t, one))/2
	t.Logf("%d for the first organization, %d for each further one", first, further)
	// They are 250 and 200 for twelve endpoints, and grow with the endpoints alone.
	mostFirst, mostFurther := 250*len(api.Endpoints)/12, 200*len(api.Endpoints)/12
	if first > mostFirst || further > mostFurther {
		t.Errorf("%d series of our own for the first organization, want at most %d; %d for each further one, want at most %d", first, mostFirst, further, mostFurther)
	}
}
