// Command schemas writes the JSON schemas by which kubeconform checks manifests: those of Kubernetes' own kinds from its
// OpenAPI document, those of custom kinds from their definitions. The published collections are on the network, and change.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "schemas:", err)
		os.Exit(1)
	}
}

func run(args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("schemas", flag.ContinueOnError)
	flags.SetOutput(stderr)
	swagger := flags.String("swagger", "", "OpenAPI document of Kubernetes")
	definitions := flags.String("crds", "", "directory of custom resource definitions")
	out := flags.String("out", "", "directory to write to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	if err := builtIn(*swagger, *out); err != nil {
		return fmt.Errorf("read %s: %w", *swagger, err)
	}
	return custom(*definitions, *out)
}

type schema = map[string]any

// kind is what a manifest calls itself.
type kind struct{ Group, Version, Kind string }

// write names the file as kubeconform looks for it, with its template {{.ResourceKind}}{{.KindSuffix}}.json.
func (k kind) write(dir string, s schema) error {
	properties, ok := s["properties"].(schema)
	if !ok {
		return errors.New("no properties")
	}
	group, _, _ := strings.Cut(k.Group, ".")
	version := k.Version
	if group != "" {
		version = group + "/" + version
	}
	// A manifest says which it is, and only the name of the file has known so far.
	full := k.Version
	if k.Group != "" {
		full = k.Group + "/" + k.Version
	}
	properties["apiVersion"] = schema{"const": full}
	properties["kind"] = schema{"const": k.Kind}
	s["required"] = []string{"apiVersion", "kind", "metadata"}
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	name := strings.ToLower(k.Kind + "-" + strings.ReplaceAll(version, "/", "-"))
	return os.WriteFile(filepath.Join(dir, name+".json"), b, 0o644)
}

func builtIn(file, dir string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var doc struct{ Definitions map[string]schema }
	if err := json.Unmarshal(b, &doc); err != nil {
		return err
	}
	written := 0
	for name, definition := range doc.Definitions {
		kinds, _ := definition["x-kubernetes-group-version-kind"].([]any)
		// Options and lists belong to many groups, and nobody writes them into a manifest.
		if len(kinds) != 1 {
			continue
		}
		var k kind
		b, err := json.Marshal(kinds[0])
		if err != nil {
			return err
		}
		if err := json.Unmarshal(b, &k); err != nil {
			return err
		}
		whole, _ := inline(doc.Definitions, name, nil).(schema)
		if _, ok := whole["properties"].(schema)["metadata"]; !ok {
			continue
		}
		if err := k.write(dir, whole); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		written++
	}
	if written == 0 {
		return errors.New("no kinds in it")
	}
	return nil
}

// inline resolves references, so that a schema stands alone. Only the schema of schemas refers to itself; there, anything goes.
func inline(all map[string]schema, name string, under []string) any {
	for _, u := range under {
		if u == name {
			return schema{}
		}
	}
	return strict(all[name], func(ref string) any {
		return inline(all, strings.TrimPrefix(ref, "#/definitions/"), append(under, name))
	})
}

// strict refuses properties that nobody knows: a misspelt key is the most common mistake in a manifest, and the API
// server drops it in silence. It also says what OpenAPI leaves to formats.
func strict(node any, resolve func(string) any) any {
	switch n := node.(type) {
	case []any:
		list := make([]any, len(n))
		for i, v := range n {
			list[i] = strict(v, resolve)
		}
		return list
	case schema:
		if ref, ok := n["$ref"].(string); ok {
			return resolve(ref)
		}
		if n["format"] == "int-or-string" || n["x-kubernetes-int-or-string"] == true {
			return schema{"type": []string{"integer", "string"}}
		}
		if text, _ := n["description"].(string); strings.HasPrefix(text, "Quantity is a fixed-point representation") {
			return schema{"type": []string{"integer", "number", "string"}}
		}
		whole := schema{}
		for k, v := range n {
			switch k {
			case "description", "format", "default":
				// A property may have such a name, and then it is a schema.
				if _, is := v.(schema); is {
					whole[k] = strict(v, resolve)
				}
			case "enum", "required":
				whole[k] = v
			default:
				if !strings.HasPrefix(k, "x-") {
					whole[k] = strict(v, resolve)
				}
			}
		}
		if _, has := n["properties"].(schema); has && n["type"] == "object" && n["additionalProperties"] == nil && n["x-kubernetes-preserve-unknown-fields"] != true {
			whole["additionalProperties"] = false
		}
		return whole
	default:
		return node
	}
}

func custom(from, dir string) error {
	files, err := filepath.Glob(filepath.Join(from, "*.yaml"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no definitions in %s", from)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		var crd struct {
			Spec struct {
				Group string
				Names struct{ Kind string }
				// The versions of a kind, each with its schema.
				Versions []struct {
					Name   string
					Schema struct {
						OpenAPI schema `yaml:"openAPIV3Schema"`
					}
				}
			}
		}
		if err := yaml.Unmarshal(b, &crd); err != nil {
			return fmt.Errorf("read %s: %w", f, err)
		}
		for _, v := range crd.Spec.Versions {
			whole, _ := strict(maps.Clone(v.Schema.OpenAPI), nil).(schema)
			// What every object has, the definition of a custom one does not repeat.
			whole["properties"].(schema)["metadata"] = schema{"type": "object"}
			if err := (kind{crd.Spec.Group, v.Name, crd.Spec.Names.Kind}).write(dir, whole); err != nil {
				return fmt.Errorf("write %s: %w", f, err)
			}
		}
	}
	return nil
}
