package spend_test

import (
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/spend"
)

func TestADayOfWhichLabelSetsAreFoldedTeachesNoPrice(t *testing.T) {
	const input = "gpt-4o-2024-08-06, input"
	whole := billed(t, daysAgo(2), map[string]string{"a|" + input: "3"}, map[string]string{input + "|tokens": "1000000"})
	for name, folded := range map[string]ledger.Day{
		"amounts":    billed(t, daysAgo(1), map[string]string{"a|" + input: "0.3", "other|other": "2.7"}, map[string]string{input + "|tokens": "1000000"}),
		"quantities": billed(t, daysAgo(1), map[string]string{"a|" + input: "3"}, map[string]string{input + "|tokens": "100000", "other|other": "900000"}),
	} {
		t.Run(name, func(t *testing.T) {
			for _, c := range []struct {
				days []ledger.Day
				want string
			}{
				{[]ledger.Day{whole, folded}, "3"},
				{[]ledger.Day{folded}, "2.5"}, // The built-in list.
			} {
				books := spend.New(organization(t, c.days))
				books.Configure(spend.Settings{Learn: true})
				row := []decimal.Fixed{{}, decimal.FromInt(1_000_000)}
				usd, _ := books.Pricer("acme", find(t, "embeddings"))(time.Now(), []string{"model"}, labels("model", "gpt-4o-2024-08-06"), row)
				if usd.String() != c.want {
					t.Errorf("a million tokens cost %s, want %s", usd, c.want)
				}
			}
		})
	}
}
