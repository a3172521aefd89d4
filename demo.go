package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/openai-exporter/openai_exporter/config"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// simulateCommand serves the simulated API to other processes.
type simulateCommand struct {
	name     string
	settings simulator.Settings
}

func newSimulateCommand(app *kingpin.Application) *simulateCommand {
	c := &simulateCommand{name: "simulate"}
	s := &c.settings
	cmd := app.Command(c.name, "Serve a simulated API, to try the exporter without a key and to test what stands behind it.")
	cmd.Flag("listen-address", "Address to listen on.").Default("127.0.0.1:10096").StringVar(&s.ListenAddress)
	cmd.Flag("seed", "What decides everything random.").Default("1").Uint64Var(&s.Seed)
	cmd.Flag("scale", "Multiplies the traffic.").Default("1").Float64Var(&s.Scale)
	cmd.Flag("speed", "How fast the API's clock runs.").Default("1").Float64Var(&s.Speed)
	cmd.Flag("start", "Where the API's clock starts, a date (midnight UTC) or an RFC 3339 time; now by default.").StringVar(&s.Start)
	cmd.Flag("lateness", "How late usage is reported: instant, minutes or hours.").Default("instant").EnumVar(&s.Lateness, "instant", "minutes", "hours")
	cmd.Flag("restate", "Correct a share of the buckets hours later.").BoolVar(&s.Restate)
	cmd.Flag("faults", "Which requests go wrong: none, 429 (a fifth is throttled) or mixed (a third fails in every way).").Default("none").EnumVar(&s.Faults, "none", "429", "mixed")
	cmd.Flag("string-amounts", "Spell amounts as strings instead of numbers.").BoolVar(&s.StringAmounts)
	cmd.Flag("admin-key", "Accept only this key; any by default.").StringVar(&s.AdminKey)
	cmd.Flag("label-sets", "Additional label sets of completions.").IntVar(&s.LabelSets)
	return c
}

func (c *simulateCommand) run(ctx context.Context, logger log.Logger) error {
	if c.settings.Start != "" {
		at, err := moment("--start", c.settings.Start)
		if err != nil {
			return err
		}
		c.settings.Start = at.Format(time.RFC3339)
	}
	o, err := c.settings.ServeOptions()
	if err != nil {
		return err
	}
	return simulator.Serve(ctx, o, logger)
}

// A demo is a simulated organization in this process and the configuration that polls it.
type demo struct {
	dir  string
	load func() (*config.Valid, error)
	stop func()
}

// The demo's usage is late and restated as the real API's is, and its counters start a day back so that there is
// something to see at once. Completions are grouped by all that their price depends on. One budget will do, the other
// will not.
const demoConfig = `
organizations:
  - name: demo
    api_key_file: %q
    base_url: http://%s/v1
    requests_per_minute: 6000
usage:
  interval: 5s
  endpoints: {completions: {group_by: [project_id, model, batch, service_tier]}}
costs: {interval: 15s}
budgets:
  - {name: company, monthly_usd: 40000}
  - {name: research, project_ids: [%s], monthly_usd: 9000}
counters: {start: %q, zero_hold: 0s}
`

func startDemo(ctx context.Context, logger log.Logger) (*demo, error) {
	dir, err := os.MkdirTemp("", name+"-demo-")
	if err != nil {
		return nil, err
	}
	keyFile := filepath.Join(dir, "key")
	if err := os.WriteFile(keyFile, []byte("sk-admin-demo"), 0o600); err != nil {
		return nil, err
	}
	o, err := simulator.Settings{ListenAddress: "127.0.0.1:0", Seed: 1, Lateness: "minutes", Restate: true}.ServeOptions()
	if err != nil {
		return nil, err
	}
	research := ""
	for _, p := range simulator.New(o.Options).Projects() {
		if p.Name == "Research" {
			research = p.ID
		}
	}
	listening := make(chan net.Addr, 1)
	o.Listening = func(a net.Addr) { listening <- a }
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- simulator.Serve(ctx, o, log.With(level.NewFilter(logger, level.AllowWarn()), "component", "simulator"))
	}()
	d := &demo{dir: dir}
	d.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			level.Warn(logger).Log("msg", "The simulator did not stop cleanly", "err", err)
		}
		if err := os.RemoveAll(dir); err != nil {
			level.Warn(logger).Log("msg", "The demo's state was not removed", "dir", dir, "err", err)
		}
	}
	select {
	case err := <-ended:
		ended <- nil // for stop
		d.stop()
		return nil, err
	case a := <-listening:
		text := fmt.Sprintf(demoConfig, keyFile, a, research, time.Now().Add(-24*time.Hour).UTC().Format(time.RFC3339))
		d.load = func() (*config.Valid, error) { return config.Parse("", []byte(text)) }
		return d, nil
	}
}
