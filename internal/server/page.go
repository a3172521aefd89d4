package server

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
)

//go:embed page.html
var pageSource string

//go:embed page.css
var pageStyle string

var pageTemplate = template.Must(template.New("page").Parse(pageSource))

// contentPolicy lets a browser load nothing, and apply nothing but our own style sheet.
var contentPolicy = func() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// A view is a report with what only its page needs.
type view struct {
	*Report
	Only        string // the organization that the page is about, empty for all
	Style       template.CSS
	MetricsPath string // relative, so that the page works behind a proxy that puts it under a prefix
}

func (s *Server) page(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	var b bytes.Buffer
	r, found := s.asked(req)
	if !found {
		plain(w, http.StatusNotFound, notFound)
		return
	}
	v := view{Report: r, Only: req.URL.Query().Get("organization"), Style: template.CSS(pageStyle), MetricsPath: strings.TrimPrefix(s.options.TelemetryPath, "/")}
	if err := pageTemplate.Execute(&b, v); err != nil {
		plain(w, http.StatusInternalServerError, "Status page could not be written: "+err.Error())
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(b.Bytes())
}

// Verdict is the state of everything in one line.
func (v view) Verdict() string {
	if v.refused() {
		return "OpenAI refuses requests; " + v.polling()
	}
	return v.polling()
}

// refused says whether a spend limit is enforced anywhere.
func (v view) refused() bool {
	return slices.ContainsFunc(v.Organizations, func(o Organization) bool { return len(o.Refused) > 0 })
}

// polling is how it stands with the endpoints.
func (v view) polling() string {
	n := v.count()
	polled := n.all - n.unavailable
	switch {
	case v.idle():
		return "Nothing to poll: this shard has no organization"
	case n.all == 0:
		return "Polling has not begun"
	case n.failing > 0:
		return fmt.Sprintf("%d of %s failing", n.failing, endpoints(polled))
	case n.starting > 0:
		return fmt.Sprintf("Starting: %d of %s polled", polled-n.starting, endpoints(polled))
	}
	return fmt.Sprintf("%s up to date", endpoints(polled))
}

// Mood is the class of the verdict.
func (v view) Mood() fetcher.State {
	switch n := v.count(); {
	case v.idle():
		return fetcher.StateOK
	case n.failing > 0 || v.refused():
		return fetcher.StateFailing
	case n.all == 0 || n.starting > 0:
		return fetcher.StateStarting
	}
	return fetcher.StateOK
}

// idle says whether there is nothing to poll, as opposed to nothing yet.
func (v view) idle() bool { return v.Ready && len(v.Organizations) == 0 }

type counts struct{ all, failing, starting, unavailable int }

func (v view) count() (n counts) {
	for i := range v.Organizations {
		c := countOf(v.Organizations[i].Endpoints)
		n.all, n.failing, n.starting, n.unavailable = n.all+c.all, n.failing+c.failing, n.starting+c.starting, n.unavailable+c.unavailable
	}
	return n
}

func countOf(endpoints []Endpoint) (n counts) {
	for i := range endpoints {
		n.all++
		switch endpoints[i].State {
		case fetcher.StateFailing:
			n.failing++
		case fetcher.StateStarting:
			n.starting++
		case fetcher.StateUnavailable:
			n.unavailable++
		case fetcher.StateOK:
		}
	}
	return n
}

func endpoints(n int) string {
	if n == 1 {
		return "1 endpoint"
	}
	return fmt.Sprintf("%d endpoints", n)
}

// Uptime is how long the process has been running.
func (v view) Uptime() string { return span(v.Time.Sub(v.Started)) }

// Ago is how long before the report a time was.
func (v view) Ago(t time.Time) string { return span(v.Time.Sub(t)) + " ago" }

// In is how long after the report a time will be.
func (v view) In(t time.Time) string {
	if d := t.Sub(v.Time); d >= time.Second {
		return "in " + span(d)
	}
	return "now"
}

// Filters say what of an endpoint is read: what each of them lets through.
func (v view) Filters(e Endpoint) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(e.Filters)) {
		all = append(all, words(name)+" "+strings.Join(e.Filters[name], " or "))
	}
	return strings.Join(all, ", and ")
}

// Lag is how long ago the newest closed bucket that was read ended.
func (v view) Lag(e Endpoint) string { return span(time.Duration(e.LagSeconds) * time.Second) }

// UTC is a time for people.
func (v view) UTC(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// ISO is a time for machines.
func (v view) ISO(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// USD rounds an amount of money to cents.
func (v view) USD(n json.Number) string {
	f, err := n.Float64()
	if err != nil {
		return "–"
	}
	sign := ""
	if f < 0 {
		sign, f = "−", -f
	}
	return sign + "$" + group(fmt.Sprintf("%.2f", f))
}

// Unbilled says what is not billed yet, nothing where that is less than a cent.
func (v view) Unbilled(n json.Number) string {
	if float(n) < 0.005 {
		return ""
	}
	return "+ " + v.USD(n) + " not billed yet"
}

// Dollars is a configured amount of money.
func (v view) Dollars(usd float64) string { return v.USD(json.Number(fmt.Sprintf("%.2f", usd))) }

// Each says which period of its kind a budget is compared with.
func (v view) Each(period string) string {
	if period == "term" {
		return "in its term"
	}
	return "this " + period
}

// Unknown is why it is not known what is spent of a budget, or nothing as long as the bill has yet to be read.
func (v view) Unknown(o Organization) string {
	switch {
	case o.CostMonthToDateUSD != "":
		return "the bill was not read so far back, or not by project"
	case !slices.ContainsFunc(o.Endpoints, func(e Endpoint) bool { return e.Name == api.Costs }):
		return "this exporter does not read the bill"
	}
	return ""
}

// Day is a UTC day.
func (v view) Day(t *time.Time) string { return t.UTC().Format(time.DateOnly) }

// An Item is a measure and what to say of it.
type Item struct{ Amount, Measure string }

// Withheld are the amounts by which counters of an endpoint are ahead of the API.
func (v view) Withheld(e Endpoint) []Item {
	var out []Item
	for _, m := range slices.Sorted(maps.Keys(e.Withheld)) {
		out = append(out, Item{group(string(e.Withheld[m])), words(m)})
	}
	return out
}

// Restated are the amounts by which the API restated an endpoint's numbers, up and down.
func (v view) Restated(e Endpoint) []Item { return both(e.RestatedUp, e.RestatedDown) }

// Audited are the amounts that only the audit found, up and down.
func (v view) Audited(e Endpoint) []Item { return both(e.AuditUp, e.AuditDown) }

func both(up, down map[string]json.Number) []Item {
	either := maps.Clone(up)
	if either == nil {
		either = make(map[string]json.Number)
	}
	maps.Copy(either, down)
	var out []Item
	for _, m := range slices.Sorted(maps.Keys(either)) {
		var amounts []string
		if n, ok := up[m]; ok {
			amounts = append(amounts, "+"+group(string(n)))
		}
		if n, ok := down[m]; ok {
			amounts = append(amounts, "−"+group(string(n)))
		}
		out = append(out, Item{strings.Join(amounts, " "), words(m)})
	}
	return out
}

// Percent is a share for people.
func (v view) Percent(share float64) string {
	if share > 0 && share < 0.01 {
		return "under 1 %"
	}
	return fmt.Sprintf("%.0f %%", 100*share)
}

// Since says since when an organization's counters count: one time, or one for most of the endpoints.
func (v view) Since(o Organization) time.Time {
	counts := make(map[time.Time]int)
	var most time.Time
	for i := range o.Endpoints {
		t := o.Endpoints[i].CountingSince
		if t.IsZero() || o.Endpoints[i].Name == api.Costs {
			continue
		}
		if counts[t]++; counts[t] > counts[most] {
			most = t
		}
	}
	return most
}

// words are the words of a measure's name, and money as people write it.
func words(measure string) string {
	return strings.Replace(strings.ReplaceAll(measure, "_", " "), "usd", "USD", 1)
}

// Group puts thousands apart.
func (v view) Group(n int) string { return group(fmt.Sprint(n)) }

// group puts thousands apart: 1234567.5 → 1,234,567.5.
func group(number string) string {
	whole, fraction, hasFraction := strings.Cut(number, ".")
	var b strings.Builder
	for i, d := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 && whole[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	if hasFraction {
		b.WriteString("." + fraction)
	}
	return b.String()
}

// span is a duration in its two largest units.
func span(d time.Duration) string {
	d = max(d, 0).Round(time.Second)
	s := int64(d / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return two(s/60, "min", s%60, "s")
	case s < 86400:
		return two(s/3600, "h", s%3600/60, "min")
	}
	return two(s/86400, "d", s%86400/3600, "h")
}

func two(a int64, unitA string, b int64, unitB string) string {
	if b == 0 {
		return fmt.Sprintf("%d %s", a, unitA)
	}
	return fmt.Sprintf("%d %s %d %s", a, unitA, b, unitB)
}
