package spend_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/budget"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/spend"
)

// BenchmarkReport reports on a thousand projects and 400 days, with a budget for all and one for ten projects.
func BenchmarkReport(b *testing.B) {
	const projects, days = 1000, 400
	today := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	costs, _ := api.Find(api.Costs)
	completions, _ := api.Find("completions")
	embeddings, _ := api.Find("embeddings")
	bill := &ledger.FeedView{Organization: "acme", Endpoint: costs, ReadAt: today.Add(12 * time.Hour)}
	usage := []*ledger.FeedView{{Organization: "acme", Endpoint: completions, ReadAt: bill.ReadAt}, {Organization: "acme", Endpoint: embeddings, ReadAt: bill.ReadAt}}
	for d := days - 1; d >= 0; d-- {
		charged, estimated := map[string]ledger.Amounts{}, map[string]ledger.Amounts{}
		for i := range projects {
			id := fmt.Sprintf("proj_%024d", i)
			charged[id] = ledger.Amounts{Charged: decimal.FromInt(int64(1 + i%7))}
			estimated[id] = ledger.Amounts{Estimated: decimal.FromInt(int64(1 + i%7))}
		}
		at := today.AddDate(0, 0, -d)
		bill.Books = append(bill.Books, ledger.NewDayBook(at, bill.ReadAt, 0, charged, nil))
		for _, u := range usage {
			u.Books = append(u.Books, ledger.NewDayBook(at, time.Time{}, 24, estimated, nil))
		}
	}
	p := &page{&ledger.View{Organizations: []ledger.OrganizationView{{Name: "acme"}}, Feeds: append([]*ledger.FeedView{bill}, usage...)}}
	books := spend.New(p)
	ten := make([]string, 10)
	for i := range ten {
		ten[i] = fmt.Sprintf("proj_%024d", i)
	}
	books.Configure(spend.Settings{Budgets: []spend.Budget{
		{Name: "all", Organization: "acme", USD: 1, Period: budget.Monthly}, {Name: "ten", Organization: "acme", ProjectIDs: ten, USD: 1, Period: budget.Yearly},
	}})
	b.ReportAllocs()
	for b.Loop() {
		books.Report(p.view, bill.ReadAt)
	}
}
