package config

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

const introduction = `# Configuration

<!-- Generated from the table that the parser uses. Do not edit. -->

All settings are optional. Without a file there is one organization, named ` + "`default`" + `, whose admin key is in
` + "`$OPENAI_ADMIN_KEY`" + `. Set the file with ` + "`--config.file`" + `. ` + "`--config.check`" + ` checks it, prints every problem with its line, and exits.

The configuration is strict. It refuses an unknown key, a value of the wrong type, a key that is written twice, and a dimension that an endpoint does
not have. The file is read again on SIGHUP and, with ` + "`--web.enable-lifecycle`" + `, on ` + "`POST /-/reload`" + `. If it has a
problem, the running configuration stays in use.

Durations are written as in Prometheus (` + "`90s`, `15m`, `72h`, `1d`" + `). Relative paths are relative to the directory of the file. An admin
key is never written into the file.
`

const filtering = `
A filter is a list of values. Usage that matches any of them is read; ` + "`batch`" + ` is ` + "`true` or `false`" + `. The projects are chosen for a whole organization, by
` + "`organizations[].project_ids`" + `.

**When to filter at the API, and when in Prometheus.** Filter at the API to exclude usage completely: projects of another owner, which this
exporter must not read, or usage with too many series. Usage that is filtered out is never counted, and can't be restored later. In all other cases
filter in Prometheus, where the same series can answer other questions: ` + "`sum(openai_cost_usd_total{project_id=\"proj_abc\"})`" + `. Budgets and forecasts compare
the bill with usage, so filters other than by project make them inexact, and ` + "`--config.check`" + ` warns. With ` + "`project_ids`" + `, the sum over an organization is the
sum over these projects, so it can't be compared with OpenAI's spend limit of the whole organization.

A changed filter selects other usage: the endpoint starts again from a baseline, as after a changed ` + "`group_by`" + `, and counters continue from their values.
`

// WriteMarkdown writes the documentation of every key.
func WriteMarkdown(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString(introduction)
	keys := table()
	c := defaults()
	for i := range keys {
		k := &keys[i]
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| key | type | default | meaning |\n|---|---|---|---|\n", k.name, k.help)
		writeKeys(&b, "", k, c)
		if k.name == "usage" {
			writeEndpoints(&b)
		}
	}
	fmt.Fprintf(&b, "\n## The defaults, written out\n\n```yaml\n%s```\n", encode(Default().config))
	_, err := w.Write(b.Bytes())
	if err != nil {
		return fmt.Errorf("write documentation: %w", err)
	}
	return nil
}

// writeKeys writes the rows of a section, that of a section within it before its keys.
func writeKeys(b *bytes.Buffer, path string, k *key, section any) {
	path = join(path, k.name)
	target := k.at(section)
	switch k.shape {
	case list:
		path, target = path+"[]", k.fresh()
	case named:
		path, target = path+".<endpoint>", k.fresh()
	case scalar:
		panic("config: a section was expected") // The table's top level has sections only, and the rest is filtered below.
	}
	for i := range k.keys {
		one := &k.keys[i]
		if one.shape != scalar {
			fmt.Fprintf(b, "| `%s` | section | %s | %s |\n", join(path, one.name), one.fallback, one.help)
			writeKeys(b, path, one, target)
			continue
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", join(path, one.name), one.kind, one.fallbackText(target), one.help)
	}
}

// fallbackText is what holds without the key.
func (k *key) fallbackText(section any) string {
	if k.fallback != "" {
		return k.fallback
	}
	n := valueNode(k.at(section))
	switch {
	case n == nil:
		return ""
	case n.Kind == yaml.SequenceNode:
		items := make([]string, len(n.Content))
		for i, item := range n.Content {
			items[i] = item.Value
		}
		return "`[" + strings.Join(items, ", ") + "]`"
	case n.Kind == yaml.MappingNode:
		return ""
	}
	return "`" + n.Value + "`"
}

// writeEndpoints writes what the endpoints can be grouped by and where their defaults differ.
func writeEndpoints(b *bytes.Buffer) {
	b.WriteString("\nThe endpoints, what each can be grouped and filtered by, and its defaults:\n\n" +
		"| endpoint | dimensions | filters | group_by | bucket_width | interval | lookback |\n|---|---|---|---|---|---|---|\n")
	for _, set := range Default().Endpoints() {
		filters := ""
		if own := ownFilters(set.Endpoint); len(own) > 0 {
			filters = code(own)
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | `%s` | `%s` | `%s` |\n", set.Endpoint.Name, code(dimensions(set.Endpoint)), filters, code(set.GroupBy),
			set.Width.Name, formatDuration(set.Interval), formatDuration(set.Lookback))
	}
	b.WriteString("\n`" + api.Costs + "` is configured separately, under `costs`.\n" + filtering)
}

func code(words []string) string { return "`" + strings.Join(words, "`, `") + "`" }
