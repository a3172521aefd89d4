// Package parsers holds schemas, and the answers that they describe, against a validator that is not ours.
package parsers
