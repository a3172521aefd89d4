//go:build !race

package simulation_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// settings are what a reload may change.
type settings struct {
	interval, lookback, auditInterval, auditWindow, zeroHold time.Duration
	width                                                    string
	groupBy, costsGroupBy                                    []string
	costsInterval, costsLookback                             time.Duration
	labelSets, requests                                      int
	costs, names, learn, reversed                            bool
	idle                                                     time.Duration
	start                                                    string          // counters.start, which counts for nothing once there is a state
	prices                                                   string          // pricing.file
	period                                                   string          // of a budget that reads older days of the bill, or ""
	off                                                      map[string]bool // endpoints
}

func (s *settings) String() string {
	return fmt.Sprint(s.interval, s.lookback, s.auditInterval, s.auditWindow, s.zeroHold, s.width, s.groupBy, s.costsGroupBy, s.costsInterval, s.costsLookback, s.labelSets, s.requests, s.costs, s.names, s.learn, s.reversed, s.off, s.idle, s.start, filepath.Base(s.prices), s.period) // Every life has a directory of its own.
}

// effective is the lookback as it holds: at least a bucket.
func (s *settings) effective() time.Duration {
	if s.width == "1h" {
		return max(s.lookback, time.Hour)
	}
	return s.lookback
}

// pace is the interval as it holds: who reads thousands of minutes does it rarely, which is expensive otherwise.
func (s *settings) pace() time.Duration {
	if s.width == "1m" {
		return max(s.interval, (s.lookback / 8).Truncate(time.Minute))
	}
	return s.interval
}

// yaml is the configuration file.
func (w *world) yaml() string {
	s := &w.settings
	var b strings.Builder
	fmt.Fprintln(&b, "organizations:")
	organizations := slices.Clone(w.organizations)
	if s.reversed {
		slices.Reverse(organizations)
	}
	for _, o := range organizations {
		if !o.removed {
			fmt.Fprintf(&b, "  - {name: %s, api_key_file: %q, base_url: http://%s.test/v1, requests_per_minute: %d}\n", o.name, filepath.Join(w.dir, o.name+".key"), o.name, s.requests)
		}
	}
	fmt.Fprintf(&b, "usage:\n  interval: %s\n  bucket_width: %s\n  lookback: %s\n  group_by: [%s]\n  audit: {interval: %s, window: %s}\n  endpoints:\n",
		s.pace(), s.width, s.effective(), strings.Join(s.groupBy, ", "), s.auditInterval, max(s.auditWindow, (s.effective()+2*time.Hour).Truncate(time.Hour)))
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		if e.IsCosts() {
			continue
		}
		fmt.Fprintf(&b, "    %s: {enabled: %t}\n", e.Name, slices.Contains(w.endpoints, e.Name) && !s.off[e.Name])
	}
	fmt.Fprintf(&b, "costs: {enabled: %t, interval: %s, lookback: %s, group_by: [%s]}\n", s.costs, s.costsInterval, s.costsLookback, strings.Join(s.costsGroupBy, ", "))
	fmt.Fprintf(&b, "names: {enabled: %t, interval: 50h}\nlimits: {enabled: %t, interval: 90h}\n", s.names, s.names)
	fmt.Fprintf(&b, "pricing: {learn_from_costs: %t, file: %q}\n", s.learn, s.prices)
	fmt.Fprintf(&b, "counters: {start: %q, zero_hold: %s, max_label_sets: %d, idle_retention: %s}\n", s.start, s.zeroHold, s.labelSets, s.idle)
	fmt.Fprintln(&b, "budgets:")
	for _, o := range organizations {
		if !o.removed {
			fmt.Fprintf(&b, "  - {name: all of %s, organization: %s, monthly_usd: 500}\n", o.name, o.name)
		}
		if !o.removed && s.period != "" {
			fmt.Fprintf(&b, "  - {name: longer of %s, organization: %s, %sly_usd: 5000}\n", o.name, o.name, s.period)
		}
		if !o.removed && slices.Contains(s.costsGroupBy, "project_id") {
			fmt.Fprintf(&b, "  - {name: a part of %s, organization: %s, project_ids: [%s], monthly_usd: 100}\n", o.name, o.name, o.sim.Projects()[o.budgeted].ID)
		}
	}
	return b.String()
}

// firstSettings draws what the exporter starts with. The expensive ones, which read many minutes often, are rare.
func (w *world) firstSettings() settings {
	s := settings{
		interval: w.duration(20*time.Minute, 30*time.Minute, time.Hour, 2*time.Hour), lookback: w.duration(30*time.Minute, time.Hour, 2*time.Hour),
		auditInterval: w.duration(4*time.Hour, 8*time.Hour), auditWindow: w.duration(72*time.Hour, 72*time.Hour, 96*time.Hour), zeroHold: w.duration(0, 2*time.Minute, 10*time.Minute),
		width: w.pick("1m", "1h", "1h"), groupBy: w.grouping(), costsGroupBy: []string{"project_id", "line_item"},
		costsInterval: w.duration(time.Hour, 2*time.Hour, 4*time.Hour), costsLookback: 96 * time.Hour,
		labelSets: 20000, requests: 6000, costs: true, names: w.chance(0.1) && !w.constant, learn: w.chance(0.5) && !w.constant, off: map[string]bool{},
		idle: 840 * time.Hour, start: w.counting, period: w.pick("", "", "quarter", "year"),
	}
	if w.chance(0.25) {
		s.labelSets = 2 + w.rng.IntN(12)
	}
	return s
}

func (w *world) grouping() []string {
	return [][]string{{"project_id", "model"}, {"project_id", "model"}, {"project_id"}, {"model"}, {"project_id", "model", "user_id"}, {"project_id", "model", "batch", "service_tier"}, {}}[w.rng.IntN(7)]
}
