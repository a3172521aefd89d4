package command

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What the man page says beside the flags, which kingpin describes.
const (
	manName  = `openai_exporter \- Prometheus exporter for OpenAI usage and costs`
	manFiles = `.SH "FILES"
.TP
\fI/etc/openai_exporter/openai_exporter.yml\fR
The configuration that the systemd unit reads. Every key is in \fI/usr/share/doc/openai\-exporter/configuration.md\fR.
.TP
\fI/etc/openai_exporter/openai_admin_key\fR
The admin key, which systemd hands over to the service.
.TP
\fI/var/lib/openai_exporter\fR
The state. Keep it: nothing else has the totals.
.SH "SIGNALS"
.TP
\fBSIGHUP\fR
Reload the configuration.
.TP
\fBSIGTERM\fR, \fBSIGINT\fR
Write the state and exit with 0.
.SH "EXIT STATUS"
0 after a clean end, 1 after an error, which is said in one line.
.SH "SEE ALSO"
\fBprometheus\fR(1), \fBpromtool\fR(1), \fBsystemd\fR(1)
`
)

// TestManPageHasEveryFlag: the man page of the packages is made from the flags.
func TestManPageHasEveryFlag(t *testing.T) {
	// The library writes it to the standard output of the process.
	page, err := exec.CommandContext(t.Context(), build(t), "--help-man").Output()
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	for _, change := range [][2]string{
		{".TH openai_exporter 1  \"\"\n", ".TH OPENAI_EXPORTER 1 \"\" openai_exporter \"User Commands\"\n"},
		{".SH \"NAME\"\nopenai_exporter\n", ".SH \"NAME\"\n" + manName + "\n"},
		{"\\fBopenai_exporter [<flags>] <command> [<args> ...]\\fR\n\n", "\\fBopenai_exporter [<flags>] [<command> [<flags>]]\\fR\n"},
		{"Show context-sensitive help (also try --help-long and --help-man).", "Show help."},
	} {
		if strings.Count(text, change[0]) != 1 {
			t.Fatalf("%q is not there once in\n%s", change[0], text)
		}
		text = strings.Replace(text, change[0], change[1], 1)
	}
	// A hyphen that is typed is a minus to troff.
	var lines strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, `\fB`) {
			line = strings.ReplaceAll(line, "-", `\-`)
		}
		lines.WriteString(line)
	}
	text = strings.TrimRight(lines.String(), "\n") + "\n" + manFiles
	path := filepath.Join("..", "..", "deploy", "packages", "openai_exporter.1")
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("%s is not current, run make generate (-want +got):\n%s", path, diff)
	}
}
