package exporter

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/openai-exporter/openai_exporter/config"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

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
	dir, err := os.MkdirTemp("", "openai_exporter-demo-")
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
