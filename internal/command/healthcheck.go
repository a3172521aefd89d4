package command

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/alecthomas/kingpin/v2"
)

// healthcheckCommand asks a running exporter whether it serves. An image without a shell has nothing else to ask with.
type healthcheckCommand struct {
	name    string
	url     string
	timeout time.Duration
}

func newHealthcheckCommand(app *kingpin.Application) *healthcheckCommand {
	c := &healthcheckCommand{name: "healthcheck"}
	cmd := app.Command(c.name, "Check whether an exporter is running and answers; the exit code is 0 if it does.")
	cmd.Flag("url", "URL to request; https where the web configuration has TLS.").Default("http://localhost" + defaultListen + "/-/healthy").StringVar(&c.url)
	cmd.Flag("timeout", "How long to wait for the response.").Default("5s").DurationVar(&c.timeout)
	return c
}

// run returns nil when the exporter serves. A server that asks for a password serves: the check has none, and needs none.
func (c *healthcheckCommand) run(ctx context.Context) error {
	target, err := url.Parse(c.url)
	if err != nil {
		return fmt.Errorf("read --url: %w", err)
	}
	if target.Host == "" || target.Scheme != "http" && target.Scheme != "https" {
		return fmt.Errorf("--url %q is not an http or https URL", target.Redacted())
	}
	transport := &http.Transport{
		// A proxy has no way to this machine's own loopback.
		Proxy: nil,
		// No certificate is made out to localhost, and nothing secret is sent there. Anywhere else it is verified.
		TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: loopback(target.Hostname())},
		DisableKeepAlives: true,
	}
	client := &http.Client{
		Transport:     transport,
		Timeout:       c.timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("ask exporter: %w", err)
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK, http.StatusUnauthorized:
		return nil
	case http.StatusBadRequest:
		// A server with TLS says so in its answer.
		if said, err := io.ReadAll(io.LimitReader(response.Body, 1024)); err == nil && bytes.Contains(said, []byte("HTTP request to an HTTPS server")) {
			return fmt.Errorf("ask exporter: %s has TLS: write https in --url", target.Redacted())
		}
	}
	return fmt.Errorf("ask exporter: %s answered %s", target.Redacted(), response.Status)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
