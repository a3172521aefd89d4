package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxSize is far above any configuration; what is larger was named by mistake.
const maxSize = 1 << 20

// Load reads and validates the file. Relative paths in it start at its folder.
func Load(path string) (*Valid, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w: set --config.file to a file that exists and can be read, or leave it out if $%s is all you need to set", err, DefaultKeyEnv)
	}
	return Parse(path, data)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxSize+1))
}

// Parse validates the text of a file of that name. The error is a Problems that holds everything that is wrong.
func Parse(name string, data []byte) (*Valid, error) {
	s := newSource(name)
	c := defaults()
	c.source = s
	if root := s.document(data); root != nil {
		s.section(root, "", table(), c)
	}
	c.setDirectory(filepath.Dir(name))
	return c.Validate()
}

// The parser says where it stumbled in its own words. What its grammar expects it counts from line 0, what its scanner
// finds from 1, and of an unknown anchor it names no line.
var (
	yamlLine        = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)
	countedFromZero = regexp.MustCompile(`^did not find expected (key|node content|',' or '[\]}]'|'-' indicator|<document start>)$`)
	unknownAnchor   = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
)

// document returns the root of the one document that the text may hold, or nil when there is nothing to read.
func (s *source) document(data []byte) *yaml.Node {
	if len(data) > maxSize {
		s.at(0, "larger than %d bytes: this is not a configuration", maxSize)
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var root, more yaml.Node
	switch err := decoder.Decode(&root); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		s.syntax(err, data)
		return nil
	}
	switch err := decoder.Decode(&more); {
	case err == nil:
		s.at(more.Line, "a second YAML document: the configuration must be a single one")
	case !errors.Is(err, io.EOF):
		s.syntax(err, data)
	}
	if root.Kind != yaml.DocumentNode || len(root.Content) == 0 {
		return nil
	}
	return root.Content[0]
}

// syntax notes where the parser stumbled.
func (s *source) syntax(err error, data []byte) {
	message := strings.ReplaceAll(err.Error(), "\n", " ")
	m := yamlLine.FindStringSubmatch(message)
	message = strings.TrimPrefix(message, m[0])
	line := 1
	if m[1] != "" {
		line, _ = strconv.Atoi(m[1])
	}
	if countedFromZero.MatchString(message) {
		line++
	}
	if m := unknownAnchor.FindStringSubmatch(message); m != nil {
		before, _, _ := bytes.Cut(data, []byte("*"+m[1]))
		line = 1 + bytes.Count(before, []byte("\n"))
	}
	s.at(line, "not valid YAML: %s", message)
}

// setDirectory lets relative paths start at the folder of the file, as Prometheus does.
func (c *Config) setDirectory(dir string) {
	for i := range c.Organizations {
		o := &c.Organizations[i]
		o.Key.File = joinDir(dir, o.Key.File)
		o.HTTP.at().SetDirectory(dir)
	}
	c.Pricing.File = joinDir(dir, c.Pricing.File)
}

func joinDir(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
