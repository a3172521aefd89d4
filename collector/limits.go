package collector

import (
	"regexp"

	dto "github.com/prometheus/client_model/go"

	"github.com/openai-exporter/openai_exporter/internal/directory"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// A limiting is the rate limits of a snapshot that matter to a view, made into metric families.
type limiting struct {
	snapshot *directory.Snapshot
	view     *ledger.View
	families []*dto.MetricFamily
}

// limits returns the families of the rate limits, made once for every snapshot and view.
func (c *Collector) limits() []*dto.MetricFamily {
	if c.options.Names == nil {
		return nil
	}
	s, v := c.options.Names.Snapshot(), c.options.Views.View()
	if v == nil {
		return nil
	}
	l := c.limited.Load()
	if l == nil || l.snapshot != s || l.view != v {
		l = &limiting{snapshot: s, view: v, families: exposeLimits(c.table, s, v)}
		c.limited.Store(l)
	}
	return l.families
}

// A use is a model that a project uses.
type use struct{ organization, project, model string }

// exposeLimits leaves out the limits of models that a project does not use: the API lists some two hundred for each.
func exposeLimits(table map[string]*Metric, s *directory.Snapshot, v *ledger.View) []*dto.MetricFamily {
	fs := newFamilies(table)
	var used map[use]bool
	for _, o := range s.Organizations {
		if len(o.RateLimits) > 0 && used == nil {
			used = uses(v)
		}
		base := []ledger.Label{{Name: organization, Value: o.Name}}
		for i := range o.RateLimits {
			l := &o.RateLimits[i]
			if !used[use{o.Name, l.ProjectID, l.Model}] {
				continue
			}
			labels := fs.labels(base, filled(projectID, l.ProjectID, model, l.Model))
			for _, limit := range []struct {
				name string
				n    int64
			}{
				{rateTokens, l.TokensPerMinute},
				{rateRequests, l.RequestsPerMinute},
				{rateDaily, l.RequestsPerDay},
				{rateImages, l.ImagesPerMinute},
				{rateAudio, l.AudioMegabytesPerMinute},
				{rateBatch, l.BatchInputTokensPerDay},
			} {
				if limit.n > 0 {
					fs.gauge(fs.family(limit.name), labels, float64(limit.n))
				}
			}
		}
	}
	return fs.finish()
}

var snapshotDate = regexp.MustCompile(`-\d{4}-\d{2}-\d{2}$`)

// uses are the models that the projects' series name, and the same ones without their snapshot dates.
func uses(v *ledger.View) map[use]bool {
	out := make(map[use]bool)
	for _, f := range v.Feeds {
		for _, s := range f.Series {
			u := use{organization: f.Organization}
			for _, l := range s.Labels {
				switch l.Name {
				case projectID:
					u.project = l.Value
				case model:
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
