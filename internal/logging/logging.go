// Package logging makes the two loggers of the process, which write to one sink: go-kit's for our own packages, and
// log/slog's for the libraries that want one.
package logging

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	sloggokit "github.com/tjhop/slog-gokit"
)

// Levels and Formats are what New accepts, the quietest level last.
var (
	Levels  = []string{"debug", "info", "warn", "error"}
	Formats = []string{"logfmt", "json"}
)

const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// New returns both loggers. Every line has a time (UTC, milliseconds), a level and the place in the code that logged.
func New(w io.Writer, lvl, format string) (log.Logger, *slog.Logger, error) {
	var (
		option  level.Option
		leveler slog.Level
	)
	switch lvl {
	case "debug":
		option, leveler = level.AllowDebug(), slog.LevelDebug
	case "info":
		option, leveler = level.AllowInfo(), slog.LevelInfo
	case "warn":
		option, leveler = level.AllowWarn(), slog.LevelWarn
	case "error":
		option, leveler = level.AllowError(), slog.LevelError
	default:
		return nil, nil, fmt.Errorf("log level %q is unknown: use %s", lvl, oneOf(Levels))
	}

	// One lock over one writer keeps lines of both loggers whole.
	w = log.NewSyncWriter(w)
	var sink log.Logger
	switch format {
	case "logfmt":
		sink = log.NewLogfmtLogger(w)
	case "json":
		sink = log.NewJSONLogger(w)
	default:
		return nil, nil, fmt.Errorf("log format %q is unknown: use %s", format, oneOf(Formats))
	}

	// The filter lies below the decoration: the other way round, caller would name the filter instead of the code that
	// logs. The slog handler gets the bare sink, since it adds time and caller itself.
	logger := log.With(level.NewFilter(sink, option), "time", log.TimestampFormat(now, timeLayout), "caller", log.DefaultCaller)
	return logger, slog.New(sloggokit.NewGoKitHandler(clock{sink}, leveler)), nil
}

func now() time.Time { return time.Now().UTC() }

func oneOf(words []string) string {
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// A clock writes the time of slog's records as go-kit's decoration does, so that all lines sort and parse alike.
type clock struct{ next log.Logger }

func (c clock) Log(keyvals ...any) error {
	for i := 0; i+1 < len(keyvals); i += 2 {
		if at, ok := keyvals[i+1].(time.Time); ok && keyvals[i] == any(slog.TimeKey) {
			keyvals[i+1] = at.UTC().Format(timeLayout) // The handler makes the slice again for each record.
		}
	}
	return c.next.Log(keyvals...)
}
