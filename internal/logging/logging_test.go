package logging_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-kit/log/level"
	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/logging"
)

// line returns the number of the line it is called from.
func line() int {
	_, _, n, _ := runtime.Caller(1)
	return n
}

func TestEveryLineHasOneTimeAndTheCallerThatLogged(t *testing.T) {
	utc := regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$`)
	for _, format := range logging.Formats {
		t.Run(format, func(t *testing.T) {
			var out bytes.Buffer
			logger, slogger, err := logging.New(&out, "debug", format)
			if err != nil {
				t.Fatal(err)
			}
			var lines []int
			lines = append(lines, line()+1)
			_ = level.Info(logger).Log("msg", "Poll done", "endpoint", "completions")
			lines = append(lines, line()+1)
			slogger.Info("Listening", "address", "127.0.0.1:10095")
			lines = append(lines, line()+1)
			slogger.With("component", "web").WithGroup("tls").Error("Handshake failed", "err", errors.New("bad record"))
			lines = append(lines, line()+1)
			_ = level.Warn(logger).Log("msg", "Poll failed", "err", errors.New("timeout"))

			got := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			if len(got) != len(lines) {
				t.Fatalf("%d lines, want %d:\n%s", len(got), len(lines), out.String())
			}
			for i, text := range got {
				fields := parse(t, format, text)
				if n := len(fields["time"]); n != 1 || !utc.MatchString(fields["time"][0]) {
					t.Errorf("time is %q, want one in UTC with milliseconds: %s", fields["time"], text)
				}
				want := []string{fmt.Sprintf("logging_test.go:%d", lines[i])}
				if diff := cmp.Diff(want, fields["caller"]); diff != "" {
					t.Errorf("caller (-want +got):\n%s", diff)
				}
				for _, k := range []string{"level", "msg"} {
					if len(fields[k]) != 1 {
						t.Errorf("%s is %q, want it once: %s", k, fields[k], text)
					}
				}
			}
		})
	}
}

// parse returns the values of each key as they stand in the line, so that a key written twice is seen.
func parse(t *testing.T, format, text string) map[string][]string {
	t.Helper()
	fields := make(map[string][]string)
	if format == "json" {
		decoder := json.NewDecoder(strings.NewReader(text))
		if _, err := decoder.Token(); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		for decoder.More() {
			k, err := decoder.Token()
			if err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			v, err := decoder.Token()
			if err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			fields[k.(string)] = append(fields[k.(string)], fmt.Sprint(v))
		}
		return fields
	}
	for _, m := range regexp.MustCompile(`([a-z_.]+)=("[^"]*"|\S*)`).FindAllStringSubmatch(text, -1) {
		fields[m[1]] = append(fields[m[1]], m[2])
	}
	return fields
}

func TestBothLoggersKeepToTheLevel(t *testing.T) {
	for i, lvl := range logging.Levels {
		t.Run(lvl, func(t *testing.T) {
			var out bytes.Buffer
			logger, slogger, err := logging.New(&out, lvl, "logfmt")
			if err != nil {
				t.Fatal(err)
			}
			_ = level.Debug(logger).Log("msg", "ours-debug")
			_ = level.Info(logger).Log("msg", "ours-info")
			_ = level.Warn(logger).Log("msg", "ours-warn")
			_ = level.Error(logger).Log("msg", "ours-error")
			slogger.Debug("theirs-debug")
			slogger.Info("theirs-info")
			slogger.Warn("theirs-warn")
			slogger.Error("theirs-error")

			var want, got []string
			for _, who := range []string{"ours-", "theirs-"} {
				for _, l := range logging.Levels[i:] {
					want = append(want, who+l+" level="+l)
				}
			}
			for text := range strings.Lines(out.String()) {
				fields := parse(t, "logfmt", text)
				got = append(got, fields["msg"][0]+" level="+fields["level"][0])
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTimeOfARecordIsTheTimeOfItsEvent(t *testing.T) {
	var out bytes.Buffer
	_, slogger, err := logging.New(&out, "info", "json")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 1, 13, 4, 5, 6_789_000, time.FixedZone("", 3600))
	if err := slogger.Handler().Handle(t.Context(), slog.NewRecord(at, slog.LevelInfo, "Late", 0)); err != nil {
		t.Fatal(err)
	}
	if got, want := parse(t, "json", out.String())["time"], []string{"2026-11-01T12:04:05.006Z"}; !cmp.Equal(got, want) {
		t.Errorf("time is %q, want %q", got, want)
	}
}

func TestLinesOfBothLoggersStayWhole(t *testing.T) {
	var out bytes.Buffer // Unsynchronized on purpose: the loggers must take turns by themselves.
	logger, slogger, err := logging.New(&out, "info", "json")
	if err != nil {
		t.Fatal(err)
	}
	const each = 200
	var group sync.WaitGroup
	group.Go(func() {
		for range each {
			_ = level.Info(logger).Log("msg", strings.Repeat("a", 500))
		}
	})
	group.Go(func() {
		for range each {
			slogger.Info(strings.Repeat("b", 500))
		}
	})
	group.Wait()
	n := 0
	for text := range strings.Lines(out.String()) {
		n++
		if !json.Valid([]byte(text)) {
			t.Fatalf("torn line: %s", text)
		}
	}
	if n != 2*each {
		t.Errorf("%d lines, want %d", n, 2*each)
	}
}

func TestUnknownLevelOrFormatIsRefusedWithWhatIsKnown(t *testing.T) {
	for _, c := range []struct{ level, format, want string }{
		{"verbose", "logfmt", `log level "verbose" is unknown: use debug, info, warn or error`},
		{"INFO", "logfmt", `log level "INFO" is unknown: use debug, info, warn or error`},
		{"info", "text", `log format "text" is unknown: use logfmt or json`},
		{"", "json", `log level "" is unknown: use debug, info, warn or error`},
	} {
		_, _, err := logging.New(io.Discard, c.level, c.format)
		if err == nil || err.Error() != c.want {
			t.Errorf("New(%q, %q): %v, want %s", c.level, c.format, err, c.want)
		}
	}
}
