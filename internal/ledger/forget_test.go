package ledger

import (
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

func TestHoursThatWereGivenUpAreCountedAndForgotten(t *testing.T) {
	completions, _ := api.Find("completions")
	f := &Feed{ledger: &Ledger{}, options: FeedOptions{Endpoint: completions, AuditWindow: 72 * time.Hour}}
	from := time.Date(2026, 11, 10, 0, 0, 0, 0, time.UTC)
	const days = 200
	for i := range days {
		at := from.AddDate(0, 0, i)
		f.meta.Final = at.Unix()
		if !f.note(at, at.Add(2*time.Hour)) || f.note(at, at.Add(time.Hour)) {
			t.Fatal("news is what was not noted")
		}
	}
	if f.refused.gaveUp != 2*days {
		t.Errorf("%d hours are counted, want %d", f.refused.gaveUp, 2*days)
	}
	if n := len(f.refused.hours); n > 2*4 {
		t.Errorf("%d hours are remembered", n)
	}
}
