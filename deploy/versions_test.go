package deploy_test

import (
	"regexp"
	"strings"
	"testing"
)

func TestPinnedVersionsAgree(t *testing.T) {
	find := func(file, pattern string) string {
		t.Helper()
		m := regexp.MustCompile(pattern).FindStringSubmatch(read(t, file))
		if m == nil {
			t.Fatalf("%s: nothing matches %s", file, pattern)
		}
		return m[1]
	}
	goVersion := find("go.mod", `(?m)^go (\d+\.\d+)`)
	for _, c := range []struct{ file, pattern string }{
		{"Dockerfile", `golang:(\d+\.\d+)`},
		{"README.md", `\(https://go\.dev/dl/\) (\d+\.\d+)`},
		{"CONTRIBUTING.md", `You need Go (\d+\.\d+)`},
		{"tools/prometheus/go.mod", `(?m)^go (\d+\.\d+)`},
		{"tools/prometheus-before/go.mod", `(?m)^go (\d+\.\d+)`},
	} {
		if got := find(c.file, c.pattern); got != goVersion {
			t.Errorf("%s is about Go %s, go.mod about %s", c.file, got, goVersion)
		}
	}
	for image, want := range map[string]string{"prom/prometheus": find("Makefile", `PROMETHEUS_VERSION\s*:= (\S+)`), "prom/alertmanager": find("Makefile", `ALERTMANAGER_VERSION\s*:= (\S+)`)} {
		if got := find("deploy/compose/compose.yml", image+`:v(\S+)`); got != want {
			t.Errorf("compose.yml has %s %s, the tests run %s", image, got, want)
		}
	}
	// Prometheus 3.15.0 is the module version v0.315.0.
	for variable, dir := range map[string]string{"PROMETHEUS_VERSION": "tools/prometheus", "PROMETHEUS_BEFORE": "tools/prometheus-before"} {
		release := find("Makefile", variable+`\s*:= (\S+)`)
		module := find(dir+"/go.mod", `github\.com/prometheus/prometheus v(\S+)`)
		parts := strings.Split(release, ".")
		if len(parts[1]) == 1 {
			parts[1] = "0" + parts[1]
		}
		if want := "0." + parts[0] + parts[1] + "." + parts[2]; module != want {
			t.Errorf("%s has module %s, Prometheus %s is %s", dir, module, release, want)
		}
	}
	if got, want := find("tools/victoriametrics/go.mod", `github\.com/VictoriaMetrics/VictoriaMetrics v(\S+)`), find("Makefile", `VICTORIAMETRICS_VERSION\s*:= (\S+)`); got != want {
		t.Errorf("tools/victoriametrics has VictoriaMetrics %s, the Makefile %s", got, want)
	}
	if got, want := find("tools/thanos/go.mod", `github\.com/thanos-io/thanos v(\S+)`), find("Makefile", `THANOS_VERSION\s*:= (\S+)`); got != want {
		t.Errorf("tools/thanos has Thanos %s, the Makefile %s", got, want)
	}
	if v := strings.TrimSpace(read(t, "VERSION")); !regexp.MustCompile(`^\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?$`).MatchString(v) {
		t.Errorf("VERSION holds %q, want a semantic version", v)
	}
}

// The paths that the documents promise are the ones that image and unit use.
func TestImageAndUnitKeepTheStateWhereTheDocumentsSay(t *testing.T) {
	image := read(t, "Dockerfile")
	for _, want := range []string{"USER 65532:65532", "EXPOSE 10095", `VOLUME ["/data"]`, "\nWORKDIR /\n", `ENTRYPOINT ["/bin/openai_exporter"]`} {
		if !strings.Contains(image, want) {
			t.Errorf("Dockerfile lacks %s", want)
		}
	}
	// The image gives no flag, so that commands and --demo work in it: the volume is the default in its working directory.
	if serve := read(t, "internal/command/serve.go"); !regexp.MustCompile(`Flag\("storage\.path".*\.Default\("data"\)`).MatchString(serve) {
		t.Error("the state's default directory is not data, and so not the image's volume")
	}
	unit := read(t, "deploy/systemd/openai_exporter.service")
	for _, want := range []string{"--storage.path=/var/lib/openai_exporter", "StateDirectory=openai_exporter", "ExecReload=/bin/kill -HUP $MAINPID"} {
		if !strings.Contains(unit, want) {
			t.Errorf("openai_exporter.service lacks %s", want)
		}
	}
}
