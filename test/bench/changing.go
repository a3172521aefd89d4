package main

import (
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// traffic is usage of completions whose amount is set to the row.
type traffic struct {
	LabelSets int
	Every     int64 // each label set has usage in every so manieth minute
	// Changing makes rows of the newest quarter of an hour different each time they are asked for.
	Changing bool
}

// changes is how long a minute grows where it does, in seconds.
const changes = 15 * 60

// has is how many requests a label set had in a minute, 0 for none.
func (t traffic) has(i int, minute int64) int64 {
	if (minute+int64(i))%t.Every != 0 {
		return 0
	}
	return 1 + (minute+int64(i))%97
}

// total is how many requests there were from one time until another, the running minute included.
func (t traffic) total(from, asOf time.Time) (n int64) {
	for minute := from.Unix() / 60; minute*60 < asOf.Unix(); minute++ {
		for i := range t.LabelSets {
			n += t.has(i, minute)
		}
	}
	return n
}

// handler answers for completions in minutes and hours.
func (t traffic) handler(now func() time.Time) http.Handler {
	var asked atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		number := func(name string) int64 {
			n, _ := strconv.ParseInt(q.Get(name), 10, 64) // 0 is missed below.
			return n
		}
		asOf, start, end, limit := now().Unix(), number("start_time"), number("end_time"), number("limit")
		if q.Has("page") {
			start = number("page")
		}
		width := map[string]int64{"1m": 60, "1h": 3600}[q.Get("bucket_width")]
		if width == 0 || start == 0 || limit == 0 {
			http.Error(w, `{"error":{"message":"only usage in minutes and hours is simulated"}}`, http.StatusBadRequest)
			return
		}
		if end == 0 || end > asOf {
			end = asOf
		}
		more := int64(0)
		if t.Changing {
			more = asked.Add(1)
		}
		b := []byte(`{"object":"page","data":[`)
		for n := int64(0); start < end && n < limit; n++ {
			if n > 0 {
				b = append(b, ',')
			}
			b = t.bucket(b, start, width, asOf, more)
			start += width
		}
		if start < end {
			b = fmt.Appendf(b, `],"has_more":true,"next_page":"%d"}`, start)
		} else {
			b = append(b, `],"has_more":false,"next_page":null}`...)
		}
		_, _ = w.Write(b) // A client that has gone needs no answer.
	})
}

func (t traffic) bucket(b []byte, start, width, asOf, more int64) []byte {
	b = fmt.Appendf(b, `{"object":"bucket","start_time":%d,"end_time":%d,"results":[`, start, start+width)
	first := true
	for i := range t.LabelSets {
		n := int64(0)
		for at := start; at < start+width && at < asOf; at += 60 {
			if has := t.has(i, at/60); has > 0 {
				n += has
				if at > asOf-changes {
					n += more
				}
			}
		}
		if n == 0 {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = fmt.Appendf(b, `{"object":"organization.usage.completions.result","input_tokens":%d,"output_tokens":%d,"num_model_requests":%d,"project_id":"proj_%024d","user_id":null,"api_key_id":null,"model":"gpt-5.%d-2026-08-07","batch":false,"service_tier":"default","input_cached_tokens":%d,"input_audio_tokens":0,"output_audio_tokens":0}`,
			1200*n, 170*n, n, i%40, i/40, 600*n)
	}
	return append(b, "]}"...)
}
