// Package foundation decodes our dashboards strictly, with the types that Grafana generates from its own schemas.
package foundation
