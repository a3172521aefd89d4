package command

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// A service manager may reload what it has only just started. The configuration is a pipe here, so that the start waits for it.
func TestAHangupWhileTheExporterStartsIsAReload(t *testing.T) {
	_, baseURL := simulate(t, simulator.Options{})
	dir := t.TempDir()
	pipe, key := filepath.Join(dir, "config.yml"), filepath.Join(dir, "key")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, []byte(goodKey), 0o600); err != nil {
		t.Fatal(err)
	}
	// read gives the exporter the configuration as soon as it reads it.
	read := func(meanwhile func()) {
		t.Helper()
		f, err := os.OpenFile(pipe, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		meanwhile()
		if _, err := fmt.Fprintf(f, "organizations: [{name: acme, api_key_file: %s, base_url: %s}]\n", key, baseURL); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	p := execute(t, build(t), "--config.file="+pipe, "--storage.path="+filepath.Join(dir, "data"))
	read(func() {
		if err := syscall.Kill(p.pid, syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	})
	p.ready()
	read(func() {}) // The reload is not lost.
	eventually(t, "the reload", func() bool { return strings.Contains(p.log.String(), "Configuration reloaded") })
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, p.log)
	}
}
