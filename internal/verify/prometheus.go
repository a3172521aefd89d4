package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	promconfig "github.com/prometheus/common/config"
)

// A Prometheus is asked for raw samples. Functions such as increase() extrapolate and are of no use for a proof.
type Prometheus struct {
	client api.Client
	// match are matchers that every query carries, such as job="openai".
	match string
	// step is how long a stretch the next query asks for; it follows how many samples there are.
	step time.Duration
}

// NewPrometheus returns one at an address such as http://localhost:9090. match may be empty.
func NewPrometheus(address string, c promconfig.HTTPClientConfig, match string) (*Prometheus, error) {
	if u, err := url.Parse(address); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("--prometheus.url %q is no http or https URL, such as http://localhost:9090", address)
	}
	transport, err := promconfig.NewRoundTripperFromConfig(c, "prometheus")
	if err != nil {
		return nil, fmt.Errorf("set up http for Prometheus: %w", err)
	}
	client, err := api.NewClient(api.Config{Address: address, RoundTripper: transport})
	if err != nil {
		return nil, fmt.Errorf("set up http for Prometheus: %w", err)
	}
	return &Prometheus{client: client, match: match}, nil
}

// A point is a sample as the HTTP API spells it: [1435781451.781,"1"].
type point struct {
	at    int64 // milliseconds
	value float64
}

func (p *point) UnmarshalJSON(b []byte) error {
	at, value, ok := strings.Cut(strings.Trim(string(b), "[] \n"), ",")
	if !ok {
		return fmt.Errorf("not a sample: %.40s", b)
	}
	seconds, err := strconv.ParseFloat(strings.TrimSpace(at), 64)
	if err != nil {
		return fmt.Errorf("not a sample: %.40s", b)
	}
	p.at = int64(seconds*1000 + 0.5)
	if p.value, err = strconv.ParseFloat(strings.Trim(value, `" `), 64); err != nil {
		return fmt.Errorf("not a sample: %.40s", b)
	}
	return nil
}

// A stream is the samples of one series.
type stream struct {
	Metric map[string]string `json:"metric"`
	Values []point           `json:"values"`
	Value  point             `json:"value"`
}

// query evaluates an expression at a time.
func (p *Prometheus) query(ctx context.Context, expression string, at time.Time) ([]stream, error) {
	u := p.client.URL("/api/v1/query", nil)
	u.RawQuery = url.Values{"query": {expression}, "time": {strconv.FormatInt(at.Unix(), 10)}}.Encode()
	request := (&http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}}).WithContext(ctx)
	response, body, err := p.client.Do(ctx, request) //nolint:bodyclose // Do has read and closed it.
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var outer *url.Error // Its text holds the whole query.
		if errors.As(err, &outer) {
			err = outer.Err
		}
		return nil, fmt.Errorf("Prometheus at %s can't be reached: %w", u.Host, err)
	}
	var answer struct {
		Status string `json:"status"`
		Error  string `json:"error"`
		Data   struct {
			Result []stream `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Status != "success" {
		why := answer.Error
		if why == "" {
			why = response.Status
		}
		return nil, &refused{u.Host, why}
	}
	return answer.Data.Result, nil
}

// refused is an answer of Prometheus that is no result.
type refused struct{ host, why string }

func (r *refused) Error() string { return fmt.Sprintf("Prometheus at %s refuses: %s", r.host, r.why) }

// How many samples a query should bring, and how long a stretch it may ask for: the first one is short, because nobody
// knows how many there are.
const (
	fewSamples  = 300_000
	firstStep   = time.Hour
	longestStep = 24 * time.Hour
)

// each hands out the samples of the metrics in (from,to], in pieces that fit the memory of both sides.
func (p *Prometheus) each(ctx context.Context, selector string, from, to time.Time, yield func(stream)) error {
	for from.Before(to) {
		step := min(p.step, to.Sub(from))
		streams, err := p.query(ctx, fmt.Sprintf("%s[%ds]", selector, int(step/time.Second)), from.Add(step))
		var r *refused
		if errors.As(err, &r) && strings.Contains(r.why, "too many samples") && step > time.Minute {
			p.step = max(time.Minute, (step / 4).Truncate(time.Minute))
			continue
		}
		if err != nil {
			return err
		}
		n := 0
		for _, s := range streams {
			n += len(s.Values)
			// Before version 3, Prometheus counts a sample at the beginning in.
			s.Values = slices.DeleteFunc(s.Values, func(v point) bool { return v.at <= from.UnixMilli() })
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
func (p *Prometheus) before(ctx context.Context, selector string, at time.Time, yield func(stream)) error {
	p.step = firstStep
	streams, err := p.query(ctx, fmt.Sprintf("last_over_time(%s[%ds])", selector, int(lastBefore/time.Second)), at)
	if err != nil {
		return err
	}
	for _, s := range streams {
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
