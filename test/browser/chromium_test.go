//go:build browser

package browser_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"image"
	"image/png"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/test/process"
)

// chromium finds the browser by the variable that `make browser` sets, or on the PATH.
func chromium(t *testing.T) string {
	t.Helper()
	name := os.Getenv("CHROMIUM")
	if name == "" {
		name = "chromium"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("a browser is needed: run this test by `make browser`: %v", err)
	}
	return path
}

// browse lets Chromium open an address once, and returns what it wrote to standard output.
func browse(t *testing.T, address string, s setting, flags ...string) string {
	t.Helper()
	stdout, stderr, err := run(t, time.Minute, address, s, flags...)
	if err != nil {
		t.Fatal(err)
	}
	// What a page does against its own content policy is in the console, and only there.
	for line := range strings.Lines(stderr) {
		if strings.Contains(line, "CONSOLE") {
			t.Errorf("%s: the browser's console says: %s", address, line)
		}
	}
	return stdout
}

// run runs Chromium once, with a profile of its own, and returns what it wrote.
func run(t *testing.T, within time.Duration, address string, s setting, flags ...string) (stdout, stderr string, err error) {
	t.Helper()
	// A socket's path is short, so the name of the test must not be in it.
	profile, err := os.MkdirTemp("", "page-") //nolint:usetesting // For that reason.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(profile) })
	if s.noScripts {
		// The flag that switches scripts off does so for the browser's own page that takes the picture, too.
		if err := os.Mkdir(filepath.Join(profile, "Default"), 0o700); err != nil {
			t.Fatal(err)
		}
		process.WriteFile(t, filepath.Join(profile, "Default", "Preferences"), `{"profile": {"default_content_setting_values": {"javascript": 2}}}`)
	}
	scheme := "--blink-settings=preferredColorScheme=1"
	if s.dark {
		scheme = "--blink-settings=preferredColorScheme=0"
	}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	cmd := exec.CommandContext(ctx, chromium(t), slices.Concat([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
		"--enable-logging=stderr", "--user-data-dir=" + profile, scheme,
	}, flags, []string{address})...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + profile, "TMPDIR=" + profile, "TZ=UTC"}
	// Its processes end together: one that stays would write to the profile while the test removes it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	err = cmd.Run()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // What is left of the group, if anything.
	}
	if err != nil {
		err = fmt.Errorf("chromium %s: %w\n%s", address, err, log.String())
	}
	return out.String(), log.String(), err
}

// A setting is what a user has chosen in the browser.
type setting struct {
	dark      bool
	noScripts bool
}

// visit returns the document as the browser holds it, and a picture of it.
func visit(t *testing.T, address string, s setting) (dom string, picture image.Image) {
	t.Helper()
	shot := filepath.Join(t.TempDir(), "shot.png")
	for begin := time.Now(); ; {
		dom = browse(t, address, s, "--dump-dom", "--screenshot="+shot, "--window-size=1280,900")
		// On a busy machine the browser takes the picture before it has painted anything. A page whose style sheet was
		// refused still shows its text, so it is not mistaken for that.
		if picture = decode(t, shot); !blank(picture) {
			return dom, picture
		}
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("%s: the browser paints nothing", address)
		}
	}
}

// blank says whether a picture has one colour only.
func blank(picture image.Image) bool {
	b := picture.Bounds()
	first := picture.At(b.Min.X, b.Min.Y)
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			if picture.At(x, y) != first {
				return false
			}
		}
	}
	return true
}

func decode(t *testing.T, path string) image.Image {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	picture, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

// A look is a document as it is laid out in a narrow window.
type look struct {
	Text  string // as it is shown: without what is folded or is not displayed
	Width int    // of the window
	Needs int    // the width that the document would need
	High  int    // how high it is
	// Cut are the cells of tables of which a part is outside, or that are too narrow for a word, where nothing scrolls.
	Cut []string
}

var result = regexp.MustCompile(`(?s)<pre id="result">(.*?)</pre>`)

// narrow lays documents out in windows of a small phone's width.
func narrow(t *testing.T, documents map[string]string) map[string]look {
	t.Helper()
	return layOut(t, 360, documents)
}

// layOut lays documents out in windows of a width. A window of the browser itself can't be as narrow as a phone's, and the
// page refuses to be framed, so the frames hold copies.
func layOut(t *testing.T, width int, documents map[string]string) map[string]look {
	t.Helper()
	var page strings.Builder
	page.WriteString("<!DOCTYPE html><html><body>")
	for _, name := range slices.Sorted(maps.Keys(documents)) {
		fmt.Fprintf(&page, `<iframe name="%s" style="width:%dpx;height:640px;border:0" srcdoc="%s"></iframe>`, name, width, html.EscapeString(documents[name]))
	}
	page.WriteString(`<pre id="result"></pre><script>
		addEventListener("load", () => {
			const looks = {}
			for (const f of document.querySelectorAll("iframe")) {
				const e = f.contentDocument.documentElement
				const cut = [...e.querySelectorAll("th, td, dd, figcaption, svg")].filter(cell => {
					const box = cell.getBoundingClientRect()
					return box.width > 1 && !cell.closest(".scroll, .hidden") && (box.right > e.clientWidth || (box.width < 60 && cell.textContent.trim().length > 8))
				}).map(cell => cell.textContent)
				looks[f.name] = {Text: e.innerText, Width: e.clientWidth, Needs: e.scrollWidth, High: e.scrollHeight, Cut: cut}
			}
			document.getElementById("result").textContent = JSON.stringify(looks)
		})
	</script></body></html>`)
	path := filepath.Join(t.TempDir(), "narrow.html")
	process.WriteFile(t, path, page.String())
	found := result.FindStringSubmatch(browse(t, "file://"+path, setting{}, "--dump-dom"))
	looks := make(map[string]look)
	if found == nil {
		t.Fatal("the browser did not lay the pages out")
	}
	if err := json.Unmarshal([]byte(html.UnescapeString(found[1])), &looks); err != nil {
		t.Fatal(err)
	}
	return looks
}
