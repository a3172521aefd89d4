package collector

import (
	"regexp"

	"github.com/openai-exporter/openai_exporter/internal/metrics"

	"github.com/openai-exporter/openai_exporter/internal/directory"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// limits adds the rate limits of an organization. It leaves out those of models that a project does not use: the API
// lists some two hundred for each.
func (fs *families) limits(o *directory.Organization, feeds []*ledger.FeedView) {
	if len(o.RateLimits) == 0 {
		return
	}
	used := uses(feeds)
	base := []ledger.Label{{Name: metrics.LabelOrganization, Value: o.Name}}
	for i := range o.RateLimits {
		l := &o.RateLimits[i]
		if !used[use{l.ProjectID, l.Model}] {
			continue
		}
		labels := fs.labels(base, filled(metrics.LabelProjectID, l.ProjectID, metrics.LabelModel, l.Model))
		for _, limit := range []struct {
			name string
			n    int64
		}{
			{metrics.RateTokens, l.TokensPerMinute},
			{metrics.RateRequests, l.RequestsPerMinute},
			{metrics.RateDaily, l.RequestsPerDay},
			{metrics.RateImages, l.ImagesPerMinute},
			{metrics.RateAudio, l.AudioMegabytesPerMinute},
			{metrics.RateBatch, l.BatchInputTokensPerDay},
		} {
			if limit.n > 0 {
				fs.gauge(fs.family(limit.name), labels, float64(limit.n))
			}
		}
	}
}

// A use is a model that a project uses.
type use struct{ project, model string }

var snapshotDate = regexp.MustCompile(`-\d{4}-\d{2}-\d{2}$`)

// uses are the models that the projects' series name, and the same ones without their snapshot dates.
func uses(feeds []*ledger.FeedView) map[use]bool {
	out := make(map[use]bool)
	for _, f := range feeds {
		for _, s := range f.Series {
			var u use
			for _, l := range s.Labels {
				switch l.Name {
				case metrics.LabelProjectID:
					u.project = l.Value
				case metrics.LabelModel:
					u.model = l.Value
				}
			}
			if u.project == "" || u.model == "" || out[u] {
				continue
			}
			out[u] = true
			u.model = snapshotDate.ReplaceAllString(u.model, "")
			out[u] = true
		}
	}
	return out
}
