package collector_test

import (
	"slices"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/collector"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/spend"
)

// asked are books that note of which organizations they are asked.
type asked struct {
	*spend.Books
	names []string
}

func (a *asked) Report(v *ledger.View, now time.Time) []spend.Organization {
	for _, o := range v.Organizations {
		a.names = append(a.names, o.Name)
	}
	return a.Books.Report(v, now)
}

// With a thousand organizations a poll of one of them must not make the books of all.
func TestTheBooksAreAskedOfWhatHasChanged(t *testing.T) {
	s := &source{now: noon}
	books := &asked{Books: spend.New(s)}
	books.Configure(spend.Settings{Learn: true})
	c := collector.New(collector.Options{Views: s, Statuses: s, Directory: s, Books: books, Now: func() time.Time { return s.now }})
	bill := func(organization string) *ledger.FeedView {
		return &ledger.FeedView{Organization: organization, Endpoint: find(t, "costs"), ReadAt: noon, ByMeasure: make([]ledger.MeasureView, 2)}
	}
	v := &ledger.View{Generation: 1, Organizations: []ledger.OrganizationView{{Name: "acme"}, {Name: "globex"}}, Feeds: []*ledger.FeedView{bill("acme"), bill("globex")}}
	s.view.Store(v)
	for _, step := range []struct {
		what   string
		change func()
		want   []string
	}{
		{"the first scrape", func() {}, []string{"acme", "globex"}},
		{"nothing has changed", func() {}, nil},
		{"one of them was polled", func() {
			s.view.Store(&ledger.View{Generation: 2, Organizations: v.Organizations, Feeds: []*ledger.FeedView{v.Feeds[0], bill("globex")}})
		}, []string{"globex"}},
		{"the hour has turned", func() { s.now = s.now.Add(time.Hour) }, []string{"acme", "globex"}},
		{"the configuration was loaded again", func() { c.Reload(true, s.now) }, []string{"acme", "globex"}},
		{"one of them is gone", func() {
			s.view.Store(&ledger.View{Generation: 3, Organizations: v.Organizations[:1], Feeds: v.Feeds[:1]})
		}, nil},
	} {
		books.names = nil
		step.change()
		families, err := c.Gather()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(books.names, step.want) {
			t.Errorf("%s: the books are asked of %v, want %v", step.what, books.names, step.want)
		}
		shown := map[string]bool{}
		for _, f := range families {
			if f.GetName() == "openai_organization_month_to_date_usd" {
				for _, m := range f.Metric {
					shown[m.Label[0].GetValue()] = true
				}
			}
		}
		if !shown["acme"] || shown["globex"] != (step.what != "one of them is gone") {
			t.Errorf("%s: money is shown of %v", step.what, shown)
		}
	}
}
