package fetcher

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"

	"github.com/go-kit/log/level"

	"github.com/openai-exporter/openai_exporter/internal/directory"
)

// unlimited is what the API says where there is no rate limit.
const unlimited = math.MaxInt32

func (l *lookup) rateLimits(ctx context.Context) error {
	type object struct {
		Model    string
		Tokens   int64 `json:"max_tokens_per_1_minute"`
		Requests int64 `json:"max_requests_per_1_minute"`
		Daily    int64 `json:"max_requests_per_1_day"`
		Images   int64 `json:"max_images_per_1_minute"`
		Audio    int64 `json:"max_audio_megabytes_per_1_minute"`
		Batch    int64 `json:"batch_1_day_max_input_tokens"`
	}
	finite := func(n int64) int64 {
		if n < 0 || n >= unlimited {
			return 0
		}
		return n
	}
	// A day's tokens may be more than what stands for no limit.
	daily := func(n int64) int64 {
		if n == unlimited {
			return 0
		}
		return max(n, 0)
	}
	return l.eachProject(ctx, false, func(p directory.Project) error {
		objects, err := list[object](ctx, l, "organization/projects/"+p.ID+"/rate_limits")
		if err != nil {
			return err
		}
		limits := make([]directory.RateLimit, 0, len(objects))
		models := make(map[string]bool)
		for _, o := range objects {
			limit := directory.RateLimit{
				ProjectID: p.ID, Model: o.Model,
				TokensPerMinute: finite(o.Tokens), RequestsPerMinute: finite(o.Requests), RequestsPerDay: finite(o.Daily),
				ImagesPerMinute: finite(o.Images), AudioMegabytesPerMinute: finite(o.Audio), BatchInputTokensPerDay: daily(o.Batch),
			}
			if o.Model == "" || models[o.Model] || limit == (directory.RateLimit{ProjectID: p.ID, Model: o.Model}) {
				continue
			}
			models[o.Model] = true
			limits = append(limits, limit)
		}
		l.options.Directory.SetRateLimits(p.ID, limits)
		return nil
	})
}

func (l *lookup) spendLimits(ctx context.Context) error {
	if err := l.spendLimit(ctx, "organization/spend_limit", ""); err != nil {
		return err
	}
	return l.eachProject(ctx, false, func(p directory.Project) error {
		return l.spendLimit(ctx, "organization/projects/"+p.ID+"/spend_limit", p.ID)
	})
}

// spendLimit looks up one limit. The API answers 404 where none is set.
func (l *lookup) spendLimit(ctx context.Context, path, projectID string) error {
	var limit struct {
		Cents    *float64                `json:"threshold_amount"`
		Currency string                  `json:"currency"`
		Interval string                  `json:"interval"`
		Enforced struct{ Status string } `json:"enforcement"`
	}
	err := l.ask(ctx, path, nil, &limit)
	var e *Error
	switch {
	case errors.As(err, &e) && e.Class == ClassNotFound, err == nil && limit.Cents == nil:
		l.options.Directory.DropSpendLimit(projectID)
		return nil
	case err != nil:
		return err
	case !isUSD(limit.Currency):
		return &Error{Class: ClassCurrency, Status: http.StatusOK, text: clean(fmt.Sprintf("the spend limit of %s is in the currency %q, not in usd", path, limit.Currency))}
	case limit.Interval != "month":
		return listError(path, "", fmt.Errorf("the interval is %q, not a month", limit.Interval))
	}
	const centsPerDollar = 100
	l.options.Directory.SetSpendLimit(directory.SpendLimit{ProjectID: projectID, USD: *limit.Cents / centsPerDollar, Enforcement: l.enforcement(limit.Enforced.Status)})
	return nil
}

// enforcement is a status that is known, or nothing. An unknown one is named once: nobody may take it for either.
func (l *lookup) enforcement(status string) string {
	switch status {
	case directory.Inactive, directory.Enforcing, "":
		return status
	}
	status = clean(status)
	if !l.unknownWords[status] {
		l.unknownWords[status] = true
		level.Warn(l.logger).Log("msg", "Unknown enforcement.status of a spend limit; openai_spend_limit_enforcing is not exported for it", "status", status)
	}
	return ""
}
