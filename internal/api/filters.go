package api

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
)

// The names of filters that code has to single out.
const (
	FilterProjects = "project_ids" // of the whole organization, so that usage, costs and look-ups agree
	FilterBatch    = "batch"       // the only one with a single value: true or false
)

// Filters say which rows the API is asked for: values by the name of the API's parameter. Without values a filter lets
// everything through.
type Filters map[string][]string

// With returns the filters with another one.
func (f Filters) With(name string, values []string) Filters {
	out := Filters{name: values}
	for n, v := range f {
		if n != name {
			out[n] = v
		}
	}
	return out
}

// Without is all but one filter.
func (f Filters) Without(name string) Filters {
	out := maps.Clone(f)
	delete(out, name)
	return out
}

// Canonical are the filters without those that let everything through, their values sorted, so that equal filters are equal
// values, however they were written.
func (f Filters) Canonical() Filters {
	var out Filters
	for name, v := range f {
		if len(v) == 0 {
			continue
		}
		if out == nil {
			out = make(Filters)
		}
		v = slices.Clone(v)
		slices.Sort(v)
		out[name] = slices.Compact(v)
	}
	return out
}

// Encode spells filters as query parameters, and equal ones alike. None are "".
func (f Filters) Encode() string { return url.Values(f.Canonical()).Encode() }

// DecodeFilters reads what Encode has spelled.
func DecodeFilters(text string) (Filters, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, fmt.Errorf("read filters %q: %w", text, err)
	}
	return Filters(values), nil
}
