package process

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Compile compiles the exporter into a directory, as a release is compiled.
func Compile(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "openai_exporter")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "github.com/openai-exporter/openai_exporter")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the exporter: %w\n%s", err, out)
	}
	return binary, nil
}

// Build compiles the exporter for a test.
func Build(t *testing.T) string {
	t.Helper()
	binary, err := Compile(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// Tool finds a program by the variable that `make e2e` sets, or on the PATH.
func Tool(t *testing.T, variable, name string) string {
	t.Helper()
	if path := os.Getenv(variable); path != "" {
		return path
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is needed: run this test by `make e2e`, or name it by $%s: %v", name, variable, err)
	}
	return path
}
