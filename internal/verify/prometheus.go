package verify

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	promapi "github.com/prometheus/client_golang/api/prometheus/v1"
	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
)

// A Prometheus is asked for raw samples. Functions such as increase() extrapolate and are of no use for a proof.
type Prometheus struct {
	api  promapi.API
	host string // for errors
	// match are matchers that every query carries, such as job="openai".
	match string
	// step is how long a stretch the next query asks for; it follows how many samples there are.
	step time.Duration
}

// NewPrometheus returns one at an address such as http://localhost:9090. match may be empty.
func NewPrometheus(address string, c promconfig.HTTPClientConfig, match string) (*Prometheus, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("--prometheus.url %q is not an http or https URL, such as http://localhost:9090", address)
	}
	transport, err := promconfig.NewRoundTripperFromConfig(c, "prometheus")
	if err != nil {
		return nil, fmt.Errorf("set up http for Prometheus: %w", err)
	}
	client, err := api.NewClient(api.Config{Address: address, RoundTripper: transport})
	if err != nil {
		return nil, fmt.Errorf("set up http for Prometheus: %w", err)
	}
	return &Prometheus{api: promapi.NewAPI(client), host: u.Host, match: match}, nil
}

// query evaluates an expression at a time.
func (p *Prometheus) query(ctx context.Context, expression string, at time.Time) (model.Value, error) {
	value, _, _, err := p.api.Query(ctx, expression, at)
	var refused *promapi.Error
	var outer *url.Error // Its text holds the whole request.
	switch {
	case err == nil:
		return value, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &refused):
		return nil, fmt.Errorf("Prometheus at %s refuses: %w", p.host, refused)
	case errors.As(err, &outer):
		err = outer.Err
	}
	return nil, fmt.Errorf("Prometheus at %s can't be reached: %w", p.host, err)
}

// How many samples a query should bring, and how long a stretch it may ask for: the first one is short, because nobody
// knows how many there are.
const (
	fewSamples  = 300_000
	firstStep   = time.Hour
	longestStep = 24 * time.Hour
)

// each hands out the samples of the metrics in (from,to], in pieces that fit the memory of both sides.
func (p *Prometheus) each(ctx context.Context, selector string, from, to time.Time, yield func(*model.SampleStream)) error {
	for from.Before(to) {
		step := min(p.step, to.Sub(from))
		value, err := p.query(ctx, fmt.Sprintf("%s[%ds]", selector, int(step/time.Second)), from.Add(step))
		var refused *promapi.Error
		if errors.As(err, &refused) && strings.Contains(refused.Msg, "too many samples") && step > time.Minute {
			p.step = max(time.Minute, (step / 4).Truncate(time.Minute))
			continue
		}
		if err != nil {
			return err
		}
		n := 0
		matrix, ok := value.(model.Matrix)
		if !ok {
			return fmt.Errorf("Prometheus at %s answers a range of samples with a %s", p.host, value.Type())
		}
		for _, s := range matrix {
			n += len(s.Values)
			// Before version 3, Prometheus counts a sample at the beginning in.
			s.Values = slices.DeleteFunc(s.Values, func(v model.SamplePair) bool { return !v.Timestamp.Time().After(from) })
			yield(s)
		}
		from = from.Add(step)
		const growth = 6
		p.step = growth * step
		if n > 0 {
			p.step = min(p.step, time.Duration(float64(step)*fewSamples/float64(n)))
		}
		p.step = min(longestStep, max(time.Minute, p.step.Truncate(time.Minute)))
	}
	return nil
}

// lastBefore is how far back the value is looked for that a series had at the start.
const lastBefore = 26 * time.Hour

// before hands out the last sample of each series up to a time, from which each goes on.
func (p *Prometheus) before(ctx context.Context, selector string, at time.Time, yield func(*model.Sample)) error {
	p.step = firstStep
	value, err := p.query(ctx, fmt.Sprintf("last_over_time(%s[%ds])", selector, int(lastBefore/time.Second)), at)
	if err != nil {
		return err
	}
	vector, ok := value.(model.Vector)
	if !ok {
		return fmt.Errorf("Prometheus at %s answers the last samples with a %s", p.host, value.Type())
	}
	for _, s := range vector {
		yield(s)
	}
	return nil
}

// selector selects metrics of an organization, and of an endpoint where one is named.
func (p *Prometheus) selector(metrics []string, organization, endpoint string) string {
	matchers := []string{
		`__name__=~"` + strings.Join(metrics, "|") + `"`,
		"organization=" + strconv.Quote(organization),
	}
	if endpoint != "" {
		matchers = append(matchers, "endpoint="+strconv.Quote(endpoint))
	}
	if p.match != "" {
		matchers = append(matchers, p.match)
	}
	return "{" + strings.Join(matchers, ",") + "}"
}
