package command

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log"

	"github.com/openai-exporter/openai_exporter/internal/server"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// maxScale is how much traffic still makes bills whose sums fit the integers that the simulator makes them of.
const maxScale = 1000

// simulateCommand serves the simulated API to other processes.
type simulateCommand struct {
	name     string
	settings simulator.Settings
}

func newSimulateCommand(app *kingpin.Application) *simulateCommand {
	c := &simulateCommand{name: "simulate"}
	s := &c.settings
	cmd := app.Command(c.name, "Serve a simulated API, to try the exporter without a key and to test rules and dashboards.")
	cmd.Flag("listen-address", "Address to listen on.").Default("127.0.0.1:10096").StringVar(&s.ListenAddress)
	cmd.Flag("seed", "Seed of the random numbers.").Default("1").Uint64Var(&s.Seed)
	cmd.Flag("scale", "Factor for the amount of traffic.").Default("1").Float64Var(&s.Scale)
	cmd.Flag("speed", "Factor for the speed of the API's clock.").Default("1").Float64Var(&s.Speed)
	cmd.Flag("start", "When the API's clock starts: a date (midnight UTC) or an RFC 3339 time; now by default.").StringVar(&s.Start)
	cmd.Flag("lateness", "How late usage is reported: instant, minutes or hours.").Default("instant").EnumVar(&s.Lateness, "instant", "minutes", "hours")
	cmd.Flag("restate", "Correct a share of the buckets hours later.").BoolVar(&s.Restate)
	cmd.Flag("faults", "Which requests fail: none, 429 (a fifth is throttled) or mixed (a third fails, in different ways).").Default("none").EnumVar(&s.Faults, "none", "429", "mixed")
	cmd.Flag("string-amounts", "Write amounts as strings instead of numbers.").BoolVar(&s.StringAmounts)
	cmd.Flag("admin-key", "Accept only this key; any by default.").StringVar(&s.AdminKey)
	cmd.Flag("label-sets", "Number of additional label sets of completions.").IntVar(&s.LabelSets)
	return c
}

func (c *simulateCommand) run(ctx context.Context, logger log.Logger) error {
	switch s := c.settings; {
	case !(s.Scale > 0 && s.Scale <= maxScale):
		return fmt.Errorf("--scale must be above 0 and at most %d", maxScale)
	case !(s.Speed > 0 && !math.IsInf(s.Speed, 0)):
		return errors.New("--speed must be above 0")
	case s.LabelSets < 0:
		return errors.New("--label-sets must not be negative")
	}
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
	err = simulator.Serve(ctx, o, logger)
	if failed := (*net.OpError)(nil); errors.As(err, &failed) && failed.Op == "listen" {
		return fmt.Errorf("listen on %s: %w; see --listen-address", o.ListenAddress, server.Plainly(failed))
	}
	return err
}
