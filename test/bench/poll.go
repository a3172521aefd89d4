package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// onlyCompletions is a configuration of one organization of which nothing but completions is polled.
func onlyCompletions(url, organization string, interval, lookback, audited time.Duration, start string) string {
	return fmt.Sprintf(`organizations:
  - {name: %[2]s, base_url: %[1]s/%[2]s/v1, api_key_env: OPENAI_ADMIN_KEY, requests_per_minute: 6000}
usage:
  interval: %[3]s
  lookback: %[4]s
  audit: {interval: 24h, window: %[5]s}
  endpoints:
    embeddings: {enabled: false}
    moderations: {enabled: false}
    images: {enabled: false}
    audio_speeches: {enabled: false}
    audio_transcriptions: {enabled: false}
    vector_stores: {enabled: false}
    code_interpreter_sessions: {enabled: false}
    file_search_calls: {enabled: false}
    web_search_calls: {enabled: false}
    decisions: {enabled: false}
costs: {enabled: false}
names: {enabled: false}
limits: {enabled: false}
counters: {start: %[6]s, zero_hold: 0s, max_label_sets: 1000000}
`, url, organization, interval, lookback, audited, start)
}

// A pollCost is what a poll takes, on the average of some.
type pollCost struct {
	polls  int
	cpu    time.Duration
	memory float64
}

// costOfPolls watches an exporter that has been started until it has made so many polls.
func costOfPolls(ctx context.Context, exporters []*program, interval time.Duration, polls int) ([]pollCost, error) {
	const name = "openai_exporter_polls_total"
	type mark struct {
		polls float64
		cpu   time.Duration
	}
	look := func(p *program) (m mark, err error) {
		if m.cpu, err = p.cpu(); err == nil {
			m.polls, err = p.sum(ctx, name)
		}
		return m, err
	}
	before := make([]mark, len(exporters))
	for i, p := range exporters {
		var err error
		if before[i], err = look(p); err != nil {
			return nil, errors.Join(err, p.failed())
		}
	}
	// To ask costs something, too.
	if err := sleep(ctx, time.Duration(polls)*interval); err != nil {
		return nil, err
	}
	out := make([]pollCost, len(exporters))
	err := until(ctx, patience, func() error {
		for i, p := range exporters {
			now, err := look(p)
			if err != nil {
				return err
			}
			n := int(now.polls - before[i].polls)
			if n < polls {
				return fmt.Errorf("%d of %d polls", n, polls)
			}
			out[i] = pollCost{polls: n, cpu: (now.cpu - before[i].cpu) / time.Duration(n)}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i, p := range exporters {
		m, err := p.memory()
		if err != nil {
			return nil, err
		}
		out[i].memory = m["RssAnon"]
	}
	return out, nil
}

// steadyPolls compares what a poll takes of which most was read before, with the program of another commit where $BASE
// names one. Both poll the same API at the same time.
func steadyPolls(ctx context.Context, w io.Writer, dir string) error {
	const labelSets, minutes = 600, 60
	interval, polls := 5*time.Second, 24
	if quick {
		polls = 3
	}
	url, end, err := startUpstream(ctx, upstreamOptions{Interval: interval, Traffic: &traffic{LabelSets: labelSets, Every: 1, Changing: true}})
	if err != nil {
		return err
	}
	defer end()
	commits := []string{""}
	if base := os.Getenv("BASE"); base != "" {
		commits = append(commits, base)
	}
	var exporters []*program
	for i, commit := range commits {
		binary, err := buildExporter(ctx, dir, commit)
		if err != nil {
			return err
		}
		name := fmt.Sprint("poll-", i)
		p, err := startExporter(ctx, dir, name, binary, onlyCompletions(url, name, interval, time.Hour, 3*time.Hour, "now"))
		if err != nil {
			return err
		}
		defer p.end()
		if err := p.ready(ctx, 5*time.Minute); err != nil {
			return err
		}
		exporters = append(exporters, p)
	}
	// The first polls and the audit have more to do.
	if _, err := costOfPolls(ctx, exporters, interval, 4); err != nil {
		return err
	}
	costs, err := costOfPolls(ctx, exporters, interval, polls)
	if err != nil {
		return err
	}
	t := newTable(fmt.Sprintf("A poll of %d minutes with %d rows, of which those of the newest quarter of an hour have changed; %d polls", minutes, labelSets*minutes, polls),
		"Commit", "CPU", "CPU ÷ here", "Memory")
	for i, c := range costs {
		name := "here"
		if commits[i] != "" {
			name = commits[i]
		}
		t.row(name, ms(c.cpu), over(c.cpu, costs[0].cpu), size(c.memory))
	}
	t.write(w)
	return nil
}
