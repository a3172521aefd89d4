package simulator_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

func BenchmarkReads(b *testing.B) {
	day := monday.Truncate(24 * time.Hour)
	for _, profile := range []string{"instant", "restated"} {
		for _, bc := range []struct {
			name, path string
			q          url.Values
		}{
			{"poll", "organization/usage/completions", query("start_time", seconds(monday.Add(-time.Hour)), "bucket_width", "1m", "limit", "1440", "group_by", "project_id,model,batch,service_tier")},
			{"audit", "organization/usage/completions", query("start_time", seconds(monday.Add(-72*time.Hour)), "bucket_width", "1h", "limit", "168", "group_by", "project_id,model,batch,service_tier")},
			{"month", "organization/costs", query("start_time", seconds(day.Add(-30*24*time.Hour)), "limit", "180", "group_by", "project_id,line_item")},
		} {
			b.Run(profile+"/"+bc.name, func(b *testing.B) {
				c, _ := simulator.Profile(profile)
				s, _ := at(monday, simulator.Options{Lateness: c.Lateness, Restate: c.Restate})
				start := time.Now()
				get(b, s, bc.path, bc.q)
				b.ReportMetric(float64(time.Since(start).Milliseconds()), "cold-ms")
				for b.Loop() {
					get(b, s, bc.path, bc.q)
				}
			})
		}
	}
}

func BenchmarkManyLabelSets(b *testing.B) {
	for _, c := range []struct {
		name, width string
		back        time.Duration
	}{{"poll", "1m", time.Hour}, {"audit", "1h", 72 * time.Hour}} {
		b.Run(c.name, func(b *testing.B) {
			s, _ := at(monday, simulator.Options{LabelSets: 20_000})
			for b.Loop() {
				get(b, s, "organization/usage/completions", query("start_time", seconds(monday.Add(-c.back)), "bucket_width", c.width, "limit", "168", "group_by", "project_id,model"))
			}
		})
	}
}
