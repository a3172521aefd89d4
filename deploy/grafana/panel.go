package grafana

import "fmt"

type panel struct {
	ID              int              `json:"id"`
	Type            string           `json:"type"`
	Title           string           `json:"title"`
	Description     string           `json:"description,omitempty"`
	Grid            grid             `json:"gridPos"`
	Datasource      *source          `json:"datasource,omitempty"`
	Targets         []target         `json:"targets,omitempty"`
	Interval        string           `json:"interval,omitempty"`
	FieldConfig     *fieldConfig     `json:"fieldConfig,omitempty"`
	Options         map[string]any   `json:"options,omitempty"`
	Transformations []transformation `json:"transformations,omitempty"`
	Collapsed       any              `json:"collapsed,omitempty"` // What a row says even when it is false or empty, and
	Panels          any              `json:"panels,omitempty"`    // no other panel has.
}

type grid struct {
	H int `json:"h"`
	W int `json:"w"`
	X int `json:"x"`
	Y int `json:"y"`
}

type target struct {
	RefID      string  `json:"refId"`
	Datasource *source `json:"datasource"`
	Expr       string  `json:"expr"`
	Legend     string  `json:"legendFormat,omitempty"`
	EditorMode string  `json:"editorMode"`
	Format     string  `json:"format,omitempty"`
	Instant    bool    `json:"instant"`
	Range      bool    `json:"range"`
}

type fieldConfig struct {
	Defaults  field      `json:"defaults"`
	Overrides []override `json:"overrides"`
}

type field struct {
	Unit       string         `json:"unit"`
	Decimals   *int           `json:"decimals,omitempty"`
	Min        *float64       `json:"min,omitempty"`
	Max        *float64       `json:"max,omitempty"`
	Color      map[string]any `json:"color"`
	Thresholds thresholds     `json:"thresholds"`
	Mappings   []any          `json:"mappings"`
	Custom     map[string]any `json:"custom,omitempty"`
}

type thresholds struct {
	Mode  string `json:"mode"`
	Steps []step `json:"steps"`
}

// A step colours values from a limit on; the first has none.
type step struct {
	Color string   `json:"color"`
	Value *float64 `json:"value"`
}

type override struct {
	Matcher    matcher    `json:"matcher"`
	Properties []property `json:"properties"`
}

type matcher struct {
	ID      string `json:"id"`
	Options any    `json:"options"`
}

type property struct {
	ID    string `json:"id"`
	Value any    `json:"value"`
}

type transformation struct {
	ID      string         `json:"id"`
	Options map[string]any `json:"options"`
}

// The colours have one meaning in all dashboards. Projects, models and the like get theirs from their names.
const (
	good    = "green"
	warning = "orange"
	bad     = "red"
	neutral = "blue"
)

// A query is an expression and what its series are called.
type query struct{ legend, expr string }

func newPanel(kind, title, description, unit string, queries []query) *panel {
	p := &panel{
		Type: kind, Title: title, Description: description, Datasource: prometheus, Options: map[string]any{},
		FieldConfig: &fieldConfig{
			Defaults: field{
				Unit: unit, Color: map[string]any{"mode": "palette-classic-by-name"}, Mappings: []any{},
				Thresholds: thresholds{Mode: "absolute", Steps: []step{{Color: neutral}}},
			},
			Overrides: []override{},
		},
	}
	for i, q := range queries {
		p.Targets = append(p.Targets, target{
			RefID: string(rune('A' + i)), Datasource: prometheus, Expr: q.expr, Legend: q.legend, EditorMode: "code", Range: true,
		})
	}
	return p
}

// now turns the queries into those for the end of the time range alone.
func (p *panel) now() *panel {
	for i := range p.Targets {
		p.Targets[i].Instant, p.Targets[i].Range = true, false
	}
	return p
}

// stat shows one number, at the end of the time range.
func stat(title, description, unit, expr string) *panel {
	p := newPanel("stat", title, description, unit, []query{{title, expr}}).now()
	p.FieldConfig.Defaults.Color = map[string]any{"mode": "thresholds"}
	p.Options = map[string]any{
		"colorMode": "value", "graphMode": "none", "justifyMode": "center", "orientation": "auto", "textMode": "value", "wideLayout": true,
		"showPercentChange": false, "percentChangeColorMode": "standard",
		"reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
	}
	return p
}

// lines shows what goes on over time.
func lines(title, description, unit string, queries ...query) *panel {
	p := newPanel("timeseries", title, description, unit, queries)
	p.FieldConfig.Defaults.Custom = map[string]any{
		"drawStyle": "line", "lineInterpolation": "linear", "lineWidth": 1, "fillOpacity": 0, "gradientMode": "none",
		"showPoints": "never", "spanNulls": false, "stacking": map[string]any{"group": "A", "mode": "none"},
		"axisPlacement": "auto", "scaleDistribution": map[string]any{"type": "linear"},
	}
	zero := 0.0
	p.FieldConfig.Defaults.Min = &zero
	p.Options = map[string]any{
		"legend":  map[string]any{"showLegend": true, "displayMode": "list", "placement": "bottom", "calcs": []string{}},
		"tooltip": map[string]any{"mode": "multi", "sort": "desc"},
	}
	return p
}

// stacked shows how parts make up a whole.
func stacked(title, description, unit string, queries ...query) *panel {
	p := lines(title, description, unit, queries...)
	p.FieldConfig.Defaults.Custom["fillOpacity"] = 45
	p.FieldConfig.Defaults.Custom["stacking"] = map[string]any{"group": "A", "mode": "normal"}
	return p
}

// bars shows one stacked bar per step, which reaches from its timestamp to the next: the query looks ahead.
func bars(title, description, unit, step string, queries ...query) *panel {
	p := stacked(title, description, unit, queries...).every(step)
	c := p.FieldConfig.Defaults.Custom
	c["drawStyle"], c["barAlignment"], c["barWidthFactor"] = "bars", 1, 0.9
	c["fillOpacity"], c["lineWidth"] = 80, 0
	return p
}

// ranking shows bars of different length, the longest first.
func ranking(title, description, unit string, n int, q query) *panel {
	p := newPanel("bargauge", title, description, unit, []query{{q.legend, fmt.Sprintf("sort_desc(topk(%d, %s))", n, q.expr)}}).now()
	zero := 0.0
	p.FieldConfig.Defaults.Min = &zero
	p.Options = map[string]any{
		"displayMode": "basic", "orientation": "horizontal", "showUnfilled": true, "valueMode": "color", "namePlacement": "left", "sizing": "auto", "minVizHeight": 16, "minVizWidth": 8, "maxVizHeight": 28,
		"reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
		"legend":        map[string]any{"showLegend": false, "displayMode": "list", "placement": "bottom", "calcs": []string{}},
	}
	return p
}

// A column of a table is the answer to a query, or a label of the answers.
type column struct {
	name, label string // label is empty for a query
	expr, unit  string
	width       int
	more        []property
}

// table joins the answers of several queries by their labels, sorted by a column: names from A on, numbers from the largest
// on. A cell without a number comes before the largest, so the column should have none.
func table(title, description, sortBy string, columns ...column) *panel {
	var queries []query
	for _, c := range columns {
		if c.label == "" {
			queries = append(queries, query{"", c.expr})
		}
	}
	p := newPanel("table", title, description, "short", queries).now()
	p.FieldConfig.Defaults.Color = map[string]any{"mode": "thresholds"}
	p.FieldConfig.Defaults.Thresholds.Steps[0].Color = "text"
	p.FieldConfig.Defaults.Custom = map[string]any{"align": "auto", "cellOptions": map[string]any{"type": "auto"}, "filterable": false, "inspect": false}
	rename, order := map[string]any{}, map[string]any{}
	n, down := 0, true
	for i, c := range columns {
		from := c.label
		if c.name == sortBy {
			down = from == ""
		}
		if from == "" {
			p.Targets[n].Format = "table"
			from = "Value"
			if len(queries) > 1 {
				from = "Value #" + p.Targets[n].RefID
			}
			n++
		}
		rename[from], order[from] = c.name, i
		var properties []property
		if c.unit != "" {
			properties = append(properties, property{"unit", c.unit})
		}
		if c.width > 0 {
			properties = append(properties, property{"custom.width", c.width})
		}
		if properties = append(properties, c.more...); len(properties) > 0 {
			p.FieldConfig.Overrides = append(p.FieldConfig.Overrides, override{matcher{"byName", c.name}, properties})
		}
	}
	if len(queries) > 1 {
		p.Transformations = append(p.Transformations, transformation{"merge", map[string]any{}})
	}
	p.Transformations = append(p.Transformations,
		transformation{"organize", map[string]any{"excludeByName": map[string]any{"Time": true}, "indexByName": order, "renameByName": rename}},
		transformation{"sortBy", map[string]any{"fields": map[string]any{}, "sort": []any{map[string]any{"field": sortBy, "desc": down}}}})
	p.Options = map[string]any{"showHeader": true, "cellHeight": "sm", "frameIndex": 0}
	return p
}

// hiding leaves labels out of a table that tell its rows apart and that nobody needs to read.
func (p *panel) hiding(labels ...string) *panel {
	for _, t := range p.Transformations {
		if hidden, ok := t.Options["excludeByName"].(map[string]any); ok {
			for _, label := range labels {
				hidden[label] = true
			}
		}
	}
	return p
}

// every sets the smallest step.
func (p *panel) every(step string) *panel {
	p.Interval = step
	return p
}

func (p *panel) wide(w int) *panel {
	p.Grid.W = w
	return p
}

// colours gives series their colours, by their names.
func (p *panel) colours(pairs ...string) *panel {
	for i := 0; i < len(pairs); i += 2 {
		p.override("byName", pairs[i], property{"color", map[string]any{"mode": "fixed", "fixedColor": pairs[i+1]}})
	}
	return p
}

// numbered gives series their colours in turn, where names are few and mean nothing elsewhere.
func (p *panel) numbered() *panel {
	p.FieldConfig.Defaults.Color = map[string]any{"mode": "palette-classic"}
	return p
}

// byEndpoint gives each endpoint a colour that it has in every panel. There are few, so they need not come by chance.
func (p *panel) byEndpoint() *panel {
	return p.colours(
		"completions", "blue", "decisions", "dark-blue", "embeddings", "green", "moderations", "dark-green",
		"images", "orange", "audio_speeches", "purple", "audio_transcriptions", "light-purple", "vector_stores", "yellow",
		"code_interpreter_sessions", "dark-yellow", "file_search_calls", "light-blue", "web_search_calls", "light-green", "costs", "light-orange",
	)
}

func (p *panel) override(by string, options any, properties ...property) *panel {
	p.FieldConfig.Overrides = append(p.FieldConfig.Overrides, override{matcher{by, options}, properties})
	return p
}

// limits colours values by limits, which rise.
func (p *panel) limits(base string, steps ...step) *panel {
	p.FieldConfig.Defaults.Thresholds = thresholdsOf(base, steps...)
	return p
}

func thresholdsOf(base string, steps ...step) thresholds {
	return thresholds{Mode: "absolute", Steps: append([]step{{Color: base}}, steps...)}
}

func from(value float64, color string) step { return step{Color: color, Value: &value} }

// between fixes the ends of the axis.
func (p *panel) between(low, high float64) *panel {
	p.FieldConfig.Defaults.Min, p.FieldConfig.Defaults.Max = &low, &high
	return p
}

// signed lets the axis begin below zero, where credits make a bill negative.
func (p *panel) signed() *panel {
	p.FieldConfig.Defaults.Min = nil
	return p
}

// magnitudes spreads the axis, so that minutes can be seen beside hours.
func (p *panel) magnitudes() *panel {
	p.FieldConfig.Defaults.Custom["scaleDistribution"] = map[string]any{"type": "log", "log": 10}
	return p.signed()
}

// words shows words in place of the numbers 0 and 1.
func (p *panel) words(zero, one string) *panel {
	p.FieldConfig.Defaults.Mappings = wordsFor(zero, one)
	return p
}

func wordsFor(zero, one string) []any {
	return []any{map[string]any{"type": "value", "options": map[string]any{
		"0": map[string]any{"text": zero, "color": bad, "index": 0},
		"1": map[string]any{"text": one, "color": good, "index": 1},
	}}}
}

// key puts the legend beside the graph, with sums or other figures, the largest first.
func (p *panel) key(calc, title string) *panel {
	p.Options["legend"] = map[string]any{
		"showLegend": true, "displayMode": "table", "placement": "right", "calcs": []string{calc}, "sortBy": title, "sortDesc": true,
	}
	return p
}

// by sums an expression by a label. Projects get their names, too.
func by(label, expr string) string {
	sum := fmt.Sprintf("sum by (%s) (%s)", label, expr)
	if label == "project_id" {
		return withNames(sum)
	}
	return called(label, sum)
}

// withNames gives series by project_id a project_name: the one that the look-ups have found or, where they are switched
// off or not permitted, the id. Two exporters that know the same project make no difference.
func withNames(sum string) string {
	return fmt.Sprintf(`label_replace((%[1]s) * on (project_id) group_left (project_name) topk by (project_id) (1, openai_project_info{project_name!=""})`+
		` or on (project_id) label_replace(%[1]s, "project_name", "$1", "project_id", "(.+)"), "project_name", "none", "project_name", "")`, sum)
}

// withNamesOf gives series by organization and project_id a project_name.
func withNamesOf(expr string) string { return withNamesAs("none", expr) }

// withNamesAs is withNamesOf that calls what has no project by a word.
func withNamesAs(nobody, expr string) string {
	return fmt.Sprintf(`label_replace((%[1]s) * on (organization, project_id) group_left (project_name) topk by (organization, project_id) (1, openai_project_info{project_name!=""})`+
		` or on (organization, project_id) label_replace(%[1]s, "project_name", "$1", "project_id", "(.+)"), "project_name", %[2]q, "project_name", "")`, expr, nobody)
}

// Who pays for a project now, and at the end of the day that begins. Where two exporters disagree, or a project has changed
// hands that day, it is one team all the same.
const (
	owners      = `topk by (organization, project_id) (1, openai_project_info{team!=""})`
	ownersOfDay = `(0 * topk by (organization, project_id) (1, max_over_time(timestamp(openai_project_info{team!=""})[1d:10m] offset -1d)) + 1)`
)

// byTeam sums an expression by the team that pays for its project. What belongs to none is unallocated, so the teams' sum is
// the whole.
func byTeam(owners, expr string) query {
	return query{"{{team}}", fmt.Sprintf(`sum by (team) ((sum by (organization, project_id) (%[1]s)) * on (organization, project_id) group_left (team) %[2]s`+
		` or on (organization, project_id) label_replace(sum by (organization, project_id) (%[1]s), "team", "unallocated", "", ""))`, expr, owners)}
}

// legend is how series by a label are called.
func legend(label string) string {
	if label == "project_id" {
		label = "project_name"
	}
	return "{{" + label + "}}"
}

// called calls what has no such label "none", since an empty name is hard to read.
func called(label, expr string) string {
	return fmt.Sprintf(`label_replace(%s, %q, "none", %q, "")`, expr, label, label)
}

// named is by, as a query whose series are called by the label.
func named(label, expr string) query { return query{legend(label), by(label, expr)} }
