package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-kit/log"
	"go.yaml.in/yaml/v3"

	"github.com/openai-exporter/openai_exporter/config"
	"github.com/openai-exporter/openai_exporter/internal/logging"
)

// Every secret of secretFile contains this.
const needle = "hunter2"

const secretFile = `
organizations:
  - name: acme
    api_key_env: SOME_KEY
    http:
      proxy_url: http://hunter2user:hunter2@proxy.example.com
      proxy_connect_header: {Proxy-Authorization: [Basic hunter2, Other hunter2]}
      tls_config: {cert_file: client.pem, key: hunter2}
`

// shown returns a thing under every verb and every encoder that code is likely to reach for.
func shown(t *testing.T, thing any) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%f", "%p", "%10.3s", "%#q", "%T"} {
		out[verb] = fmt.Sprintf(verb, thing)
	}
	out["Sprint"] = fmt.Sprint(thing)
	out["Errorf"] = fmt.Errorf("read key %v", thing).Error()
	if text, err := json.Marshal(thing); err == nil {
		out["JSON"] = string(text)
	}
	if text, err := yaml.Marshal(thing); err == nil {
		out["YAML"] = string(text)
	}
	for _, format := range logging.Formats {
		var b bytes.Buffer
		logger, slogger, err := logging.New(&b, "debug", format)
		if err != nil {
			t.Fatal(err)
		}
		_ = logger.Log("thing", thing)
		slogger.Info("Shown", "thing", thing)
		out["loggers "+format] = b.String()
	}
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("Shown", "thing", thing)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("Shown", "thing", thing)
	_ = log.NewLogfmtLogger(&b).Log("thing", log.Valuer(func() any { return thing }))
	out["other loggers"] = b.String()
	return out
}

func TestASecretIsNeverShown(t *testing.T) {
	secret := config.NewSecret(needle)
	if secret.Reveal() != needle {
		t.Fatal("a secret must tell when it is asked")
	}
	type holder struct {
		Public config.Secret
		hidden config.Secret // Printers do not call methods on unexported fields.
	}
	things := map[string]any{
		"secret":            secret,
		"pointer":           &secret,
		"struct":            holder{secret, secret},
		"pointer to struct": &holder{secret, secret},
		"slice":             []config.Secret{secret},
		"map":               map[string]config.Secret{"a": secret},
		"interface":         []any{secret, holder{secret, secret}},
	}
	hex := fmt.Sprintf("%x", needle)
	for name, thing := range things {
		for how, text := range shown(t, thing) {
			if strings.Contains(text, needle) || strings.Contains(strings.ToLower(text), hex) {
				t.Errorf("%s under %s: %s", name, how, text)
			}
		}
	}
}

func TestSecretsAreEqualWhenTheirTextsAre(t *testing.T) {
	if !config.NewSecret("a").Equal(config.NewSecret("a")) || config.NewSecret("a").Equal(config.NewSecret("b")) ||
		!(config.Secret{}).Equal(config.NewSecret("")) || (config.Secret{}).Equal(config.NewSecret("a")) {
		t.Error("secrets do not compare by their texts")
	}
}

func TestAConfigurationNeverShowsItsSecrets(t *testing.T) {
	v, err := config.Parse("secrets.yml", []byte(secretFile))
	if err != nil {
		t.Fatal(err)
	}
	organization := v.Organizations()[0]
	if password, _ := organization.HTTP.Config().ProxyURL.User.Password(); password != needle {
		t.Fatal("the secrets did not arrive")
	}
	type holder struct {
		organization config.Organization
		valid        *config.Valid
	}
	things := map[string]any{
		"valid":                 v,
		"valid value":           *v,
		"organization":          organization,
		"pointer":               &organization,
		"organizations":         v.Organizations(),
		"unexported":            holder{organization, v},
		"pointer to unexported": &holder{organization, v},
		"redacted":              string(v.Redacted()),
		"config":                &config.Config{Organizations: v.Organizations()},
		"config value":          config.Config{Organizations: v.Organizations()},
	}
	hex := fmt.Sprintf("%x", needle)
	for name, thing := range things {
		for how, text := range shown(t, thing) {
			if strings.Contains(text, needle) || strings.Contains(strings.ToLower(text), hex) {
				t.Errorf("%s under %s: %s", name, how, text)
			}
		}
	}
	for _, want := range []string{"http://xxxxx@proxy.example.com", "key: <secret>", "Proxy-Authorization: [<secret>, <secret>]"} {
		if !strings.Contains(string(v.Redacted()), want) {
			t.Errorf("no %q in what holds:\n%s", want, v.Redacted())
		}
	}
}
