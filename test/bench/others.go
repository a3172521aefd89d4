package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// Time goes this many times as fast: what is done every minute is done every few seconds. A busy machine has to keep up.
const speed = 15

// minuteOf is a minute of the API's clock.
const minuteOf = time.Minute / speed

// others compares a day of one busy organization with two other ways of reading it, written here from what is
// published about them. All three read the same API at the same time.
func others(ctx context.Context, w io.Writer, dir string) error {
	const labelSets = 1000
	lived := 90 * time.Minute / speed
	if quick {
		lived = 40 * time.Second
	}
	binary, err := buildExporter(ctx, dir, "")
	if err != nil {
		return err
	}
	url, end, err := startUpstream(ctx, upstreamOptions{Interval: minuteOf, LabelSets: labelSets, Speed: speed})
	if err != nil {
		return err
	}
	defer end()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	exporter, err := startExporter(ctx, dir, "exporter", binary, fmt.Sprintf(`organizations:
  - {name: exporter, base_url: %[1]s/exporter/v1, api_key_env: OPENAI_ADMIN_KEY, requests_per_minute: %[2]d}
usage:
  interval: %[3]s
  # By the clock of the API, and all else by that of this machine.
  audit: {interval: 15m, window: 72h}
  endpoints:
    vector_stores: {interval: %[4]s}
    code_interpreter_sessions: {interval: %[4]s}
costs: {interval: %[4]s}
names: {interval: %[5]s}
limits: {interval: %[5]s}
`, url, perMinute*speed, minuteOf, 15*minuteOf, 10*minuteOf))
	if err != nil {
		return err
	}
	defer exporter.end()
	programs := []*program{exporter}
	for _, name := range []string{"foxdalas", "client"} {
		p, err := start(ctx, name, dir, self, "", "-stage", name, "-options", url+"/"+name+"/v1")
		if err != nil {
			return err
		}
		defer p.end()
		programs = append(programs, p)
	}
	if err := exporter.ready(ctx, patience); err != nil {
		return err
	}
	// The first reads are once, and not a part of every day.
	if err := sleep(ctx, lived/8); err != nil {
		return err
	}
	before, err := noted(ctx, url)
	if err != nil {
		return err
	}
	var used [3]time.Duration
	for i, p := range programs {
		if used[i], err = p.cpu(); err != nil {
			return err
		}
	}
	if err := sleep(ctx, lived); err != nil {
		return err
	}
	after, err := noted(ctx, url)
	if err != nil {
		return err
	}
	return tellOthers(w, programs, used, before, after, fmt.Sprintf("A day of one organization with %d label sets more than the simulator's usual: from %s of it", labelSets, lived*speed))
}

// tellOthers says what the programs have taken between two looks.
func tellOthers(w io.Writer, programs []*program, used [3]time.Duration, before, after arrivals, title string) error {
	t := newTable(title, "", "Requests", "Read", "CPU", "CPU ÷ openai_exporter", "Memory")
	first := 0.0 // seconds of our own
	for i, p := range programs {
		name := []string{"exporter", "foxdalas", "client"}[i]
		cpu, err := p.cpu()
		if err != nil {
			return fmt.Errorf("%s: %w", name, errors.Join(err, p.failed()))
		}
		m, err := p.memory()
		if err != nil {
			return err
		}
		cpu -= used[i]
		n, were := after.By[name], before.By[name]
		// A day has so many minutes, and not every program keeps up where a minute is a second.
		day := 24 * 60 / float64(n.Minutes-were.Minutes)
		if i == 0 {
			first = day * cpu.Seconds()
		}
		t.row([]string{"openai_exporter", "foxdalas/openai-exporter's way", "a loop around the official client"}[i],
			fmt.Sprintf("%.0f", day*float64(n.Requests-were.Requests)), size(day*float64(n.Bytes-were.Bytes)), seconds(day*cpu.Seconds()), ratio(day*cpu.Seconds()/first), size(m["RssAnon"]))
	}
	t.write(w)
	for _, name := range []string{"exporter", "foxdalas", "client"} {
		fmt.Fprintf(w, "%s: %d minutes were read\n", name, after.By[name].Minutes-before.By[name].Minutes)
	}
	return nil
}

// everyMinute calls a function every minute of the API's clock until the context ends, which is no error. The clock is
// the API's, by its answers.
func everyMinute(ctx context.Context, base string, do func(now time.Time) error) error {
	minute := time.NewTicker(minuteOf)
	defer minute.Stop()
	for {
		now, err := dateOf(ctx, base)
		if err == nil {
			err = do(now)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-minute.C:
		}
	}
}

// dateOf is the API's time. The question for it is not counted.
func dateOf(ctx context.Context, base string) (time.Time, error) {
	at := strings.Index(base, "://") + 3
	text, err := body(ctx, base[:at+strings.IndexByte(base[at:], '/')]+"/_now")
	if err != nil {
		return time.Time{}, err
	}
	return time.Parse(time.RFC3339, string(text))
}

// newest reads as foxdalas/openai-exporter does, by its README: the last whole minute of seven endpoints once, each
// bucket counted when it is first seen, and the cost of two days, into a vector of client_golang's.
func newest(ctx context.Context, base string) error {
	counters := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tokens_total", Help: "Tokens."}, []string{"operation", "project", "user", "key", "model", "batch", "type"})
	seen := map[string]float64{}
	return everyMinute(ctx, base, func(now time.Time) error {
		to := now.Truncate(time.Minute)
		for _, endpoint := range []string{"completions", "embeddings", "moderations", "images", "audio_speeches", "audio_transcriptions", "vector_stores"} {
			url := fmt.Sprintf("%s/organization/usage/%s?start_time=%d&end_time=%d&bucket_width=1m&limit=1440", base, endpoint, to.Add(-time.Minute).Unix(), to.Unix())
			if endpoint == "vector_stores" {
				url += "&group_by=project_id"
			} else {
				url += "&group_by=project_id&group_by=user_id&group_by=api_key_id&group_by=model"
			}
			if endpoint == "completions" {
				url += "&group_by=batch"
			}
			err := decoded(ctx, url, func(b *plainBucket) {
				for _, r := range b.Results {
					for kind, v := range map[string]float64{"input": r.InputTokens, "output": r.OutputTokens, "input_cached": r.InputCachedTokens, "input_audio": r.InputAudioTokens, "output_audio": r.OutputAudioTokens} {
						labels := []string{endpoint, r.ProjectID, r.UserID, r.APIKeyID, r.Model, fmt.Sprint(r.Batch), kind}
						key := fmt.Sprint(b.StartTime, strings.Join(labels, "|"))
						if _, ok := seen[key]; !ok {
							counters.WithLabelValues(labels...).Add(v)
							seen[key] = v
						}
					}
				}
			})
			if err != nil {
				return err
			}
		}
		day := now.Truncate(24 * time.Hour)
		return decoded(ctx, fmt.Sprintf("%s/organization/costs?start_time=%d&end_time=%d&group_by=project_id", base, day.Unix(), day.Add(24*time.Hour).Unix()), func(*plainBucket) {})
	})
}

type plainBucket struct {
	StartTime int64 `json:"start_time"`
	Results   []struct {
		InputTokens       float64 `json:"input_tokens"`
		OutputTokens      float64 `json:"output_tokens"`
		InputCachedTokens float64 `json:"input_cached_tokens"`
		InputAudioTokens  float64 `json:"input_audio_tokens"`
		OutputAudioTokens float64 `json:"output_audio_tokens"`
		ProjectID         string  `json:"project_id"`
		UserID            string  `json:"user_id"`
		APIKeyID          string  `json:"api_key_id"`
		Model             string  `json:"model"`
		Batch             bool    `json:"batch"`
	}
}

// decoded reads all pages of an answer.
func decoded(ctx context.Context, url string, bucket func(*plainBucket)) error {
	for page := ""; ; {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+page, http.NoBody)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer sk-admin-benchmark")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		var answer struct {
			Data     []plainBucket `json:"data"`
			HasMore  bool          `json:"has_more"`
			NextPage string        `json:"next_page"`
		}
		err = json.NewDecoder(resp.Body).Decode(&answer)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s: %w", url, resp.Status, err)
		}
		for i := range answer.Data {
			bucket(&answer.Data[i])
		}
		if !answer.HasMore {
			return nil
		}
		page = "&page=" + answer.NextPage
	}
}

// official reads what we read with the client that OpenAI publishes: every minute the last hour of all endpoints, by all
// that prices depend on, and the month's costs every quarter of an hour. What was read of a minute takes the place of what
// was read of it before, for an hour.
func official(ctx context.Context, base string) error {
	client := openai.NewClient(option.WithBaseURL(base), option.WithAdminAPIKey("sk-admin-benchmark"))
	have := map[string]map[int64]openai.AdminOrganizationUsageCompletionsResponseData{}
	billed := time.Time{}
	return everyMinute(ctx, base, func(now time.Time) error {
		from := now.Truncate(time.Minute).Add(-time.Hour)
		for i := range api.Endpoints {
			e := &api.Endpoints[i]
			begin, width, limit := from, "1m", 61
			if e.IsCosts() {
				if now.Sub(billed) < 15*time.Minute {
					continue
				}
				billed = now
				begin, width, limit = time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC), "1d", 31
			}
			options := []option.RequestOption{option.WithQuery("start_time", fmt.Sprint(begin.Unix())), option.WithQuery("bucket_width", width), option.WithQuery("limit", fmt.Sprint(limit))}
			for _, d := range e.GroupBy([]string{"project_id", "model", "batch", "service_tier", "line_item"}) {
				options = append(options, option.WithQueryAdd("group_by", d))
			}
			var answer openai.AdminOrganizationUsageCompletionsResponse
			if err := client.Get(ctx, e.Path, nil, &answer, options...); err != nil {
				return err
			}
			buckets := map[int64]openai.AdminOrganizationUsageCompletionsResponseData{}
			for _, b := range answer.Data {
				buckets[b.StartTime] = b
			}
			have[e.Name] = buckets
		}
		return nil
	})
}
