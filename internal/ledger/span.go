package ledger

import (
	"maps"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// A span is an hour of usage or a day of the bill, the unit that changes hands between widths: an hour is held as the
// minutes that polls read until an audit reads it whole, and is then held as one bucket. A span is never held in two
// widths, so nothing is booked twice, whatever width reads it.
type span struct {
	width   int64            // of its buckets, in seconds
	buckets map[int64][]byte // encoded cells by start
}

func (s *span) clone() *span { return &span{s.width, maps.Clone(s.buckets)} }

func (f *Feed) spanSize() int64 {
	if f.options.Endpoint.IsCosts() {
		return int64(api.CostDay.Duration / time.Second)
	}
	return int64(time.Hour / time.Second)
}

func (f *Feed) spanOf(t int64) int64 { return t - mod(t, f.spanSize()) }

func mod(t, width int64) int64 { return ((t % width) + width) % width }
