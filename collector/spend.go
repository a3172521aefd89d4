package collector

import (
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// An Amount is money in US dollars under the labels of the bill.
type Amount struct {
	Labels []ledger.Label
	USD    decimal.Fixed
}

// Spend adds up the bill of the running UTC day and of the running UTC month, the day included. What belongs to an
// earlier day or month is left out from the moment the day or month turns.
func Spend(f *ledger.FeedView, now time.Time) (today, month []Amount) {
	cost := slices.IndexFunc(f.Endpoint.Measures, func(m api.Measure) bool { return m.Name == api.MeasureCost })
	if cost < 0 {
		return nil, nil
	}
	start := startOfDay(now)
	first := start.AddDate(0, 0, 1-start.Day())
	var days, months sums
	for _, d := range f.Days {
		if d.Start.Before(first) || d.Start.After(start) {
			continue
		}
		for _, r := range d.Rows {
			i := slices.Index(r.Measures, cost)
			if i < 0 {
				continue
			}
			months.add(r.Labels, r.Values[i])
			if d.Start.Equal(start) {
				days.add(r.Labels, r.Values[i])
			}
		}
	}
	return days.amounts, months.amounts
}

// Total is the sum of amounts.
func Total(amounts []Amount) decimal.Fixed {
	var sum decimal.Fixed
	for _, a := range amounts {
		sum = sum.Add(a.USD)
	}
	return sum
}

func startOfDay(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

// sums adds amounts with equal labels, in the order in which the labels first came.
type sums struct {
	amounts []Amount
	at      map[string]int
	key     []byte
}

func (s *sums) add(labels []ledger.Label, v decimal.Fixed) {
	s.key = s.key[:0]
	for _, l := range labels {
		s.key = append(append(s.key, l.Name...), 0xff)
		s.key = append(append(s.key, l.Value...), 0xff)
	}
	i, ok := s.at[string(s.key)]
	if !ok {
		if s.at == nil {
			s.at = make(map[string]int)
		}
		i = len(s.amounts)
		s.at[string(s.key)] = i
		s.amounts = append(s.amounts, Amount{Labels: labels})
	}
	s.amounts[i].USD = s.amounts[i].USD.Add(v)
}
