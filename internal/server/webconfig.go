package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/bcrypt"
)

// atLine is how the toolkit's parser names a line.
var atLine = regexp.MustCompile(`^\s*(?:yaml: )?line (\d+): (.*)`)

// checkWebConfig says what is wrong with a web configuration, each problem with its line. The toolkit names lines only of
// what is no YAML or no key of it, and gives up at the first password.
func checkWebConfig(path string) error {
	err := web.Validate(path)
	if err == nil {
		return nil
	}
	var problems []error
	say := func(line int, message string) {
		problems = append(problems, fmt.Errorf("read web configuration %s:%d: %s", path, line, message))
	}
	for text := range strings.Lines(err.Error()) {
		if m := atLine.FindStringSubmatch(strings.TrimSuffix(text, "\n")); m != nil {
			line, _ := strconv.Atoi(m[1]) // It is digits.
			say(line, m[2])
		}
	}
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	content, readErr := os.ReadFile(path)
	if failed := (*fs.PathError)(nil); errors.As(readErr, &failed) {
		return fmt.Errorf("read web configuration %s: %w: set --web.config.file to a file that exists and can be read", path, failed.Err)
	}
	var file yaml.Node
	if readErr != nil || yaml.Unmarshal(content, &file) != nil || len(file.Content) == 0 {
		return fmt.Errorf("read web configuration %s: %w", path, err)
	}
	_, users := section(file.Content[0], "basic_auth_users")
	for i := 0; users != nil && i+1 < len(users.Content); i += 2 {
		user, hash := users.Content[i], users.Content[i+1]
		if _, err := bcrypt.Cost([]byte(hash.Value)); err != nil {
			say(user.Line, fmt.Sprintf("basic_auth_users: the password of %s is no bcrypt hash: make one, such as with htpasswd -nBC 10 %s", user.Value, user.Value))
		}
	}
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	name := "tls_server_config"
	if strings.Contains(err.Error(), "HTTP header") || strings.HasPrefix(err.Error(), "invalid value for ") {
		name = "http_server_config"
	}
	if key, _ := section(file.Content[0], name); key != nil {
		say(key.Line, name+": "+err.Error())
		return problems[0]
	}
	return fmt.Errorf("read web configuration %s: %w", path, err)
}

// Scheme is how a server with this web configuration is asked: https where it has a certificate. The toolkit says so only to
// those who connect.
func Scheme(path string) string {
	content, err := os.ReadFile(path)
	var file struct {
		TLS struct {
			File string `yaml:"cert_file"`
			Text string `yaml:"cert"`
		} `yaml:"tls_server_config"`
	}
	if err == nil && yaml.Unmarshal(content, &file) == nil && file.TLS.File+file.TLS.Text != "" {
		return "https"
	}
	return "http"
}

// section finds a key of a mapping and its value.
func section(parent *yaml.Node, name string) (key, value *yaml.Node) {
	for i := 0; i+1 < len(parent.Content); i += 2 {
		if parent.Content[i].Value == name {
			return parent.Content[i], parent.Content[i+1]
		}
	}
	return nil, nil
}
