package ledger

import (
	"time"

	"github.com/go-kit/log/level"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// Days of the bill that are older than what polls read are for the books alone: a budget's period may have begun long
// before the exporter did. They are read once, in pages of as many days as the API allows, after a poll and apart from it,
// so that neither their size nor their failure holds up the running bill. No counter and no series is made of them.

// olderBill is the next page of days that are to be known and are not.
func (f *Feed) olderBill(now time.Time) (Window, bool) {
	if f.options.BillFrom == nil || f.refused.bill || !f.meta.Begun || f.meta.BillFrom == 0 {
		return Window{}, false
	}
	billFrom := dayOf(f.meta.BillFrom)
	wanted := max(dayOf(f.options.BillFrom(now).Unix()), dayOf(now.Unix())-seconds(booksKept))
	if wanted >= billFrom {
		return Window{}, false
	}
	from := max(wanted, billFrom-int64(api.CostDay.Max)*secondsOfDay)
	return Window{Width: api.CostDay, From: time.Unix(from, 0).UTC(), To: time.Unix(billFrom, 0).UTC(), Audit: true, shape: f.shape}, true
}

// olderBill takes a page of older days into the books. One that was asked for before the marks moved says nothing new.
func (st *stage) olderBill(r *Read) {
	if r.Window.To.Unix() == st.meta.BillFrom {
		for i := range r.buckets {
			st.bill(&r.buckets[i])
		}
		st.meta.marks = st.meta.billed(r.Window.From.Unix())
	}
	st.closeBooks()
}

// giveUpBill ends the asking for older days until the next start: a hole between two pages would be taken for days without
// cost.
func (f *Feed) giveUpBill(w Window) {
	if f.refused.bill {
		return
	}
	level.Warn(f.logger()).Log("msg", "The API does not return older days of the bill; the spend of budgets that began earlier is unknown until a restart asks for them again", "before", w.To.Format(time.RFC3339))
	f.refused.bill = true
}
