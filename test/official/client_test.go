package official

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http/httptest"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/param"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// noon is on a working day, so that everything that the organization does is being done.
var noon = time.Date(2026, 9, 15, 12, 0, 0, 0, time.UTC)

// start serves a simulator whose clock stands at noon, and returns the official client of it.
func start(t *testing.T, o simulator.Options) (*simulator.Simulator, openai.Client, string) {
	t.Helper()
	o.Clock = simulator.NewClock(noon, 0).Now
	s := simulator.New(o)
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	base := server.URL + "/v1"
	return s, openai.NewClient(option.WithBaseURL(base), option.WithAdminAPIKey("sk-admin-test"), option.WithMaxRetries(0)), base
}

// method is the client's method for an endpoint: code_interpreter_sessions is CodeInterpreterSessions.
func method(client *openai.Client, e *api.Endpoint) reflect.Value {
	var name strings.Builder
	for word := range strings.SplitSeq(e.Name, "_") {
		name.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return reflect.ValueOf(&client.Admin.Organization.Usage).MethodByName(name.String())
}

// read asks the client for all of a range, page by page, and returns its rows. The client's methods differ only in the
// names of their types, so the fields are found by name.
func read(t *testing.T, client *openai.Client, e *api.Endpoint, width string, groupBy []string, from, to time.Time) []reflect.Value {
	t.Helper()
	return readFiltered(t, client, e, width, groupBy, nil, from, to)
}

// readFiltered is read of the rows that a filter lets through.
func readFiltered(t *testing.T, client *openai.Client, e *api.Endpoint, width string, groupBy []string, filters api.Filters, from, to time.Time) []reflect.Value {
	t.Helper()
	call := method(client, e)
	if !call.IsValid() {
		t.Fatalf("the official client does not know %s", e.Name)
	}
	params := reflect.New(call.Type().In(1)).Elem()
	params.FieldByName("StartTime").SetInt(from.Unix())
	params.FieldByName("EndTime").Set(reflect.ValueOf(openai.Int(to.Unix())))
	params.FieldByName("Limit").Set(reflect.ValueOf(openai.Int(5)))
	params.FieldByName("BucketWidth").SetString(width)
	params.FieldByName("GroupBy").Set(reflect.ValueOf(groupBy))
	for name, values := range filters {
		f, ok := filter(params, name)
		if !ok {
			t.Fatalf("the client can't filter %s by %s", e.Name, name)
		}
		if name == api.FilterBatch {
			f.Set(reflect.ValueOf(openai.Bool(values[0] == "true")))
		} else {
			f.Set(reflect.ValueOf(values))
		}
	}
	var rows []reflect.Value
	for pages := 0; ; pages++ {
		out := call.Call([]reflect.Value{reflect.ValueOf(context.Background()), params})
		if err, ok := out[1].Interface().(error); ok {
			t.Fatalf("%s: %v", e.Name, err)
		}
		page := out[0].Elem()
		buckets := page.FieldByName("Data")
		for i := range buckets.Len() {
			results := buckets.Index(i).FieldByName("Results")
			for j := range results.Len() {
				rows = append(rows, results.Index(j))
			}
		}
		if !page.FieldByName("HasMore").Bool() {
			if pages == 0 {
				t.Errorf("%s: there is only one page", e.Name)
			}
			return rows
		}
		params.FieldByName("Page").Set(reflect.ValueOf(param.NewOpt(page.FieldByName("NextPage").String())))
	}
}

// filter is the field of the client's parameters for a query parameter.
func filter(params reflect.Value, name string) (reflect.Value, bool) {
	for i := range params.NumField() {
		if tag, _, _ := strings.Cut(params.Type().Field(i).Tag.Get("query"), ","); tag == name {
			return params.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// ahead are endpoints, dimensions and fields that organizations have already and that neither the client nor the specification
// knows yet.
var ahead = []string{}

// field is the field of a row that the client decodes a JSON field into. One that it does not know it keeps as it came.
func field(t *testing.T, row reflect.Value, name string) reflect.Value {
	t.Helper()
	for i := range row.NumField() {
		if tag, _, _ := strings.Cut(row.Type().Field(i).Tag.Get("json"), ","); tag == name {
			if slices.Contains(ahead, name) {
				t.Errorf("the client has caught up: it knows %s", name)
			}
			return row.Field(i)
		}
	}
	came, ok := row.Interface().(interface{ RawJSON() string })
	if !ok || !slices.Contains(ahead, name) {
		t.Fatalf("%s has no field %s", row.Type(), name)
	}
	values := map[string]any{}
	if err := json.Unmarshal([]byte(came.RawJSON()), &values); err != nil {
		t.Fatal(err)
	}
	return reflect.ValueOf(values[name])
}

// number is the value that the client made of a field.
func number(t *testing.T, v reflect.Value) decimal.Fixed {
	t.Helper()
	switch v.Kind() {
	case reflect.Int64:
		return decimal.FromInt(v.Int())
	case reflect.Float64:
		f, err := decimal.Parse(strconv.FormatFloat(v.Float(), 'g', -1, 64))
		if err != nil {
			t.Fatal(err)
		}
		return f
	case reflect.Struct: // an amount
		return number(t, v.FieldByName("Value"))
	}
	t.Fatalf("a field of type %s", v.Type())
	return decimal.Fixed{}
}

// sums adds up what the client read, by label set and measure.
func sums(t *testing.T, e *api.Endpoint, groupBy []string, rows []reflect.Value) map[string]decimal.Fixed {
	t.Helper()
	columns := slices.Clone(groupBy)
	for _, a := range e.Attributes {
		columns = append(columns, a.Name)
	}
	out := map[string]decimal.Fixed{}
	for _, row := range rows {
		if got := field(t, row, "object").String(); got != e.Object {
			t.Errorf("a row is a %s, want %s", got, e.Object)
		}
		labels := map[string]string{}
		for _, c := range columns {
			// Batch is a boolean to the client; the organization's own are always set.
			if l := fmt.Sprint(field(t, row, c)); l != "" {
				labels[c] = l
			}
		}
		for _, m := range e.Measures {
			key := fmt.Sprint(labels, " ", m.Name)
			out[key] = out[key].Add(number(t, field(t, row, m.Fields[0])))
		}
	}
	return out
}

func truth(rows []simulator.Row) map[string]decimal.Fixed {
	out := map[string]decimal.Fixed{}
	for _, r := range rows {
		for m, v := range r.Values {
			out[fmt.Sprint(r.Labels, " ", m)] = v
		}
	}
	return out
}

func TestTheOfficialClientReadsTheTruth(t *testing.T) {
	c, err := simulator.Profile("restated")
	if err != nil {
		t.Fatal(err)
	}
	s, client, _ := start(t, simulator.Options{Seed: 11, Lateness: c.Lateness, Restate: c.Restate})
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		if slices.Contains(ahead, e.Name) {
			if method(&client, e).IsValid() {
				t.Errorf("the client has caught up: it knows %s", e.Name)
			}
			continue
		}
		var groupBy []string
		for _, d := range e.Dimensions {
			groupBy = append(groupBy, d.Name)
		}
		for _, by := range [][]string{nil, groupBy[:1], groupBy} {
			width, from := "1h", noon.Add(-11*time.Hour)
			if e.IsCosts() {
				width, from = "1d", noon.Add(-6*24*time.Hour).Truncate(24*time.Hour)
			}
			to := noon
			if e.IsCosts() {
				to = noon.Truncate(24 * time.Hour).Add(24 * time.Hour)
			}
			t.Run(fmt.Sprint(e.Name, by), func(t *testing.T) {
				rows := read(t, &client, e, width, by, from, to)
				if e.Stock { // Not a sum: the newest bucket's level is the truth.
					rows = rows[len(rows)-len(s.Truth(e.Name, by, from, to, noon)):]
				}
				got, want := sums(t, e, by, rows), truth(s.Truth(e.Name, by, from, to, noon))
				if !maps.Equal(got, want) || len(want) == 0 {
					for k := range want {
						if got[k] != want[k] {
							t.Errorf("%s: read %s, truth is %s", k, got[k], want[k])
						}
					}
					t.Errorf("%d label sets and measures read, %d are true", len(got), len(want))
				}
			})
		}
	}
}

// The client's amounts are floats. It takes the strings that some organizations get since 2026, at the price of what a
// float can't hold.
func TestTheOfficialClientReadsStringAmountsAsFloats(t *testing.T) {
	s, client, _ := start(t, simulator.Options{Seed: 11, StringAmounts: true})
	e, _ := api.Find(api.Costs)
	from, to := noon.Add(-6*24*time.Hour).Truncate(24*time.Hour), noon.Truncate(24*time.Hour).Add(24*time.Hour)
	var got, want float64
	for _, row := range read(t, &client, e, "1d", []string{"line_item"}, from, to) {
		got += field(t, row, "amount").FieldByName("Value").Float()
	}
	for _, r := range s.Truth(e.Name, []string{"line_item"}, from, to, noon) {
		want += r.Values[api.MeasureCost].Float64()
	}
	if math.Abs(got-want) > 1e-9*want || want == 0 {
		t.Errorf("read %v USD, truth is %v", got, want)
	}
}

func TestTheOfficialClientListsWhatThereIs(t *testing.T) {
	s, client, _ := start(t, simulator.Options{Seed: 11})
	ctx := context.Background()
	org := &client.Admin.Organization

	var projects []string
	for pages := org.Projects.ListAutoPaging(ctx, openai.AdminOrganizationProjectListParams{Limit: openai.Int(2), IncludeArchived: openai.Bool(true)}); pages.Next(); {
		projects = append(projects, pages.Current().ID+" "+pages.Current().Name)
	}
	var want, users, wantUsers []string
	for _, p := range s.Projects() {
		want = append(want, p.ID+" "+p.Name)
	}
	if !slices.Equal(projects, want) {
		t.Errorf("projects %v, want %v", projects, want)
	}

	for pages := org.Users.ListAutoPaging(ctx, openai.AdminOrganizationUserListParams{Limit: openai.Int(3)}); pages.Next(); {
		users = append(users, pages.Current().ID+" "+pages.Current().Email)
	}
	for _, u := range s.Users() {
		wantUsers = append(wantUsers, u.ID+" "+u.Email)
	}
	if !slices.Equal(users, wantUsers) {
		t.Errorf("users %v, want %v", users, wantUsers)
	}

	for _, p := range s.Projects() {
		var keys, wantKeys []string
		pages := org.Projects.APIKeys.ListAutoPaging(ctx, p.ID, openai.AdminOrganizationProjectAPIKeyListParams{Limit: openai.Int(1), OwnerProjectAccess: openai.AdminOrganizationProjectAPIKeyListParamsOwnerProjectAccessAny})
		for pages.Next() {
			keys = append(keys, pages.Current().ID)
		}
		if err := pages.Err(); err != nil {
			t.Error(err)
		}
		for _, k := range s.Keys() {
			if k.ProjectID == p.ID && !k.Deleted {
				wantKeys = append(wantKeys, k.ID)
			}
		}
		if !slices.Equal(keys, wantKeys) {
			t.Errorf("keys of %s: %v, want %v", p.Name, keys, wantKeys)
		}
		limit, err := org.Projects.SpendLimit.Get(ctx, p.ID)
		if p.SpendLimitCents == 0 {
			if err == nil {
				t.Errorf("%s has a spend limit of %d", p.Name, limit.ThresholdAmount)
			}
			continue
		}
		if err != nil || limit.ThresholdAmount != p.SpendLimitCents {
			t.Errorf("spend limit of %s: %v, %v", p.Name, limit, err)
		}
	}
}

func TestTheOfficialClientUnderstandsRefusals(t *testing.T) {
	_, client, _ := start(t, simulator.Options{KeysWithoutScope: []string{"sk-weak"}})
	ctx := context.Background()
	for _, tc := range []struct {
		name   string
		key    string
		limit  int64
		status []int
		says   string
	}{
		{"a limit above the maximum", "sk-admin-test", 200, []int{400}, "168"},
		{"a key without the scope", "sk-weak", 1, []int{401, 403}, "Missing scopes: api.usage.read"},
	} {
		_, err := client.Admin.Organization.Usage.Completions(ctx, openai.AdminOrganizationUsageCompletionsParams{
			StartTime: noon.Add(-time.Hour).Unix(), Limit: openai.Int(tc.limit), BucketWidth: openai.AdminOrganizationUsageCompletionsParamsBucketWidth1h,
		}, option.WithAdminAPIKey(tc.key))
		refused, ok := err.(*openai.Error)
		if !ok || !slices.Contains(tc.status, refused.StatusCode) || !strings.Contains(refused.RawJSON()+refused.Message, tc.says) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func unix(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
