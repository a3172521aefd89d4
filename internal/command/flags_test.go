package command

import (
	"bytes"
	"io"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// say runs the program with arguments that end it by themselves.
func say(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestHelpShowsTheFlagsOfTheDefaultCommand(t *testing.T) {
	_, serve, _ := say(t, "serve", "--help")
	flags := regexp.MustCompile(`(?m)^ +(?:-h, )?(--\S+)`)
	var want []string
	for _, m := range flags.FindAllStringSubmatch(serve, -1) {
		want = append(want, m[1])
	}
	if len(want) < 12 {
		t.Fatalf("serve has only the flags %s", want)
	}
	for _, args := range [][]string{{"--help"}, {"-h"}, {"help"}, {"--config.file=x", "--help"}, {"--demo", "-h"}} {
		code, stdout, stderr := say(t, args...)
		if code != 0 || stderr != "" {
			t.Errorf("%s: exit code %d, said %q", args, code, stderr)
		}
		var got []string
		for _, m := range flags.FindAllStringSubmatch(stdout, -1) {
			got = append(got, m[1])
		}
		for _, name := range want {
			if !slices.Contains(got, name) {
				t.Errorf("%s does not show %s", args, name)
			}
		}
		for _, name := range []string{"backfill", "verify", "simulate", "healthcheck", "export-state", "import-state"} {
			if !strings.Contains(stdout, "\n"+name+" ") {
				t.Errorf("%s does not show the command %s", args, name)
			}
		}
		if !strings.Contains(stdout, "usage: openai_exporter [<flags>] [<command> [<flags>]]\n") {
			t.Errorf("%s asks for a command, though one is the default:\n%s", args, stdout)
		}
	}
}

func TestFlagsMayStandBeforeTheirCommand(t *testing.T) {
	const day = " --start=2026-02-30 --end=2026-03-01"
	noDay := `--start "2026-02-30" is neither a date`
	for args, want := range map[string]string{
		"--requests-per-minute=9 backfill --output=-" + day:       noDay,
		"--log.level=warn backfill --output=-" + day:              noDay,
		"--log.level=warn --output=- backfill" + day:              noDay,
		"--output - --start 2026-02-30 backfill --end=2026-03-01": noDay,
		"--config.file=missing.yml backfill --output=-" + day:     "open missing.yml",
		"--config.file missing.yml verify" + day:                  "open missing.yml",
		"--all verify" + day:                                      noDay,
		"--no-all --config.file=missing.yml verify" + day:         "open missing.yml",
		"--url=nowhere healthcheck":                               `--url "nowhere" is not an http or https URL`,
		"--log.level=warn healthcheck --url=nowhere":              `--url "nowhere" is not an http or https URL`,
		"--config.file=missing.yml serve":                         "open missing.yml",
		"--config.file backfill":                                  "open backfill: no such file",
	} {
		t.Setenv("OPENAI_ADMIN_KEY", goodKey)
		code, _, stderr := say(t, strings.Fields(args)...)
		if code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d, said %q, want %q", args, code, stderr, want)
		}
	}
	if code, stdout, stderr := say(t, "--config.file=x", "help", "backfill"); code != 0 || !strings.Contains(stdout, "--bucket-width") {
		t.Errorf("help: exit code %d, said %q", code, stderr)
	}
}

func TestAFlagOfAnotherCommandIsRefusedWithTheNameOfItsCommand(t *testing.T) {
	for args, want := range map[string]string{
		"--storage.path=x backfill":             "backfill has no flag --storage.path, which is a flag of export-state, import-state, serve; try backfill --help",
		"backfill --storage.path=x":             "backfill has no flag --storage.path, which is a flag of export-state, import-state, serve; try backfill --help",
		"--log.level=warn verify --output=-":    "verify has no flag --output, which is a flag of backfill, export-state; try verify --help",
		"--demo --storage.path x healthcheck":   "healthcheck has no flag --demo, which is a flag of serve; try healthcheck --help",
		"--output=-":                            "serve, the default command, has no flag --output, which is a flag of backfill, export-state: name the command first; try --help",
		"--config.file=x --start=2026-02-01":    "serve, the default command, has no flag --start, which is a flag of backfill, simulate, verify: name the command first; try --help",
		"serve --seed=1":                        "serve has no flag --seed, which is a flag of simulate; try serve --help",
		"backfill --no-such-flag":               "unknown long flag '--no-such-flag'; try --help",
		"--config.file=x bakfill":               `there is no command or argument "bakfill"; try --help`,
		"--no-demo backfill --start=2026-02-01": "backfill has no flag --no-demo, which is a flag of serve; try backfill --help",
	} {
		code, _, stderr := say(t, strings.Fields(args)...)
		if code != 1 || stderr != "openai_exporter: error: "+want+"\n" {
			t.Errorf("%s: exit code %d, said\n%swant\n%s", args, code, stderr, want)
		}
	}
}

// gone is a reader that has what it wanted, such as head.
type gone struct{}

func (gone) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestHelpForAReaderThatHasGoneIsNoTrouble(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"--help-long"}, {"--help-man"}, {"help", "backfill"}, {"simulate", "--help"}, {"--version"}, {"--completion-script-bash"}} {
		if code := Run(t.Context(), args, gone{}, io.Discard); code != 0 {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}
