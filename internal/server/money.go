package server

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/collector"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/directory"
	"github.com/openai-exporter/openai_exporter/internal/pricing"
	"github.com/openai-exporter/openai_exporter/internal/spend"
)

// ranked is how many projects, models and keys are named.
const ranked = 5

// A Refusal is a spend limit that OpenAI enforces now: it refuses requests.
type Refusal struct {
	// ID is empty where the limit is the organization's.
	ID       string  `json:"project_id,omitempty"`
	Name     string  `json:"name,omitempty"`
	LimitUSD float64 `json:"limit_usd"`
}

// A Project is what a project has cost today.
type Project struct {
	// ID is empty for what the bill names no project for.
	ID   string      `json:"project_id"`
	Name string      `json:"name,omitempty"`
	Team string      `json:"team,omitempty"`
	USD  json.Number `json:"usd"`
	// Share of the day's cost, from 0 to 1.
	Share float64 `json:"share"`
}

// A Model is what a model has cost today.
type Model struct {
	// Model is as the bill spells it: a model, or a product such as a tool.
	Model string      `json:"model"`
	USD   json.Number `json:"usd"`
	Share float64     `json:"share"`
}

// A Key is what an API key has cost today.
type Key struct {
	// ID is empty for what the bill names no key for.
	ID   string `json:"api_key_id"`
	Name string `json:"name,omitempty"`
	// Project is the name of the project that the key is of, or the project's id: keys of several have the same name.
	Project string      `json:"project,omitempty"`
	USD     json.Number `json:"usd"`
	Share   float64     `json:"share"`
}

// A Day is what a UTC day has cost, and what is still expected of it.
type Day struct {
	Date        string      `json:"date"`
	BilledUSD   json.Number `json:"billed_usd"`
	UnbilledUSD json.Number `json:"unbilled_estimate_usd"`
	// ExpectedUSD is the forecast beyond what is billed and estimated.
	ExpectedUSD json.Number `json:"expected_usd"`
	Parts       []Part      `json:"parts,omitempty"`
}

// A Part is what a team has of a day or, where there are no teams, a project.
type Part struct {
	// Team and Project: one of them is set, or neither for what has no project.
	Team        string      `json:"team,omitempty"`
	Project     string      `json:"project_id,omitempty"`
	Name        string      `json:"name,omitempty"`
	BilledUSD   json.Number `json:"billed_usd"`
	UnbilledUSD json.Number `json:"unbilled_estimate_usd"`
}

// A directoryView is what the look-ups have found of an organization, by id.
type directoryView struct {
	projects map[string]string
	keys     map[string]*directory.Key
	owners   directory.Owners
	teams    bool
	costs    map[string]decimal.Fixed // of keys on costDay, where the look-ups asked for it
	costDay  time.Time
	refusals []Refusal
	only     []string // the names of the projects that are read, where not all of them are
}

func directoryViewOf(o *directory.Organization) directoryView {
	n := directoryView{projects: make(map[string]string), keys: make(map[string]*directory.Key), costs: make(map[string]decimal.Fixed)}
	if o == nil {
		o = &directory.Organization{}
	}
	for _, p := range o.Projects {
		n.projects[p.ID] = p.Name
	}
	for i := range o.Keys {
		n.keys[o.Keys[i].ID] = &o.Keys[i]
	}
	n.owners, n.teams, n.costDay = o.Owners(), o.Unowned != "", o.CostDay
	for _, c := range o.KeyCosts {
		if usd, err := decimal.Parse(c.USD); err == nil {
			n.costs[c.KeyID] = usd
		}
	}
	for _, id := range o.Only {
		n.only = append(n.only, cmp.Or(n.projects[id], id))
	}
	for _, l := range o.SpendLimits {
		if l.Enforcement == directory.Enforcing {
			n.refusals = append(n.refusals, Refusal{ID: l.ProjectID, Name: n.projects[l.ProjectID], LimitUSD: l.USD})
		}
	}
	return n
}

// A share is what has the same value of a label, and its cost.
type share struct {
	value string
	usd   decimal.Fixed
	share float64
}

// top are the most of what is charged.
func top(charged map[string]decimal.Fixed) (out []share) {
	values := slices.SortedFunc(maps.Keys(charged), func(a, b string) int {
		return cmp.Or(charged[b].Cmp(charged[a]), cmp.Compare(a, b))
	})
	var all float64
	for _, usd := range charged {
		all += max(usd.Float64(), 0)
	}
	for _, value := range values[:min(len(values), ranked)] {
		usd := charged[value]
		if usd.Sign() <= 0 {
			break
		}
		out = append(out, share{value, usd, usd.Float64() / all})
	}
	return out
}

// byKey adds up a day's charges by API key. Where no amount has one, there is nothing to tell apart. Credits are nobody's.
func byKey(today []collector.Amount) (charged map[string]decimal.Fixed) {
	charged = make(map[string]decimal.Fixed)
	named := false
	for _, a := range today {
		id := ""
		for _, l := range a.Labels {
			if l.Name == "api_key_id" {
				id, named = l.Value, true
			}
		}
		if a.USD.Sign() > 0 {
			charged[id] = charged[id].Add(a.USD)
		}
	}
	if !named {
		return nil
	}
	return charged
}

// byModel adds up what is charged by model or product.
func byModel(items map[string]decimal.Fixed) (charged map[string]decimal.Fixed) {
	charged = make(map[string]decimal.Fixed)
	for item, usd := range items {
		model := modelOf(item)
		charged[model] = charged[model].Add(usd)
	}
	return charged
}

// modelOf is the model or the product that a line item is about.
func modelOf(lineItem string) string {
	if item, ok := pricing.ParseLineItem(lineItem); ok {
		return cmp.Or(item.Model, item.Product, lineItem)
	}
	return lineItem
}

// topProjects are those that today's bill charges the most.
func topProjects(today []spend.Charged, n directoryView) (out []Project) {
	var all decimal.Fixed
	for _, c := range today {
		all = all.Add(c.USD)
	}
	for _, c := range today[:min(len(today), ranked)] {
		p := Project{ID: c.ProjectID, Name: n.projects[c.ProjectID], USD: json.Number(c.USD.String()), Share: c.USD.Float64() / all.Float64()}
		if n.teams {
			p.Team = n.owners.Of(c.ProjectID).Name
		}
		out = append(out, p)
	}
	return out
}

// topModels are the models and products that today's bill charges the most.
func topModels(items map[string]decimal.Fixed) (out []Model) {
	for _, s := range top(byModel(items)) {
		out = append(out, Model{Model: s.value, USD: json.Number(s.usd.String()), Share: s.share})
	}
	return out
}

// keysToday is what each key has cost today: as it is shown where it is shown by key, else as the look-ups found it on the bill
// of the day. Where no amount has a key, there is nothing to tell apart.
func (n directoryView) keysToday(today []collector.Amount, now time.Time) map[string]decimal.Fixed {
	if charged := byKey(today); charged != nil {
		return charged
	}
	_, keyless := n.costs[""]
	if !n.costDay.Equal(now.UTC().Truncate(api.CostDay.Duration)) || keyless && len(n.costs) == 1 {
		return nil
	}
	return n.costs
}

// topKeys are the API keys that have cost the most today.
func topKeys(charged map[string]decimal.Fixed, n directoryView) (out []Key) {
	for _, s := range top(charged) {
		k := Key{ID: s.value, USD: json.Number(s.usd.String()), Share: s.share}
		if key := n.keys[s.value]; key != nil {
			k.Name, k.Project = key.Name, cmp.Or(n.projects[key.ProjectID], key.ProjectID)
		}
		out = append(out, k)
	}
	return out
}

// days tells the spend of each day by team, or by project where there are no teams.
func days(all []spend.Daily, n directoryView) []Day {
	number := func(d decimal.Fixed) json.Number { return json.Number(d.String()) }
	var out []Day
	for _, d := range all {
		day := Day{Date: d.Start.Format(time.DateOnly), BilledUSD: number(d.Billed), UnbilledUSD: number(d.Unbilled), ExpectedUSD: number(d.Expected)}
		type sum struct{ billed, unbilled decimal.Fixed }
		sums := make(map[Part]sum)
		var order []Part
		for _, p := range d.Projects {
			part := Part{Project: p.ProjectID, Name: n.projects[p.ProjectID]}
			if n.teams {
				part = Part{Team: n.owners.Of(p.ProjectID).Name}
			}
			s, met := sums[part]
			if !met {
				order = append(order, part)
			}
			sums[part] = sum{s.billed.Add(p.Billed), s.unbilled.Add(p.Unbilled)}
		}
		for _, part := range order {
			s := sums[part]
			part.BilledUSD, part.UnbilledUSD = number(s.billed), number(s.unbilled)
			day.Parts = append(day.Parts, part)
		}
		out = append(out, day)
	}
	return out
}
