package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// An exporter is the real binary in a process of its own.
type exporter struct {
	binary  string
	args    []string
	process *exec.Cmd
	address string
	ended   chan struct{}
	said    []string // the last lines of its log, for when something goes wrong
}

var listening = regexp.MustCompile(`msg=Listening.* address=(\S+)`)

// start starts the process and waits until it listens.
func (e *exporter) start(ctx context.Context) error {
	e.process = exec.CommandContext(ctx, e.binary, append([]string{"--web.listen-address=127.0.0.1:0"}, e.args...)...)
	stderr, err := e.process.StderrPipe()
	if err != nil {
		return err
	}
	if err := e.process.Start(); err != nil {
		return err
	}
	address := make(chan string, 1)
	e.ended = make(chan struct{})
	e.said = nil
	go func(p *exec.Cmd, ended chan struct{}) {
		defer close(ended)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				address <- m[1]
			}
			if e.said = append(e.said, lines.Text()); len(e.said) > 20 {
				e.said = e.said[1:]
			}
		}
		_ = p.Wait() // It was killed, or its last lines say why it ended.
	}(e.process, e.ended)
	select {
	case e.address = <-address:
		return nil
	case <-e.ended:
		return fmt.Errorf("the exporter ended: %s", strings.Join(e.said, "\n"))
	case <-time.After(patience):
		e.kill()
		return errors.New("the exporter does not listen")
	}
}

// kill ends the process with SIGKILL: it gets no chance to tidy up.
func (e *exporter) kill() {
	_ = e.process.Process.Kill() // An error means that it has ended already.
	<-e.ended
}

// sleep stops the process wherever it is, and lets it go on after something has happened.
func (e *exporter) sleep(meanwhile func()) error {
	if err := e.process.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	meanwhile()
	return e.process.Process.Signal(syscall.SIGCONT)
}

// metrics are the families of a scrape.
type metrics map[string]*dto.MetricFamily

func (e *exporter) scrape(ctx context.Context) (metrics, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.address+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(resp.Body)
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
			return fmt.Errorf("gave up after %s: %s; the log ends with:\n%s", patience, waitsFor, strings.Join(e.said, "\n"))
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
