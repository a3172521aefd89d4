package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log"

	"github.com/openai-exporter/openai_exporter/config"
	"github.com/openai-exporter/openai_exporter/internal/exporter"
	"github.com/openai-exporter/openai_exporter/internal/shard"
)

// serveCommand is the main job, and the default command.
type serveCommand struct {
	name    string
	options exporter.Options
	// storageGiven says whether the command line names the directory, be it the default one.
	storageGiven bool
	check        bool
}

func newServeCommand(app *kingpin.Application) *serveCommand {
	c := &serveCommand{name: "serve"}
	cmd := app.Command(c.name, "Poll the API and serve metrics. This is the default command.").Default()
	cmd.Flag("config.file", "Configuration file. Without one the admin key is taken from $"+config.DefaultKeyEnv+".").PlaceHolder("FILE").StringVar(&c.options.ConfigFile)
	cmd.Flag("config.check", "Check the configuration and exit.").BoolVar(&c.check)
	cmd.Flag("storage.path", "Directory of the state, which keeps counters exact across restarts.").Default("data").IsSetByUser(&c.storageGiven).StringVar(&c.options.StoragePath)
	cmd.Flag("web.listen-address", "Address to listen on. Repeatable.").Default(defaultListen).StringsVar(&c.options.Addresses)
	cmd.Flag("web.config.file", "Web configuration file (TLS, basic auth), see the exporter-toolkit's documentation.").PlaceHolder("FILE").StringVar(&c.options.WebConfigFile)
	cmd.Flag("web.telemetry-path", "Path under which to expose metrics.").Default("/metrics").StringVar(&c.options.TelemetryPath)
	cmd.Flag("web.enable-lifecycle", "Enable reload via HTTP request.").BoolVar(&c.options.EnableLifecycle)
	c.options.Shard = shard.Shard{Count: 1}
	cmd.Flag("shard", "Which replica this is of how many, counted from 0: 0/3 is the first of three. Each replica polls a different part. Without it, this exporter polls everything.").PlaceHolder("I/N").SetValue(shardValue{&c.options.Shard})
	cmd.Flag("shard.by", "What stays together on one replica: an organization, or an endpoint of one.").Default(string(shard.Organization)).EnumVar((*string)(&c.options.Shard.Unit), string(shard.Organization), string(shard.Endpoint))
	cmd.Flag("demo", "Serve a simulated organization: no key needed, state in a temporary directory.").BoolVar(&c.options.Demo)
	return c
}

func (c *serveCommand) run(ctx context.Context, logger log.Logger, slogger *slog.Logger, stdout io.Writer) error {
	if c.options.Demo {
		switch configGiven := c.options.ConfigFile != ""; {
		case configGiven && c.storageGiven:
			return errors.New("--demo has a configuration and a state of its own: leave out --config.file and --storage.path")
		case configGiven:
			return errors.New("--demo has a configuration of its own: leave out --config.file")
		case c.storageGiven:
			return errors.New("--demo keeps its state in a temporary directory: leave out --storage.path")
		}
	}
	if err := c.empty(); err != nil {
		return err
	}
	c.options.Logger, c.options.WebLogger = logger, slogger
	if !c.check {
		return exporter.Run(ctx, c.options)
	}
	if err := exporter.Check(ctx, c.options); err != nil {
		return err
	}
	_, err := fmt.Fprintln(stdout, "The configuration is valid")
	return err
}

// empty refuses flags that were given without a value, such as by a variable that is not set: an empty address would be any
// port on every interface.
func (c *serveCommand) empty() error {
	for _, f := range []struct {
		is       bool
		flag, to string
	}{
		{c.options.StoragePath == "", "--storage.path", "the directory of the state"},
		{slices.Contains(c.options.Addresses, ""), "--web.listen-address", "an address such as " + defaultListen},
		{c.options.TelemetryPath == "", "--web.telemetry-path", "a path such as /metrics"},
	} {
		if f.is {
			return fmt.Errorf("%s is empty: set it to %s, or leave it out", f.flag, f.to)
		}
	}
	return nil
}
