//go:build !race

package simulation_test

import (
	"flag"
	"os"
	"runtime"
	"testing"
)

// TestMain leaves out the profile of memory where nobody asks for it: it takes more than a hundredth of the time.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.memprofile"); f == nil || f.Value.String() == "" {
		runtime.MemProfileRate = 0
	}
	os.Exit(m.Run())
}
