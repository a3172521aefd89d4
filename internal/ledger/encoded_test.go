package ledger

import (
	"encoding/hex"
	"slices"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// TestTheBytesOfASeriesStayAsTheyAre: newer versions have to go on reading them.
func TestTheBytesOfASeriesStayAsTheyAre(t *testing.T) {
	const derivedAsWritten = 64 // What is derived first of rows, such as the estimate of their cost.
	l := newLayouts(nil, []string{"requests", "tokens"})
	groups := []group{{measures: []int{0, 1}}}
	key := appendString(appendString(nil, "project_id"), "p")
	n := decimal.FromInt
	for name, tc := range map[string]struct {
		series series
		want   string
	}{
		"the first measure is held at zero": {
			series{group: 0, total: []decimal.Fixed{n(7), n(0)}, fresh: Set(0).With(0), seen: 60},
			"040080a0abfef962780e000a70726f6a6563745f696401701c00000001",
		},
		"withheld, held and of a former shape": {
			series{group: 0, total: []decimal.Fixed{n(7), n(5)}, high: []decimal.Fixed{n(7), n(6)}, held: true, ended: true, seen: 60},
			"030080a0abfef962780e000a70726f6a6563745f696401701c001404",
		},
		"derived": {
			series{group: derivedAsWritten, total: []decimal.Fixed{n(7)}, seen: 60},
			"000080a0abfef962780e400a70726f6a6563745f696401701c00",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := tc.series
			s.id, s.born, s.key = 3, time.Unix(1_700_000_000, 0).UTC(), indexKey(s.group, key)
			if s.high == nil {
				s.high = s.total
			}
			b := s.encode(nil, l.current, &groups[0], len(l.names[l.current]))
			if got := hex.EncodeToString(b); got != tc.want {
				t.Errorf("it is written as %s, want %s", got, tc.want)
			}
			b, err := hex.DecodeString(tc.want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := decodeSeries(s.id, b, &l, groups, derivations)
			if err != nil {
				t.Fatal(err)
			}
			if got.key != s.key || !slices.Equal(got.labels, []Label{{"project_id", "p"}}) || got.group != s.group || !got.born.Equal(s.born) || got.seen != s.seen ||
				got.held != s.held || got.ended != s.ended || got.fresh != s.fresh || !slices.Equal(got.total, s.total) || !slices.Equal(got.high, s.high) {
				t.Errorf("it is read as %+v, want %+v", *got, s)
			}
		})
	}
}

func TestAnAuditReadsFewHoursOfVeryManyLabelSets(t *testing.T) {
	for labelSets, want := range map[int]int64{0: 168, 1: 168, 1000: 168, 10_000: 50, 300_000: 1, 500_000: 1, 2_000_000: 1} {
		if got := auditHours(labelSets); got != want {
			t.Errorf("of %d label sets it reads %d hours at a time, want %d", labelSets, got, want)
		}
	}
}
