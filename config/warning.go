package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"runtime"
	"strings"
)

// Warnings says what is allowed but probably not meant, as the machine is now. A key that is not there yet is among
// it: secrets may be mounted later than the configuration is checked.
func (v *Valid) Warnings() []string {
	var out []string
	for _, o := range v.config.Organizations {
		warn := func(format string, args ...any) {
			out = append(out, fmt.Sprintf("organization %q: ", o.Name)+fmt.Sprintf(format, args...))
		}
		if text := o.Key.warning(); text != "" {
			warn("%s", text)
		}
		if u, err := url.Parse(o.BaseURL); err == nil && u.Scheme == "http" && !loopback(u.Hostname()) {
			warn("base_url %s is not encrypted: whoever is in between can read the admin key; use https", o.BaseURL)
		}
		if o.HTTP.at().TLSConfig.InsecureSkipVerify {
			warn("http.tls_config.insecure_skip_verify accepts any certificate: whoever is in between can read the admin key; use ca_file")
		}
	}
	if file := v.config.Pricing.File; file != "" {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			out = append(out, fmt.Sprintf("pricing.file %s does not exist", file))
		}
	}
	return out
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
