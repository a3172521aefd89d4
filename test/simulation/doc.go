// Package simulation lives through weeks of the whole program in seconds. Everything is in its tests. It is a module of
// its own, so that the parsers of Prometheus are no dependencies of the exporter.
package simulation
