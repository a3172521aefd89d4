package collector

import (
	"github.com/openai-exporter/openai_exporter/internal/directory"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/metrics"
)

// lookups adds what the look-ups have found of an organization, and who pays for its projects.
func (fs *families) lookups(o *directory.Organization) {
	base := []ledger.Label{{Name: metrics.LabelOrganization, Value: o.Name}}
	owners := o.Owners()
	for _, p := range o.Named() {
		owner := owners.Of(p.ID)
		labels := filled(metrics.LabelProjectID, p.ID, "project_name", p.Name, "status", p.Status, "residency", p.Residency, metrics.LabelTeam, owner.Name)
		for _, l := range owner.Labels {
			labels = append(labels, ledger.Label{Name: metrics.LabelTeam + "_" + l.Name, Value: l.Value})
		}
		fs.gauge(fs.family(metrics.ProjectInfo), fs.labels(base, labels), 1)
	}
	for _, u := range o.Users {
		fs.gauge(fs.family(metrics.UserInfo), fs.labels(base, filled("user_id", u.ID, "user_name", u.Name, "role", u.Role, "user_email", u.Email, "is_service_account", u.ServiceAccount)), 1)
	}
	for i := range o.Keys {
		k := &o.Keys[i]
		fs.gauge(fs.family(metrics.APIKeyInfo), fs.labels(base, filled(metrics.LabelAPIKeyID, k.ID, "api_key_name", k.Name, metrics.LabelProjectID, k.ProjectID, "owner_type", k.OwnerType, "owner_id", k.OwnerID, "owner_name", k.OwnerName)), 1)
		if k.Created > 0 {
			fs.gauge(fs.family(metrics.APIKeyCreated), fs.labels(base, filled(metrics.LabelAPIKeyID, k.ID, metrics.LabelProjectID, k.ProjectID)), float64(k.Created))
		}
		if k.LastUsed > 0 {
			fs.gauge(fs.family(metrics.APIKeyLastUsed), fs.labels(base, filled(metrics.LabelAPIKeyID, k.ID, metrics.LabelProjectID, k.ProjectID)), float64(k.LastUsed))
		}
		if k.Expires > 0 {
			fs.gauge(fs.family(metrics.APIKeyExpires), fs.labels(base, filled(metrics.LabelAPIKeyID, k.ID, metrics.LabelProjectID, k.ProjectID)), float64(k.Expires))
		}
	}
	for _, l := range o.SpendLimits {
		if !l.Whole {
			fs.gauge(fs.family(metrics.SpendLimit), fs.labels(base, filled(metrics.LabelProjectID, l.ProjectID)), l.USD)
		}
		if enforcing, ok := map[string]float64{directory.Inactive: 0, directory.Enforcing: 1}[l.Enforcement]; ok {
			fs.gauge(fs.family(metrics.SpendEnforcing), fs.labels(base, filled(metrics.LabelProjectID, l.ProjectID)), enforcing)
		}
	}
}

// filled makes labels of pairs and leaves out those without a value.
func filled(pairs ...string) []ledger.Label {
	var out []ledger.Label
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out = append(out, ledger.Label{Name: pairs[i], Value: pairs[i+1]})
		}
	}
	return out
}
