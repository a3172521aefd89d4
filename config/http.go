package config

import (
	"maps"
	"reflect"
	"slices"

	promconfig "github.com/prometheus/common/config"
)

// HTTP is how an organization's API is reached. What it holds may be secret in a type that prints it, so it holds a
// pointer to a pointer: by reflection fmt follows one pointer, but not two. Its zero value is the default.
type HTTP struct{ held **promconfig.HTTPClientConfig }

// NewHTTP takes a copy of the settings.
func NewHTTP(c promconfig.HTTPClientConfig) HTTP {
	c.ProxyConnectHeader = maps.Clone(c.ProxyConnectHeader)
	for name, values := range c.ProxyConnectHeader {
		c.ProxyConnectHeader[name] = slices.Clone(values)
	}
	p := &c
	return HTTP{&p}
}

// Config returns a copy of the settings. It must not be formatted.
func (h HTTP) Config() promconfig.HTTPClientConfig { return **NewHTTP(*h.at()).held }

// Equal says whether both reach the API in the same way.
func (h HTTP) Equal(other HTTP) bool { return reflect.DeepEqual(h.at(), other.at()) }

// at returns the settings themselves, for those who fill and check them.
func (h HTTP) at() *promconfig.HTTPClientConfig {
	if h.held == nil {
		c := promconfig.DefaultHTTPClientConfig
		return &c
	}
	return *h.held
}
