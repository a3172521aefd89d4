package crash

import (
	"os"
	"testing"
)

// AckPrefix begins every line of standard output that is an Ack.
const AckPrefix = "ack "

// Watched is for a test that Record starts again as a program of its own: it returns the directory that the variable
// names, and a function that says to Record what is durable by now. In a run that nobody watches, the directory is a
// temporary one.
func Watched(t *testing.T, variable string) (dir string, ack func(string)) {
	t.Helper()
	if dir = os.Getenv(variable); dir == "" {
		return t.TempDir(), func(string) {}
	}
	return dir, func(s string) {
		if _, err := os.Stdout.WriteString(AckPrefix + s + "\n"); err != nil {
			t.Fatal(err)
		}
	}
}
