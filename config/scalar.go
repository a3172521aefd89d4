package config

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// scalar reads a value into the field that target points to, whose type says what may be written.
func (s *source) scalar(n *yaml.Node, path string, k *key, target any) {
	n = resolve(n)
	if isNull(n) {
		s.unreadable(path, n.Line, "has no value: give it one or delete the line")
		return
	}
	switch target := target.(type) {
	case *[]string:
		if items, ok := s.texts(n, path, k.opaque); ok {
			*target = items
		}
		return
	case *api.Filters:
		s.filters(n, path, target)
		return
	case *Labels:
		s.labels(n, path, target)
		return
	case *promconfig.ProxyHeader:
		s.header(n, path, target)
		return
	}
	if n.Kind != yaml.ScalarNode {
		s.unreadable(path, n.Line, "must be %s, not %s", k.expected(target), describe(n, k.opaque))
		return
	}
	if err := setScalar(n, target); err != nil {
		if errors.Is(err, errType) {
			s.unreadable(path, n.Line, "must be %s, not %s", k.expected(target), describe(n, k.opaque))
			return
		}
		s.unreadable(path, n.Line, "%v", err)
	}
}

// maxDuration keeps sums of durations and times far from overflow.
const maxDuration = 10 * 365 * 24 * time.Hour

// errType means that the value is not of the key's type, and that there is no more to say.
var errType = errors.New("wrong type")

func setScalar(n *yaml.Node, target any) error { //nolint:funlen // One case for each type.
	switch target := target.(type) {
	case *string:
		if n.ShortTag() != "!!str" {
			return errType
		}
		*target = n.Value
	case *promconfig.Secret:
		if n.ShortTag() != "!!str" {
			return errType
		}
		*target = promconfig.Secret(n.Value)
	case *bool:
		return decodeAs(n, target, "!!bool")
	case **bool:
		var b bool
		if err := decodeAs(n, &b, "!!bool"); err != nil {
			return err
		}
		*target = &b
	case *int:
		return decodeAs(n, target, "!!int")
	case *float64:
		var f float64
		if err := decodeAs(n, &f, "!!int", "!!float"); err != nil {
			return err
		}
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return errType
		}
		*target = f
	case *time.Duration:
		d, err := parseDuration(n.Value)
		if err != nil {
			return err
		}
		if d > maxDuration {
			return errors.New("is longer than ten years")
		}
		*target = d
	case *time.Time:
		day, err := time.Parse(time.DateOnly, n.Value)
		if err != nil {
			return errType
		}
		*target = day
	case *Start:
		start, err := ParseStart(n.Value)
		if err != nil {
			return err
		}
		*target = start
	case *promconfig.URL:
		u, err := parseURL(n.Value)
		if err != nil {
			return err
		}
		*target = promconfig.URL{URL: u}
	case *promconfig.TLSVersion:
		version, ok := promconfig.TLSVersions[n.Value]
		if !ok {
			return errType
		}
		*target = version
	default:
		return fmt.Errorf("the table has a field of type %T that nothing reads", target)
	}
	return nil
}

func decodeAs(n *yaml.Node, target any, tags ...string) error {
	if !slices.Contains(tags, n.ShortTag()) || n.Decode(target) != nil {
		return errType
	}
	return nil
}

// expected says what may be written.
func (k *key) expected(target any) string {
	if strings.HasPrefix(k.kind, "`") {
		return strings.ReplaceAll(k.kind, "`", "")
	}
	switch target.(type) {
	case *bool, **bool:
		return "true or false"
	case *int:
		return "a whole number"
	case *float64:
		return "a number"
	case *time.Duration:
		return "a duration such as 90s, 15m or 72h"
	case *time.Time:
		return "a UTC day such as 2026-06-01"
	case *promconfig.URL:
		return "a URL"
	}
	return "a string (in quotes where it looks like something else)"
}

// texts reads a list of strings without repeats.
func (s *source) texts(n *yaml.Node, path string, opaque bool) ([]string, bool) {
	if n.Kind != yaml.SequenceNode {
		s.unreadable(path, n.Line, "must be a list of strings, such as [a, b], not %s", describe(n, opaque))
		return nil, false
	}
	items := make([]string, 0, len(n.Content))
	for i, item := range n.Content {
		one := fmt.Sprintf("%s[%d]", path, i)
		item = resolve(item)
		s.lines[one] = item.Line
		switch {
		case item.Kind != yaml.ScalarNode || item.ShortTag() != "!!str":
			s.unreadable(one, item.Line, "must be a string (in quotes where it looks like something else), not %s", describe(item, opaque))
			s.bad[path] = true
		case item.Value == "":
			s.unreadable(one, item.Line, "is empty")
			s.bad[path] = true
		case !opaque && slices.Contains(items, item.Value):
			s.at(item.Line, "%s: %q is listed twice", path, shorten(item.Value))
		default:
			items = append(items, item.Value)
		}
	}
	return items, !s.bad[path]
}

// header reads lists of values by the name of the header. No value is ever shown.
func (s *source) header(n *yaml.Node, path string, target *promconfig.ProxyHeader) {
	s.each(n, path, func(name, value *yaml.Node) {
		full := join(path, shorten(name.Value))
		s.lines[full] = name.Line
		items, ok := s.texts(resolve(value), full, true)
		if !ok {
			return
		}
		if *target == nil {
			*target = make(promconfig.ProxyHeader)
		}
		for _, item := range items {
			(*target)[name.Value] = append((*target)[name.Value], promconfig.Secret(item))
		}
	})
}

// parseDuration reads durations as Prometheus writes them (1d, 72h) and as Go does (1.5h).
func parseDuration(text string) (time.Duration, error) {
	if d, err := model.ParseDuration(text); err == nil {
		return time.Duration(d), nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		return d, nil
	}
	if text != "" && strings.Trim(text, "0123456789") == "" {
		return 0, fmt.Errorf("%s has no unit: write %ss, %sm or %sh", shorten(text), shorten(text), shorten(text), shorten(text))
	}
	return 0, errType
}

// formatDuration writes a duration without the parts that are zero.
func formatDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// parseURL reads an absolute http or https URL. The error does not show it, since it may hold a password.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("is not a URL")
	case u.Scheme == "":
		return nil, errors.New("must be a complete URL that starts with http:// or https://")
	case u.Host == "":
		return nil, errors.New("has no host")
	}
	return u, nil
}
