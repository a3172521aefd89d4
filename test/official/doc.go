// Package official checks the simulator from outside: with OpenAI's own client, and against OpenAI's own
// specification. It is a module of its own, so that neither of them is a dependency of the exporter.
package official
