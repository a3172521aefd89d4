// Package command is the command line: its commands, their flags, and what each of them does.
package command

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/version"

	"github.com/openai-exporter/openai_exporter/internal/logging"
)

// name is what the program calls itself; defaultListen is the one place that knows the port.
const (
	name          = "openai_exporter"
	defaultListen = ":10095"
)

// Run is the whole program: it returns the exit code when the context ends or when there is nothing left to do.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	app := newApplication(stdout, stderr)
	done := -1 // the code of a flag that ends the program by itself, such as --help
	app.Terminate(func(code int) { done = max(done, code) })

	var logLevel, logFormat string
	app.Flag("log.level", "Only log messages with the given severity or above.").Default("info").EnumVar(&logLevel, logging.Levels...)
	app.Flag("log.format", "Output format of log messages.").Default(logging.Formats[0]).EnumVar(&logFormat, logging.Formats...)
	printVersion := app.Flag("version", "Show the version and exit.").Bool()

	serve := newServeCommand(app)
	backfill := newBackfillCommand(app)
	verify := newVerifyCommand(app)
	simulate := newSimulateCommand(app)
	healthcheck := newHealthcheckCommand(app)
	exportState, importState := newExportCommand(app), newImportCommand(app)

	nameFlags(app)
	if names, ok := completeCommand(app, args); ok {
		_, _ = fmt.Fprintln(stdout, strings.Join(names, "\n"))
		return 0
	}
	args = commandFirst(app, args)
	command, err := app.Parse(args)
	switch {
	case done >= 0:
		return done
	case *printVersion:
		_, _ = fmt.Fprintln(stdout, version.Print(name))
		return 0
	case err != nil:
		return fail(stderr, parseError(app, args, err))
	}
	logger, slogger, err := logging.New(stderr, logLevel, logFormat)
	if err != nil {
		return fail(stderr, err)
	}
	if command != serve.name {
		// To serve, a hangup means to reload. Any other command ends with its terminal, and clears up.
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGHUP)
		defer stop()
	}
	switch command {
	case backfill.name:
		err = backfill.run(ctx, logger, stdout, stderr)
	case verify.name:
		err = verify.run(ctx, logger, stdout)
	case simulate.name:
		err = simulate.run(ctx, logger)
	case healthcheck.name:
		err = healthcheck.run(ctx)
	case exportState.name:
		err = exportState.export(logger)
	case importState.name:
		err = importState.imports(logger)
	default:
		err = serve.run(ctx, logger, slogger, stdout)
	}
	if err != nil {
		return fail(stderr, err)
	}
	return 0
}

func newApplication(stdout, stderr io.Writer) *kingpin.Application {
	app := kingpin.New(name, "Prometheus exporter for the usage and the spend of an OpenAI organization.")
	app.HelpFlag.Short('h')
	app.UsageTemplate(usage)
	app.UsageWriter(willing{stdout})
	app.ErrorWriter(stderr)
	return app
}

// willing takes all of the help, because the parser panics where it can't be written, as when its reader was head.
type willing struct{ io.Writer }

func (w willing) Write(p []byte) (int, error) {
	_, _ = w.Writer.Write(p)
	return len(p), nil
}

// fail ends the program with the one message that counts, outside the log's format so that a person sees it.
func fail(stderr io.Writer, err error) int {
	for line := range strings.Lines(err.Error()) {
		_, _ = fmt.Fprintf(stderr, "%s: error: %s\n", name, strings.TrimSuffix(line, "\n"))
	}
	return 1
}
