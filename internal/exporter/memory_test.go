package exporter

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"strings"
	"testing"
)

func TestTheMemoryLimitOfTheCgroupIsRespectedUnlessGOMEMLIMITIsSet(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	container := func() (uint64, error) { return 10 << 30, nil }
	for _, tc := range []struct {
		env    string
		cgroup func() (uint64, error)
		want   int64
		said   int
	}{
		{"", container, 9 << 30, 1},
		{"", func() (uint64, error) { return 0, errors.New("no cgroup") }, before, 0},
		{"", func() (uint64, error) { return math.MaxUint64, nil }, before, 0},
		{"123MiB", container, before, 1}, // Go itself has read it.
	} {
		debug.SetMemoryLimit(before)
		t.Setenv("GOMEMLIMIT", tc.env)
		if tc.env == "" {
			if err := os.Unsetenv("GOMEMLIMIT"); err != nil {
				t.Fatal(err)
			}
		}
		var b bytes.Buffer
		if err := limitMemory(slog.New(slog.NewTextHandler(&b, nil)), tc.cgroup); err != nil {
			t.Errorf("GOMEMLIMIT=%q: %v", tc.env, err)
		}
		if got := debug.SetMemoryLimit(-1); got != tc.want || strings.Count(b.String(), "\n") != tc.said {
			t.Errorf("GOMEMLIMIT=%q: the limit is %d, want %d; the log says %q", tc.env, got, tc.want, b.String())
		}
	}
}
