//go:build e2e

// Package clients_test scrapes the real binary with the HTTP clients and decoders that people have at hand. Each has to
// read the whole answer.
package clients_test

import (
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/test/process"
)

// listening finds where the exporter answers, in what it logs.
var listening = regexp.MustCompile(`msg=Listening.* address=(\S+)`)

// A client is a program that fetches and unpacks metrics.
type client struct {
	program string
	// required: it is a part of every machine that runs these tests.
	required bool
	// args come before the address to fetch, or before the file of a fetched answer.
	args []string
	file bool
}

// clients have one decoder each that knows nothing of further gzip members.
var clients = map[string]client{
	"curl": {program: "curl", required: true, args: []string{
		"--compressed", "--header", "Accept-Encoding: gzip", "--silent", "--show-error", "--fail",
	}},
	"curl with all codings it knows": {program: "curl", required: true, args: []string{"--compressed", "--silent", "--show-error", "--fail"}},
	"wget":                           {program: "wget", args: []string{"--compression=gzip", "--quiet", "--output-document=-"}},
	"zlib of Python": {program: "python3", required: true, file: true, args: []string{"-c", `
import sys, zlib
d = zlib.decompressobj(31)
sys.stdout.buffer.write(d.decompress(open(sys.argv[1], "rb").read()))
sys.exit("the member has no end" if not d.eof else "bytes follow the member" if d.unused_data else 0)
`}},
	"Perl": {program: "perl", file: true, args: []string{"-MIO::Uncompress::Gunzip=gunzip,$GunzipError", "-e", `
gunzip($ARGV[0] => "-", MultiStream => 0) or die $GunzipError
`}},
	"gzip": {program: "gzip", file: true, args: []string{"--decompress", "--stdout"}},
}

func TestEveryClientReadsTheWholeOfAGzipAnswer(t *testing.T) {
	exporter := process.Start(t, process.Build(t), "--demo", "--web.listen-address=127.0.0.1:0")
	var metrics string
	process.Eventually(t, time.Minute, "the demo shows usage", func() error {
		found := listening.FindStringSubmatch(exporter.Output())
		if found == nil {
			return errors.New("it does not listen")
		}
		metrics = "http://" + found[1] + "/metrics"
		_, err := process.Get(t.Context(), strings.TrimSuffix(metrics, "metrics")+"-/ready")
		return err
	})
	for name, c := range clients {
		t.Run(name, func(t *testing.T) {
			path, err := exec.LookPath(c.program)
			if err != nil && !c.required {
				t.Logf("%s is not installed: whether it reads the whole answer is not tested", c.program)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			from := metrics
			if c.file {
				from = filepath.Join(t.TempDir(), "metrics.gz")
				run(t, "curl", "--header", "Accept-Encoding: gzip", "--silent", "--show-error", "--fail", "--output", from, metrics)
			}
			got := run(t, path, append(c.args[:len(c.args):len(c.args)], from)...)
			// What a poll changes comes first, the exporter's own metrics last.
			for _, want := range []string{"\nopenai_usage_input_tokens_total{", "\nprocess_start_time_seconds "} {
				if !strings.Contains(got, want) {
					t.Errorf("%q is missing in %d bytes", want, len(got))
				}
			}
			if !strings.HasSuffix(got, "\n") {
				t.Errorf("it ends with %q", process.Tail(got, 60))
			}
		})
	}
}

// run runs a program to its end and returns its standard output.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Errorf("%s: %v\n%s", program, err, process.Tail(stderr.String(), 2000))
	}
	return stdout.String()
}
