// Package faults does to the real binary what networks, APIs, scrapers and strangers do, and holds it to its promises
// all the while. It is a module of its own, so that the proxy that spoils connections and the parsers of Prometheus are
// no dependencies of the exporter.
package faults
