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

Everything is optional: without a file there is one organization, named ` + "`default`" + `, whose admin key is in
` + "`$OPENAI_ADMIN_KEY`" + `. A file is named with ` + "`--config.file`" + `; ` + "`--config.check`" + ` checks it, names every problem with its line, and ends.

The configuration is strict. An unknown key, a value of the wrong type, a duplicate or a dimension that an endpoint does
not know is refused. The file is read again on SIGHUP and, with ` + "`--web.enable-lifecycle`" + `, on ` + "`POST /-/reload`" + `; if it has a
problem, what ran goes on running.

Durations are written as in Prometheus (` + "`90s`, `15m`, `72h`, `1d`" + `). Relative paths start at the folder of the file. An admin
key is never written into the file.
`

const filtering = `
A filter is a list of values, of which any may match; ` + "`batch`" + ` is ` + "`true` or `false`" + `. The projects are chosen for a whole organization, by
` + "`organizations[].project_ids`" + `.

**When to filter at the API, and when in Prometheus.** Filter at the API what must not be read at all: projects of somebody else's, of which this
exporter should know nothing, or usage so large that nobody wants its series. What is filtered out was never counted and can't be had back. Everything else is
better filtered in Prometheus, where the same series answer other questions: ` + "`sum(openai_cost_usd_total{project_id=\"proj_abc\"})`" + `. Budgets and forecasts compare
the bill with usage, so filters other than by project make them inexact, of which ` + "`--config.check`" + ` warns. With ` + "`project_ids`" + `, the sum over an organization is the
sum over these projects, and OpenAI's spend limit of the whole organization has no amount to compare it with.

A changed filter asks for other usage: the endpoint starts afresh from a baseline, as after a changed ` + "`group_by`" + `, and counters go on from where they stand.
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
	b.WriteString("\nThe endpoints, what each can be grouped and filtered by, and what holds for it by default:\n\n" +
		"| endpoint | dimensions | filters | group_by | bucket_width | interval | lookback |\n|---|---|---|---|---|---|---|\n")
	for _, set := range Default().Endpoints() {
		filters := ""
		if own := ownFilters(set.Endpoint); len(own) > 0 {
			filters = code(own)
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | `%s` | `%s` | `%s` |\n", set.Endpoint.Name, code(dimensions(set.Endpoint)), filters, code(set.GroupBy),
			set.Width.Name, formatDuration(set.Interval), formatDuration(set.Lookback))
	}
	b.WriteString("\n`" + api.Costs + "` is configured apart, under `costs`.\n" + filtering)
}

func code(words []string) string { return "`" + strings.Join(words, "`, `") + "`" }
