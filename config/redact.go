package config

import (
	"bytes"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"time"

	promconfig "github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// Redacted returns the configuration that holds, as YAML with every default and every endpoint written out and every
// secret replaced. Where nothing was secret it is itself a configuration that comes to the same.
func (v *Valid) Redacted() []byte {
	c := v.config.clone()
	endpoints := make(map[string]Endpoint)
	for _, set := range v.Endpoints() {
		if set.Endpoint.IsCosts() {
			c.Costs.GroupBy, c.Costs.Filters = set.GroupBy, set.Filters
			continue
		}
		enabled := set.Enabled
		endpoints[set.Endpoint.Name] = Endpoint{
			Enabled:     &enabled,
			Interval:    set.Interval,
			BucketWidth: set.Width.Name,
			Lookback:    set.Lookback,
			GroupBy:     append([]string{}, set.GroupBy...), // Never nil, which would inherit.
			Filters:     set.Filters,
		}
	}
	c.Usage.Endpoints = endpoints
	return encode(c)
}

// encode writes a configuration in the order of the table.
func encode(c *Config) []byte {
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	// Writing nodes of texts into a buffer has nothing to fail at.
	_ = encoder.Encode(sectionNode(table(), c, false))
	_ = encoder.Close()
	return b.Bytes()
}

// sectionNode writes the keys of a section, without the zero values of one whose zero values inherit.
func sectionNode(keys []key, section any, inherits bool) *yaml.Node {
	out := &yaml.Node{Kind: yaml.MappingNode}
	for i := range keys {
		k := &keys[i]
		if inherits && reflect.ValueOf(k.at(section)).Elem().IsZero() {
			continue
		}
		var value *yaml.Node
		switch field := k.at(section); k.shape {
		case mapping:
			value = sectionNode(k.keys, field, false)
		case list:
			value = listNode(k, field)
		case named:
			value = namedNode(k, field)
		default:
			value = valueNode(field)
		}
		if value == nil || value.Kind == yaml.MappingNode && len(value.Content) == 0 {
			continue
		}
		out.Content = append(out.Content, textNode(k.name), value)
	}
	return out
}

func listNode(k *key, field any) *yaml.Node {
	items := reflect.ValueOf(field).Elem()
	if items.Len() == 0 {
		return nil
	}
	out := &yaml.Node{Kind: yaml.SequenceNode}
	for i := range items.Len() {
		out.Content = append(out.Content, sectionNode(k.keys, items.Index(i).Addr().Interface(), false))
	}
	return out
}

func namedNode(k *key, field any) *yaml.Node {
	endpoints := *field.(*map[string]Endpoint)
	out := &yaml.Node{Kind: yaml.MappingNode}
	for _, name := range usageEndpoints() {
		if e, ok := endpoints[name]; ok {
			out.Content = append(out.Content, textNode(name), sectionNode(k.keys, &e, true))
		}
	}
	return out
}

// valueNode writes a value, or returns nil for one that was not set and has no default to show.
func valueNode(field any) *yaml.Node {
	switch v := field.(type) {
	case *string:
		if *v == "" {
			return nil
		}
		return textNode(*v)
	case *[]string:
		if *v == nil {
			return nil
		}
		return textsNode(*v)
	case *bool:
		return plainNode(strconv.FormatBool(*v))
	case **bool:
		if *v == nil {
			return nil
		}
		return plainNode(strconv.FormatBool(**v))
	case *int:
		return plainNode(strconv.Itoa(*v))
	case *float64:
		if *v == 0 {
			return nil
		}
		return plainNode(strconv.FormatFloat(*v, 'f', -1, 64))
	case *time.Duration:
		return plainNode(formatDuration(*v))
	case *time.Time:
		if v.IsZero() {
			return nil
		}
		return plainNode(v.Format(time.DateOnly))
	case *Start:
		return plainNode(v.String())
	case *promconfig.URL:
		if v.URL == nil {
			return nil
		}
		return textNode(withoutUser(v.URL))
	case *promconfig.TLSVersion:
		if *v == 0 {
			return nil
		}
		return plainNode(v.String())
	case *promconfig.Secret:
		if *v == "" {
			return nil
		}
		return textNode(hidden)
	case *api.Filters:
		return filtersNode(*v)
	case *Labels:
		return labelsNode(*v)
	case *promconfig.ProxyHeader:
		return headerNode(*v)
	}
	return nil
}

func headerNode(h promconfig.ProxyHeader) *yaml.Node {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	out := &yaml.Node{Kind: yaml.MappingNode}
	for _, name := range names {
		out.Content = append(out.Content, textNode(name), textsNode(slices.Repeat([]string{hidden}, len(h[name]))))
	}
	return out
}

// withoutUser hides the whole of the user: proxies take tokens there, with or without a password.
func withoutUser(u *url.URL) string {
	out := *u
	if out.User != nil {
		out.User = url.User("xxxxx")
	}
	return out.String()
}

func textsNode(texts []string) *yaml.Node {
	out := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, t := range texts {
		out.Content = append(out.Content, textNode(t))
	}
	return out
}

// textNode quotes a text where it would read as something else.
func textNode(text string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(text)
	return n
}

func plainNode(text string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: text} }
