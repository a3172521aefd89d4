package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// A day of minutes is the largest page that the API has.
const (
	pageBuckets = 1440
	bucketRows  = 25
	pageRows    = pageBuckets * bucketRows
)

// page is a full page of completions. Its buckets begin at start.
func page(start time.Time) []byte {
	var b bytes.Buffer
	b.WriteString(`{"object":"page","data":[`)
	for i := range pageBuckets {
		if i > 0 {
			b.WriteByte(',')
		}
		at := start.Add(time.Duration(i) * time.Minute).Unix()
		fmt.Fprintf(&b, `{"object":"bucket","start_time":%d,"end_time":%d,"results":[`, at, at+60)
		for j := range bucketRows {
			if j > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"object":"organization.usage.completions.result","input_tokens":%d,"output_tokens":%d,"num_model_requests":%d,"project_id":"proj_%024d","user_id":null,"api_key_id":null,"model":"gpt-5-2025-08-07","batch":false,"service_tier":"default","input_cached_tokens":%d,"input_audio_tokens":0,"output_audio_tokens":0}`,
				1000*i+j, 100*i+j, 1+i%7, j, 10*i)
		}
		b.WriteString("]}")
	}
	b.WriteString(`],"has_more":false,"next_page":null}`)
	return b.Bytes()
}

// A key is always the same.
type key string

func (k key) Get() (string, error) { return string(k), nil }

func (k key) Read() (string, error) { return string(k), nil }

func (k key) Changed() bool { return false }

// decoding compares what it takes to have a page in memory, from the request to the last number.
func decoding(ctx context.Context, w io.Writer, _ string) error {
	start := time.Now().Add(-pageBuckets * time.Minute).Truncate(time.Minute)
	body := page(start)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body) // A client that has gone says so itself.
	}))
	defer srv.Close()
	completions, _ := api.Find("completions")
	client, err := fetcher.NewClient(fetcher.ClientOptions{
		Organization: "acme", BaseURL: srv.URL + "/v1", Key: key("sk-admin-benchmark"), RequestsPerMinute: 1 << 30,
	})
	if err != nil {
		return err
	}
	defer client.Close()
	official := openai.NewClient(option.WithBaseURL(srv.URL+"/v1"), option.WithAdminAPIKey("sk-admin-benchmark"), option.WithMaxRetries(0))

	window := ledger.Window{Width: api.Minute, From: start, To: start.Add(pageBuckets * time.Minute)}
	sides := []side{
		{"the transfer alone", nil, func() error {
			return get(ctx, srv, func(body io.Reader) error {
				_, err := io.Copy(io.Discard, body)
				return err
			})
		}},
		{"openai_exporter", nil, func() error {
			r, err := client.Read(ctx, fetcher.Query{
				Endpoint: completions, GroupBy: dimensions, Window: window,
			})
			if err != nil {
				return err
			}
			return complete(r.Rows())
		}},
		{"encoding/json into structs", nil, func() error {
			return get(ctx, srv, func(body io.Reader) error {
				var p standardPage
				if err := json.NewDecoder(body).Decode(&p); err != nil {
					return err
				}
				sum := add(window)
				for i := range p.Data {
					sum.Bucket(time.Unix(p.Data[i].StartTime, 0))
					if err := p.Data[i].rows(sum.row); err != nil {
						return err
					}
				}
				return complete(sum.Rows())
			})
		}},
		{"openai-go, the official client", nil, func() error {
			p, err := official.Admin.Organization.Usage.Completions(ctx, openai.AdminOrganizationUsageCompletionsParams{
				StartTime: start.Unix(), Limit: openai.Int(pageBuckets),
				BucketWidth: openai.AdminOrganizationUsageCompletionsParamsBucketWidth1m,
				GroupBy:     dimensions,
			})
			if err != nil {
				return err
			}
			sum := add(window)
			for i := range p.Data {
				sum.Bucket(time.Unix(p.Data[i].StartTime, 0))
				for j := range p.Data[i].Results {
					r := &p.Data[i].Results[j]
					sum.row([4]string{r.ProjectID, r.Model, strconv.FormatBool(r.Batch), r.ServiceTier}, [4]decimal.Fixed{
						decimal.FromInt(r.NumModelRequests), decimal.FromInt(r.InputTokens), decimal.FromInt(r.OutputTokens), decimal.FromInt(r.InputCachedTokens),
					})
				}
			}
			return complete(sum.Rows())
		}},
	}
	costs, err := compare(ctx, sides)
	if err != nil {
		return err
	}
	t := newTable(fmt.Sprintf("A page of %d buckets with %d rows, %s, read over HTTP", pageBuckets, pageRows, size(float64(len(body)))),
		"Read by", "Time", "CPU", "MB per CPU second", "CPU ÷ openai_exporter", "Allocations", "Allocated")
	for i, c := range costs {
		t.row(sides[i].name, ms(c.time), ms(c.cpu), fmt.Sprintf("%.0f", float64(len(body))/1e6/c.cpu.Seconds()), over(c.cpu, costs[1].cpu), count(c.allocs), size(c.bytes))
	}
	t.write(w)
	return nil
}

func complete(rows int) error {
	if rows != pageRows {
		return fmt.Errorf("%d rows, want %d", rows, pageRows)
	}
	return nil
}

func get(ctx context.Context, srv *httptest.Server, consume func(io.Reader) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
	if err != nil {
		return err
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return consume(resp.Body)
}

// A standardPage is what one would write without much thought. Numbers stay text until they are exact.
type standardPage struct {
	Object string           `json:"object"`
	Data   []standardBucket `json:"data"`
}

type standardBucket struct {
	StartTime int64         `json:"start_time"`
	Results   []standardRow `json:"results"`
}

type standardRow struct {
	InputTokens       json.Number `json:"input_tokens"`
	OutputTokens      json.Number `json:"output_tokens"`
	NumModelRequests  json.Number `json:"num_model_requests"`
	InputCachedTokens json.Number `json:"input_cached_tokens"`
	InputAudioTokens  json.Number `json:"input_audio_tokens"`
	OutputAudioTokens json.Number `json:"output_audio_tokens"`
	ProjectID         *string     `json:"project_id"`
	UserID            *string     `json:"user_id"`
	APIKeyID          *string     `json:"api_key_id"`
	Model             *string     `json:"model"`
	Batch             *bool       `json:"batch"`
	ServiceTier       *string     `json:"service_tier"`
}

// rows parses the numbers, as any reader has to.
func (b *standardBucket) rows(row func([4]string, [4]decimal.Fixed)) error {
	for i := range b.Results {
		r := &b.Results[i]
		var values [4]decimal.Fixed
		for n, v := range []json.Number{r.NumModelRequests, r.InputTokens, r.OutputTokens, r.InputCachedTokens} {
			var err error
			if values[n], err = decimal.Parse(string(v)); err != nil {
				return err
			}
		}
		row([4]string{*r.ProjectID, *r.Model, strconv.FormatBool(*r.Batch), *r.ServiceTier}, values)
	}
	return nil
}

var dimensions = []string{"project_id", "model", "batch", "service_tier"}

// A sum adds rows up by label set, as ours are.
type sum struct {
	*ledger.Read
	values []decimal.Fixed
}

func add(w ledger.Window) sum {
	completions, _ := api.Find("completions")
	return sum{ledger.NewRead(completions, dimensions, w), make([]decimal.Fixed, len(completions.Measures))}
}

func (s sum) row(labels [4]string, values [4]decimal.Fixed) {
	copy(s.values, values[:]) // The first measures of the table.
	s.Row(labels[:], s.values)
}
