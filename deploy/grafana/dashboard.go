// Package grafana makes the dashboards in dashboards/. They repeat themselves too much to be written by hand: a panel is
// a few words here and a page of JSON there. `go test ./deploy/grafana -update` writes them again.
package grafana

import (
	"fmt"
	"slices"

	"github.com/openai-exporter/openai_exporter/deploy/queries"
)

// A Dashboard is a dashboard in Grafana's classic JSON, which Grafana 11 and 12 import.
type Dashboard struct {
	UID           string      `json:"uid"`
	Title         string      `json:"title"`
	Description   string      `json:"description"`
	Tags          []string    `json:"tags"`
	Links         []link      `json:"links"`
	Templating    templating  `json:"templating"`
	Annotations   annotations `json:"annotations"`
	Time          timeRange   `json:"time"`
	Timezone      string      `json:"timezone"`
	Refresh       string      `json:"refresh"`
	GraphTooltip  int         `json:"graphTooltip"`
	Editable      bool        `json:"editable"`
	FiscalYear    int         `json:"fiscalYearStartMonth"`
	SchemaVersion int         `json:"schemaVersion"`
	Panels        []*panel    `json:"panels"`
}

// All returns the dashboards by the name of their file.
func All() map[string]*Dashboard {
	return map[string]*Dashboard{"budget": budget(), "spend": spend(), "usage": usage(), "limits": limits(), "health": health()}
}

// Portable is the same dashboard in the words of servers that do not know anchored.
func (d *Dashboard) Portable() *Dashboard {
	portable := *d
	portable.Panels = nil
	for _, p := range d.Panels {
		other := *p
		other.Targets = slices.Clone(p.Targets)
		for i := range other.Targets {
			other.Targets[i].Expr = queries.Portable(other.Targets[i].Expr)
		}
		portable.Panels = append(portable.Panels, &other)
	}
	return &portable
}

// A link in the head of a dashboard leads to every dashboard that carries its tag, so that a new one needs no mention.
type link struct {
	Title       string   `json:"title"`
	Type        string   `json:"type"`
	Tags        []string `json:"tags"`
	Icon        string   `json:"icon"`
	AsDropdown  bool     `json:"asDropdown"`
	IncludeVars bool     `json:"includeVars"`
	KeepTime    bool     `json:"keepTime"`
	TargetBlank bool     `json:"targetBlank"`
	Tooltip     string   `json:"tooltip"`
	URL         string   `json:"url"`
}

type annotations struct {
	List []annotation `json:"list"`
}

// An annotation marks moments at which a query has an answer.
type annotation struct {
	Name        string  `json:"name"`
	Datasource  *source `json:"datasource"`
	Enable      bool    `json:"enable"`
	Hide        bool    `json:"hide"`
	IconColor   string  `json:"iconColor"`
	Expr        string  `json:"expr"`
	TitleFormat string  `json:"titleFormat"`
	TextFormat  string  `json:"textFormat"`
	Step        string  `json:"step"`
}

// marks show in all graphs when the API has restated what it had reported downwards, and when the price of a line item has
// changed. The bill's quotient of amount and quantity trembles, so a change is more than a percent.
func (d *Dashboard) marks() *Dashboard {
	mark := func(name, colour, title, text, expr string) annotation {
		return annotation{Name: name, Datasource: prometheus, Enable: true, IconColor: colour, Expr: expr, TitleFormat: title, TextFormat: text, Step: "10m"}
	}
	const (
		restated = `openai_exporter_restated_total{organization=~"$organization",direction="down"}`
		price    = `openai_effective_price_usd{organization=~"$organization"}`
	)
	before := "last_over_time(" + price + "[1h] offset 10m)"
	d.Annotations.List = []annotation{
		mark("Restated", warning, "Restated downwards", "{{organization}} {{endpoint}} {{measure}}", "max by (organization, endpoint, measure) (increase("+restated+"[10m])) > 0"),
		mark("Price changed", "purple", "Price changed", "{{organization}} {{line_item}}", "max by (organization, line_item) (abs("+price+" - "+before+") / ("+before+" > 0)) > 0.01"),
	}
	return d
}

type timeRange struct {
	From string `json:"from"`
	To   string `json:"to"`
}

type templating struct {
	List []variable `json:"list"`
}

type variable struct {
	Name       string         `json:"name"`
	Label      string         `json:"label"`
	Type       string         `json:"type"`
	Datasource *source        `json:"datasource,omitempty"`
	Definition string         `json:"definition,omitempty"`
	Query      any            `json:"query"`
	Refresh    int            `json:"refresh"`
	Sort       int            `json:"sort,omitempty"`
	Multi      bool           `json:"multi"`
	IncludeAll bool           `json:"includeAll"`
	AllValue   string         `json:"allValue,omitempty"`
	Current    map[string]any `json:"current"`
	Options    []any          `json:"options"`
	Regex      string         `json:"regex"`
	Hide       int            `json:"hide"`
}

// A source names a data source. It is a variable in all of them, so that a dashboard fits every Grafana.
type source struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

var prometheus = &source{Type: "prometheus", UID: "${datasource}"}

// tag is what the dashboards find each other by.
const tag = "openai-exporter"

// newDashboard numbers and places the panels of the rows.
func newDashboard(d Dashboard, variables []variable, rows ...row) *Dashboard {
	d.Tags = []string{"openai", tag}
	d.Links = []link{{Title: "OpenAI", Type: "dashboards", Tags: []string{tag}, Icon: "external link", IncludeVars: true, KeepTime: true}}
	d.Annotations.List = []annotation{}
	d.Templating.List = append([]variable{{
		Name: "datasource", Label: "Data source", Type: "datasource", Query: "prometheus", Refresh: 1, Current: map[string]any{"text": "", "value": ""}, Options: []any{},
	}}, variables...)
	d.GraphTooltip = 1 // One crosshair for all panels.
	d.Editable = true
	d.SchemaVersion = 39
	y := 0
	add := func(p *panel) {
		p.ID = len(d.Panels) + 1
		d.Panels = append(d.Panels, p)
	}
	for _, r := range rows {
		if r.title != "" {
			add(&panel{Type: "row", Title: r.title, Grid: grid{W: 24, H: 1, Y: y}, Collapsed: false, Panels: []any{}})
			y++
		}
		left, shared := 24, 0 // What panels without a width of their own share.
		for _, p := range r.panels {
			if left -= p.Grid.W; p.Grid.W == 0 {
				shared++
			}
		}
		x := 0
		for _, p := range r.panels {
			width := p.Grid.W
			if width == 0 {
				width = left / shared
				left, shared = left-width, shared-1
			}
			p.Grid = grid{X: x, Y: y, W: width, H: r.height}
			x += width
			add(p)
		}
		y += r.height
	}
	return &d
}

// A row is a line of panels of one height that fill the width.
type row struct {
	title  string
	height int
	panels []*panel
}

// choice is a variable whose values are those of a label. What it stands for when everything is chosen matches series
// without the label, too: usage need not have a project.
func choice(name, title, selector, label string) variable {
	v := labelValues(name, title, selector, label)
	v.AllValue = ".*"
	return v
}

// projects is a choice among the projects that a selector has, shown by name where the look-ups know it and by id
// elsewhere; its values are ids.
func projects(selector string) variable {
	v := choice("project", "Project", selector, "project_id")
	query := fmt.Sprintf("query_result(count by (project_id) (%[1]s) * on (project_id) group_left (project_name) topk by (project_id) (1, openai_project_info) or on (project_id) count by (project_id) (%[1]s))", selector)
	v.Definition, v.Query = query, map[string]any{"qryType": 3, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"}
	v.Regex = `/project_id="(?<value>[^"]+)"(?:,project_name="(?<text>[^"]+)")?/`
	return v
}

// labelValues is a choice that stands for the values alone when everything is chosen.
func labelValues(name, title, selector, label string) variable {
	query := fmt.Sprintf("label_values(%s, %s)", selector, label)
	return variable{
		Name: name, Label: title, Type: "query", Datasource: prometheus,
		Definition: query, Query: map[string]any{"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
		// The values are asked for again when the time range changes, and sorted by name.
		Refresh: 2, Sort: 1, Multi: true, IncludeAll: true,
		Current: map[string]any{"selected": true, "text": []string{"All"}, "value": []string{"$__all"}}, Options: []any{},
	}
}
