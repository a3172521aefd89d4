package exporter

import (
	"context"
	"fmt"
	"net"
	"net/http"
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
	// gateway serves what a gateway in front of it has seen.
	gateway http.Handler
	stop    func()
}

// The demo's usage is late and restated as the real API's is, and its counters start a day back so that there is
// something to see at once. Audits go back to a day whose bill is not corrected any more, so that the estimate can be compared
// with it at once, too. Projects belong to teams. One budget will do, the other will not.
const demoConfig = `
organizations:
  - name: demo
    api_key_file: %q
    base_url: http://%s/v1
    requests_per_minute: 6000
usage:
  interval: 5s
  audit: {window: 120h}
costs: {interval: 15s}
teams:
  - {name: products, project_ids: [%s, %s]}
  - {name: research, project_ids: [%s]}
budgets:
  - {name: company, monthly_usd: 40000}
  - {name: research, team: research, monthly_usd: 9000}
counters: {start: %q, zero_hold: 0s}
`

// startDemo starts the simulated organization. Its clock is ours unless it starts at a given time.
func startDemo(ctx context.Context, logger log.Logger, start time.Time) (_ *demo, err error) {
	dir, err := os.MkdirTemp("", "openai_exporter-demo-")
	if err != nil {
		return nil, err
	}
	remove := func() {
		if err := os.RemoveAll(dir); err != nil {
			level.Warn(logger).Log("msg", "The demo's state was not removed", "dir", dir, "err", err)
		}
	}
	defer func() {
		if err != nil {
			remove()
		}
	}()
	keyFile := filepath.Join(dir, "key")
	if err := os.WriteFile(keyFile, []byte("sk-admin-demo"), 0o600); err != nil {
		return nil, err
	}
	settings := simulator.Demo()
	settings.ListenAddress = "127.0.0.1:0"
	if start.IsZero() {
		start = time.Now()
	} else {
		settings.Start = start.Format(time.RFC3339)
	}
	o, err := settings.ServeOptions()
	if err != nil {
		return nil, err
	}
	// What is used follows from options and clock alone, so this one knows what the one behind the API serves.
	o.Options.Clock = o.Clock.Now
	organization, ids := simulator.New(o.Options), make(map[string]string)
	for _, p := range organization.Projects() {
		ids[p.Name] = p.ID
	}
	listening := make(chan net.Addr, 1)
	o.Listening = func(a net.Addr) { listening <- a }
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- simulator.Serve(ctx, o, log.With(level.NewFilter(logger, level.AllowWarn()), "component", "simulator"))
	}()
	address, err := listens(ctx, listening, ended)
	if err != nil {
		cancel()
		return nil, err
	}
	text := fmt.Sprintf(demoConfig, keyFile, address, ids["Support Copilot"], ids["Search"], ids["Research"], start.Add(-24*time.Hour).UTC().Format(time.RFC3339))
	return &demo{
		dir:     dir,
		load:    func() (*config.Valid, error) { return config.Parse("", []byte(text)) },
		gateway: organization.Gateway(),
		stop: func() {
			cancel()
			if err := <-ended; err != nil {
				level.Warn(logger).Log("msg", "The simulator did not stop cleanly", "err", err)
			}
			remove()
		},
	}, nil
}

// listens waits until the simulator has an address. One that has ended has none to poll, even if it ended without an error
// because it was told to stop; nor has one that is about to.
func listens(ctx context.Context, listening <-chan net.Addr, ended <-chan error) (net.Addr, error) {
	select {
	case a := <-listening:
		return a, context.Cause(ctx)
	case err := <-ended:
		if err == nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
}
