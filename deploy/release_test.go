package deploy_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A tag can be moved to other code, a hash can't.
func TestActionsArePinnedByHash(t *testing.T) {
	uses := regexp.MustCompile(`uses: (\S+)@(\S+)(.*)`)
	pinned := regexp.MustCompile(`^[0-9a-f]{40}$`)
	seen := map[string]string{}
	for _, f := range glob(t, ".github/workflows/*.yml") {
		for _, m := range uses.FindAllStringSubmatch(read(t, f), -1) {
			if !pinned.MatchString(m[2]) || !strings.HasPrefix(m[3], " # v") {
				t.Errorf("%s: %s is at %s, want a hash and its version", f, m[1], m[2]+m[3])
			}
			if other, ok := seen[m[1]]; ok && other != m[2] {
				t.Errorf("%s: %s is at two hashes", f, m[1])
			}
			seen[m[1]] = m[2]
		}
	}
}

func TestWorkflowsMayOnlyReadUnlessAJobSaysOtherwise(t *testing.T) {
	for _, f := range glob(t, ".github/workflows/*.yml") {
		var doc struct {
			Permissions map[string]string
			Jobs        map[string]struct {
				Timeout int `yaml:"timeout-minutes"`
			}
		}
		unmarshal(t, read(t, f), &doc)
		if diff := cmp.Diff(map[string]string{"contents": "read"}, doc.Permissions); diff != "" {
			t.Errorf("%s: permissions (-want +got):\n%s", f, diff)
		}
		for name, job := range doc.Jobs {
			if job.Timeout == 0 {
				t.Errorf("%s: job %s may run for hours", f, name)
			}
		}
	}
}

func TestWorkflowsAndImageUseTheSameGo(t *testing.T) {
	want := regexp.MustCompile(`library/golang:([0-9.]+)`).FindStringSubmatch(read(t, "Dockerfile"))[1]
	for _, f := range glob(t, ".github/workflows/*.yml") {
		for _, m := range regexp.MustCompile(`go-version: (\S+)`).FindAllStringSubmatch(read(t, f), -1) {
			if m[1] != want {
				t.Errorf("%s uses Go %s, the image %s", f, m[1], want)
			}
		}
	}
}

func TestDependenciesOfEveryModuleAreKeptUp(t *testing.T) {
	var doc struct {
		Updates []struct {
			Ecosystem   string `yaml:"package-ecosystem"`
			Directories []string
		}
	}
	unmarshal(t, read(t, ".github/dependabot.yml"), &doc)
	var want []string
	for _, f := range glob(t, "go.mod", "*/*/go.mod") {
		want = append(want, filepath.Join("/", filepath.Dir(f)))
	}
	got := slices.Sorted(slices.Values(doc.Updates[0].Directories))
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("modules (-want +got):\n%s", diff)
	}
}

func TestImageIsBuiltFromPinnedBasesAndChecksItself(t *testing.T) {
	text := read(t, "Dockerfile")
	for _, m := range regexp.MustCompile(`(?m)^FROM (.*)`).FindAllStringSubmatch(text, -1) {
		if !regexp.MustCompile(`:\S+@sha256:[0-9a-f]{64}`).MatchString(m[1]) {
			t.Errorf("the base %s is not pinned by its digest", m[1])
		}
	}
	for _, want := range []string{`CMD ["/bin/openai_exporter", "healthcheck"]`, "org.opencontainers.image.source=", "org.opencontainers.image.version=", "org.opencontainers.image.revision=", "org.opencontainers.image.licenses="} {
		if !strings.Contains(text, want) {
			t.Errorf("Dockerfile lacks %s", want)
		}
	}
}

type releaseConfig struct {
	Builds []struct {
		Flags, Ldflags []string
	}
	Packages []struct {
		Contents []struct{ Src, Dst, Type, Packager string }
		Scripts  map[string]string
	} `yaml:"nfpms"`
	Images []struct {
		ExtraFiles []string `yaml:"extra_files"`
	} `yaml:"dockers_v2"`
}

func release(t *testing.T) releaseConfig {
	t.Helper()
	var doc releaseConfig
	unmarshal(t, read(t, ".goreleaser.yaml"), &doc)
	return doc
}

// The release builds the image in a folder that holds only what is named.
func TestReleaseGivesTheImageEverythingThatIsCompiled(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", `{{if .Module}}{{if .Module.Main}}{{.Dir}}:{{join .GoFiles ","}}{{end}}{{end}}`, ".")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{".dockerignore", "LICENSE", "VERSION", "go.mod", "go.sum"}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		dir, files, _ := strings.Cut(line, ":")
		rel, err := filepath.Rel(top, dir)
		switch {
		case err != nil:
			t.Fatal(err)
		case rel == ".":
			want = append(want, strings.Split(files, ",")...)
		default:
			first, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
			want = append(want, first)
		}
	}
	slices.Sort(want)
	got := slices.Sorted(slices.Values(release(t).Images[0].ExtraFiles))
	if diff := cmp.Diff(slices.Compact(want), got); diff != "" {
		t.Errorf("extra_files of the image (-want +got):\n%s", diff)
	}
}

// From one commit there is one binary, no matter who builds it.
func TestEveryBuildHasTheSameFlags(t *testing.T) {
	build := release(t).Builds[0]
	for _, want := range []string{"-trimpath", "-buildvcs=false"} {
		for _, f := range []string{"Makefile", "Dockerfile"} {
			if !strings.Contains(read(t, f), want) {
				t.Errorf("%s builds without %s", f, want)
			}
		}
		if !slices.Contains(build.Flags, want) {
			t.Errorf("a release is built without %s", want)
		}
	}
	variable := regexp.MustCompile(`-X (\S+?)=`)
	var want []string
	for _, m := range variable.FindAllStringSubmatch(build.Ldflags[0], -1) {
		want = append(want, m[1])
	}
	for f, text := range map[string]string{
		"Dockerfile": read(t, "Dockerfile"),
		"Makefile":   regexp.MustCompile(`(?s)LDFLAGS := (.*?)\n\n`).FindString(read(t, "Makefile")),
	} {
		var got []string
		for _, m := range variable.FindAllStringSubmatch(text, -1) {
			got = append(got, m[1])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("what %s puts into the binary (-release +it):\n%s", f, diff)
		}
	}
}

func TestPackagesRunTheUnitWithTheirConfiguration(t *testing.T) {
	unit := read(t, "deploy/systemd/openai_exporter.service")
	p := release(t).Packages[0]
	installed := map[string]string{}
	for _, c := range p.Contents {
		installed[c.Dst] = c.Type
		if made, ok := strings.CutSuffix(c.Src, ".gz"); ok {
			c.Src = "deploy/packages/" + filepath.Base(made) // A hook packs it.
		}
		if strings.ContainsAny(c.Src, "*") {
			glob(t, c.Src)
		} else {
			glob(t, strings.TrimSuffix(c.Src, "/"))
		}
	}
	for _, s := range p.Scripts {
		glob(t, s)
	}
	const file = "/etc/openai_exporter/openai_exporter.yml"
	if !strings.Contains(unit, "--config.file="+file) || installed[file] != "config|noreplace" {
		t.Errorf("the unit reads another configuration than the package installs, or an upgrade replaces it")
	}
	if !strings.Contains(unit, "ExecStart=/usr/bin/openai_exporter ") {
		t.Error("the unit does not run the binary of the package")
	}
	const credential = "/run/credentials/openai_exporter.service/openai_admin_key"
	if !strings.Contains(unit, "LoadCredential=openai_admin_key:") || !strings.Contains(read(t, "deploy/packages/openai_exporter.yml"), "api_key_file: "+credential) {
		t.Errorf("the configuration does not read the key where systemd hands it over")
	}
}

// TestPackagesSayWhatEveryReleaseChanged: dpkg and rpm read a changelog of their own form.
func TestPackagesSayWhatEveryReleaseChanged(t *testing.T) {
	var entries []struct{ Semver, Date, Packager string }
	unmarshal(t, read(t, "deploy/packages/changelog.yml"), &entries)
	if newest := strings.TrimSpace(read(t, "VERSION")); len(entries) == 0 || entries[0].Semver != newest {
		t.Errorf("the newest entry of deploy/packages/changelog.yml is none for %s", newest)
	}
	maintainer := regexp.MustCompile(`maintainer: (.*)`).FindStringSubmatch(read(t, ".goreleaser.yaml"))[1]
	for _, e := range entries {
		if e.Packager != maintainer || e.Date == "" {
			t.Errorf("%s is by %q on %q, want %q and a date", e.Semver, e.Packager, e.Date, maintainer)
		}
	}
}

// TestDocumentsAreDocumentationToRpm: what is not marked so is installed where no documentation is wanted. dpkg does not
// know the mark, and has the same files without it.
func TestDocumentsAreDocumentationToRpm(t *testing.T) {
	const begin, end = "so `make generate` writes a line a file.\n", "      # The end of what is generated.\n"
	before, rest, ok := strings.Cut(read(t, ".goreleaser.yaml"), begin)
	_, after, also := strings.Cut(rest, end)
	if !ok || !also {
		t.Fatal(".goreleaser.yaml has lost its marks")
	}
	var lines strings.Builder
	for _, c := range release(t).Packages[0].Contents {
		if c.Packager != "deb" || !strings.HasSuffix(c.Src, ".md") {
			continue
		}
		for _, file := range glob(t, c.Src) {
			dst := filepath.Join(filepath.Dir(c.Dst+"x"), filepath.Base(file))
			fmt.Fprintf(&lines, "      - {src: %s, dst: %s, packager: rpm, type: doc, file_info: *packaged}\n", file, dst)
		}
	}
	golden(t, ".goreleaser.yaml", before+begin+lines.String()+end+after)
}
