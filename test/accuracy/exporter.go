package main

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"syscall"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/test/process"
)

// An exporter is the real binary in a process of its own.
type exporter struct {
	binary  string
	dir     string
	args    []string
	program *process.Program
	address string
}

var listening = regexp.MustCompile(`msg=Listening.* address=(\S+)`)

// start starts the process and waits until it listens.
func (e *exporter) start(ctx context.Context) error {
	p, err := process.Launch(e.dir, e.binary, append([]string{"--web.listen-address=127.0.0.1:0"}, e.args...)...)
	if err != nil {
		return err
	}
	e.program = p
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		if m := listening.FindStringSubmatch(e.program.Output()); m != nil {
			e.address = m[1]
			return nil
		}
		select {
		case <-ticker.C:
		case <-e.program.Done():
			return fmt.Errorf("the exporter ended: %s", e.said())
		case <-ctx.Done():
			e.kill()
			return fmt.Errorf("the exporter does not listen: %w", ctx.Err())
		}
	}
}

// said is the end of its log, for when something goes wrong.
func (e *exporter) said() string { return process.Tail(e.program.Output(), 4000) }

// kill ends the process with SIGKILL: it gets no chance to tidy up.
func (e *exporter) kill() { e.program.Kill() }

// sleep stops the process wherever it is, and lets it go on after something has happened.
func (e *exporter) sleep(meanwhile func()) error {
	if err := e.program.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	meanwhile()
	return e.program.Signal(syscall.SIGCONT)
}

// metrics are the families of a scrape.
type metrics map[string]*dto.MetricFamily

func (e *exporter) scrape(ctx context.Context) (metrics, error) {
	body, err := process.Get(ctx, "http://"+e.address+"/metrics")
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(bytes.NewReader(body))
}

// sum adds up the series of a counter or gauge that have the labels, given as name, value, name, value.
func (m metrics) sum(name string, labels ...string) float64 {
	total := 0.0
series:
	for _, x := range m[name].GetMetric() {
		have := labelsOf(x)
		for i := 0; i < len(labels); i += 2 {
			if have[labels[i]] != labels[i+1] {
				continue series
			}
		}
		total += x.GetCounter().GetValue() + x.GetGauge().GetValue()
	}
	return total
}

// until scrapes until a condition holds, which says what it still waits for.
func (e *exporter) until(ctx context.Context, holds func(metrics) (bool, string)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	waitsFor := ""
	for {
		m, err := e.scrape(ctx)
		if err == nil {
			var ok bool
			if ok, waitsFor = holds(m); ok {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("gave up after %s: %s; the log ends with:\n%s", patience, waitsFor, e.said())
		case <-ticker.C:
		}
	}
}

// everywhere says whether every endpoint has been polled and audited successfully once more than in before.
func everywhere(m, before metrics) (bool, string) {
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		count := func(m metrics, name string) float64 { return m.sum(name, "endpoint", e.Name, "outcome", "success") }
		if count(m, "openai_exporter_polls_total") <= count(before, "openai_exporter_polls_total") {
			return false, "a poll of " + e.Name
		}
		if !e.Stock && !e.IsCosts() && count(m, "openai_exporter_audits_total") <= count(before, "openai_exporter_audits_total") {
			return false, "an audit of " + e.Name
		}
	}
	return true, ""
}

// progress waits until every endpoint has been polled and audited once more.
func (e *exporter) progress(ctx context.Context) error {
	before, err := e.scrape(ctx)
	if err != nil {
		return err
	}
	return e.until(ctx, func(m metrics) (bool, string) { return everywhere(m, before) })
}
