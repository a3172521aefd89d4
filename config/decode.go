package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// section reads a mapping into the section that target points to. Whatever can be read is read, and everything else
// noted, so that one run shows every problem.
func (s *source) section(n *yaml.Node, path string, keys []key, target any) {
	s.each(n, path, func(name *yaml.Node, value *yaml.Node) {
		i := slices.IndexFunc(keys, func(k key) bool { return k.name == name.Value })
		if i < 0 {
			s.unknown(name, path, keys)
			return
		}
		k := &keys[i]
		full := join(path, k.name)
		s.lines[full] = name.Line
		switch k.shape {
		case mapping:
			s.section(value, full, k.keys, k.at(target))
		case list:
			s.list(value, full, k, k.at(target))
		case named:
			s.named(value, full, k, k.at(target))
		default:
			s.scalar(value, full, k, k.at(target))
		}
	})
}

// each calls read for every key of a mapping that is written once. An empty section is like none.
func (s *source) each(n *yaml.Node, path string, read func(name, value *yaml.Node)) {
	n = resolve(n)
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		if path == "" {
			s.at(n.Line, "the configuration must be a section of keys, not %s", describe(n, true))
			return
		}
		s.unreadable(path, n.Line, "must be a section of keys, not %s", describe(n, true))
		return
	}
	first := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := resolve(n.Content[i])
		switch line, twice := first[name.Value]; {
		case name.Kind != yaml.ScalarNode:
			s.at(name.Line, "%sa key must be a string, not %s", prefix(path), describe(name, true))
		case name.ShortTag() == "!!merge":
			s.at(name.Line, "%smerge keys are not supported: write the keys out", prefix(path))
		case twice:
			s.at(name.Line, "%sis already set in line %d", prefix(join(path, shorten(name.Value))), line)
		default:
			first[name.Value] = name.Line
			read(name, n.Content[i+1])
		}
	}
}

// list reads a list of sections into the slice that target points to.
func (s *source) list(n *yaml.Node, path string, k *key, target any) {
	n = resolve(n)
	if isNull(n) {
		return
	}
	if n.Kind != yaml.SequenceNode {
		s.unreadable(path, n.Line, "must be a list of sections, not %s", describe(n, true))
		return
	}
	out := reflect.ValueOf(target).Elem()
	if len(n.Content) == 0 && path == "organizations" {
		s.unreadable(path, n.Line, "is empty: name an organization, or delete the line to use $%s", DefaultKeyEnv)
		return
	}
	for i, item := range n.Content {
		one := fmt.Sprintf("%s[%d]", path, i)
		s.lines[one] = item.Line
		fresh := k.fresh()
		s.section(item, one, k.keys, fresh)
		out.Set(reflect.Append(out, reflect.ValueOf(fresh).Elem()))
	}
}

// named reads the overrides of endpoints. What the defaults say about an endpoint stays where the file says nothing.
func (s *source) named(n *yaml.Node, path string, k *key, target any) {
	endpoints := target.(*map[string]Endpoint)
	s.each(n, path, func(name, value *yaml.Node) {
		full := join(path, name.Value)
		if name.Value == api.Costs {
			s.at(name.Line, "%s: costs is not a usage endpoint: configure it under costs", full)
			return
		}
		if e, ok := api.Find(name.Value); !ok || e.IsCosts() {
			s.at(name.Line, "%s: unknown endpoint %q%s", path, shorten(name.Value), allowed(name.Value, usageEndpoints()))
			return
		}
		s.lines[full] = name.Line
		e := (*endpoints)[name.Value]
		s.section(value, full, k.keys, &e)
		(*endpoints)[name.Value] = e
	})
}

// unknown notes a key that the section does not have.
func (s *source) unknown(name *yaml.Node, path string, keys []key) {
	if hint := hint(path, name.Value); hint != "" {
		s.at(name.Line, "%s: %s", join(path, name.Value), hint)
		return
	}
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	s.at(name.Line, "%sunknown key %q%s", prefix(path), shorten(name.Value), allowed(name.Value, names))
}

// hint says what to do instead of a key that people expect.
func hint(path, name string) string {
	if strings.HasSuffix(path, ".http") {
		switch name {
		case "basic_auth", "authorization", "oauth2", "bearer_token", "bearer_token_file", "http_headers":
			return "requests are authorized only with the admin key: set api_key_file or api_key_env"
		}
	}
	if strings.HasPrefix(path, "organizations[") && strings.HasSuffix(path, "]") {
		switch name {
		case "api_key", "admin_key", "key", "token", "secret", "credentials":
			return "a key is never written into the configuration: put it into a file and name that in api_key_file, or use api_key_env"
		}
	}
	return ""
}

func usageEndpoints() []string {
	var names []string
	for i := range api.Endpoints {
		if !api.Endpoints[i].IsCosts() {
			names = append(names, api.Endpoints[i].Name)
		}
	}
	return names
}

// resolve follows aliases to what they stand for.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// describe says what was written instead of what is expected.
func describe(n *yaml.Node, opaque bool) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a section"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case isNull(n):
		return "nothing"
	case opaque:
		return "a single value"
	}
	return fmt.Sprintf("%q", shorten(n.Value))
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func prefix(path string) string {
	if path == "" {
		return ""
	}
	return path + ": "
}

// shorten keeps a message on a line whatever was written.
func shorten(text string) string {
	const most = 60
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
