package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Warnings says what is allowed but probably not meant, as the machine is now. A key that is not there yet is among
// it: secrets may be mounted later than the configuration is checked.
func (v *Valid) Warnings() []string {
	var out []string
	for i, o := range v.config.Organizations {
		warn := func(format string, args ...any) {
			out = append(out, fmt.Sprintf("organization %q: ", o.Name)+fmt.Sprintf(format, args...))
		}
		if text := o.Key.warning(); text != "" {
			warn("%s", text)
		}
		if u, err := url.Parse(o.BaseURL); err == nil && u.Scheme == "http" && !loopback(u.Hostname()) {
			warn("base_url %s is not encrypted: anyone between the exporter and the API can read the admin key; use https", o.BaseURL)
		}
		if u, err := url.Parse(o.BaseURL); err == nil && openAI(u.Hostname()) && strings.Trim(u.Path, "/") == "" {
			out = append(out, v.warnAt(fmt.Sprintf("organizations[%d].base_url", i),
				"organization %q: base_url %s has no version, so OpenAI answers 404: write %s", o.Name, o.BaseURL, strings.TrimRight(o.BaseURL, "/")+"/v1"))
		}
		if o.HTTP.at().TLSConfig.InsecureSkipVerify {
			warn("http.tls_config.insecure_skip_verify accepts any certificate: anyone between the exporter and the API can read the admin key; use ca_file")
		}
	}
	out = append(out, v.sharedKeys()...)
	out = append(out, v.filterWarnings()...)
	if !v.config.Costs.Enabled {
		for i, b := range v.config.Budgets {
			out = append(out, v.warnAt(fmt.Sprintf("budgets[%d]", i),
				"budget %q: costs.enabled is false, so the budget sees no spending and never alerts: enable the costs or remove the budget", b.Name))
		}
	}
	if file := v.config.Pricing.File; file != "" {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			out = append(out, fmt.Sprintf("pricing.file %s does not exist", file))
		}
	}
	return out
}

// warnAt names the file and the line of a path in front of a warning.
func (v *Valid) warnAt(path, format string, args ...any) string {
	s := v.config.source
	return Problem{File: s.file, Line: s.line(path), Message: fmt.Sprintf(format, args...)}.String()
}

// sharedKeys finds organizations that have the key of an earlier one: both would count the same usage.
func (v *Valid) sharedKeys() []string {
	var out []string
	organizations := v.config.Organizations
	keys := make([]Secret, len(organizations))
	for i, o := range organizations {
		keys[i] = o.Key.peek()
		for j, earlier := range organizations[:i] {
			samePlace := o.Key.Env == earlier.Key.Env && cleanPath(o.Key.File) == cleanPath(earlier.Key.File)
			if !samePlace && (keys[i].IsZero() || !keys[i].Equal(keys[j])) {
				continue
			}
			setting := "api_key_env"
			if o.Key.File != "" {
				setting = "api_key_file"
			}
			out = append(out, v.warnAt(fmt.Sprintf("organizations[%d].%s", i, setting),
				"organization %q: has the key of organization %q, so the same usage and costs are counted twice: give each its own key", o.Name, earlier.Name))
			break
		}
	}
	return out
}

// peek reads the key to compare it. It is empty where there is none yet; a pipe is not opened, since that could block.
func (s KeySource) peek() Secret {
	if s.File != "" {
		if info, err := os.Stat(s.File); err != nil || !info.Mode().IsRegular() {
			return Secret{}
		}
	}
	key, err := s.Read()
	if err != nil {
		return Secret{}
	}
	return key
}

func cleanPath(path string) string {
	if path == "" {
		return ""
	}
	return filepath.Clean(path)
}

// openAI says whether a host is OpenAI's own API, of any region.
func openAI(host string) bool {
	host = strings.ToLower(host)
	return host == "api.openai.com" || strings.HasSuffix(host, ".api.openai.com")
}

// warning says what is wrong with the place of a key without reading it.
func (s KeySource) warning() string {
	if s.File == "" {
		if _, ok := os.LookupEnv(s.Env); !ok {
			return s.String() + " is not set"
		}
		return ""
	}
	info, err := os.Stat(s.File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s.String() + " does not exist yet"
	case err != nil:
		return s.unreadable(err).Error()
	case !info.Mode().IsRegular():
		return s.irregular().Error()
	case info.Mode().Perm()&0o004 != 0 && runtime.GOOS != "windows":
		return s.String() + " can be read by every user of this machine: chmod o-r, or defaultMode 0440 where Kubernetes mounts it"
	}
	return ""
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") || strings.HasSuffix(strings.ToLower(host), ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
