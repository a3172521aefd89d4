// Command openai_exporter polls OpenAI's organization Usage and Costs API and serves Prometheus metrics.
package main

import (
	"context"
	_ "embed"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/prometheus/common/version"

	"github.com/openai-exporter/openai_exporter/internal/command"
)

// released is the version of this source, for builds that were given none, such as go run and go install.
//
//go:embed VERSION
var released string

func main() {
	if version.Version == "" {
		version.Version = strings.TrimSpace(released)
	}
	// A reader of our output that has gone is an error like any other, after which a command clears up.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
