package main

import (
	"context"
	"fmt"
	"strings"
)

// A watch looks at the counters now and then: none may go down, whatever happens to the process, nor disappear.
type watch struct {
	highest map[string]float64
	scrapes int
	fallen  []string
}

// look compares a scrape with all scrapes before.
func (w *watch) look(ctx context.Context, e *exporter) {
	m, err := e.scrape(ctx)
	if err != nil {
		return // It is being killed or started.
	}
	w.scrapes++
	now := map[string]float64{}
	for name, f := range m {
		if !strings.HasSuffix(name, "_total") || !strings.HasPrefix(name, "openai_usage_") && !strings.HasPrefix(name, "openai_cost_") {
			continue
		}
		for _, x := range f.GetMetric() {
			now[name+"{"+spell(labelsOf(x))+"}"] = x.GetCounter().GetValue()
		}
	}
	for k, before := range w.highest {
		if n, there := now[k]; !there || n < before {
			w.fallen = append(w.fallen, fmt.Sprintf("%s went from %v to %v", k, before, n))
		}
	}
	for k, n := range now {
		w.highest[k] = max(w.highest[k], n)
	}
}

func (w *watch) err() error {
	if n := len(w.fallen); n > 0 {
		return fmt.Errorf("%d counters went down, first of all %s", n, strings.Join(w.fallen[:min(n, 3)], "; "))
	}
	return nil
}
