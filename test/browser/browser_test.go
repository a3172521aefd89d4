//go:build browser

// Package browser_test opens the status page of the real binary in a real browser, a headless Chromium, in every state
// that a user meets. `make browser` sees to it that there is one.
package browser_test

import (
	"errors"
	"fmt"
	"image"
	"maps"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/test/process"
)

// The keys are long and odd, so that they are found wherever they might leak.
const (
	adminKey = "sk-admin-browser-61c09e4f7b-valid"
	wrongKey = "sk-admin-browser-d83b5a2210-wrong"
)

const root = "../.."

// simulate serves a simulated API that accepts adminKey alone. It is an afternoon there, so that something has been billed.
func simulate(t *testing.T, binary string, flags ...string) (p *process.Program, address string) {
	t.Helper()
	address = process.FreeAddress(t)
	if !slices.ContainsFunc(flags, func(f string) bool { return strings.HasPrefix(f, "--start=") }) {
		flags = append(flags, "--start=2026-11-18T15:20:00Z")
	}
	p = process.Start(t, binary, append([]string{"simulate", "--listen-address=" + address, "--admin-key=" + adminKey}, flags...)...)
	process.Eventually(t, 3*time.Minute, "the simulator answers", func() error {
		_, err := process.Get(t.Context(), "http://"+address+"/_simulator/now")
		return err
	})
	return p, address
}

// refuse lets a simulated API refuse the requests of a project.
func refuse(t *testing.T, api, project string) {
	t.Helper()
	response, err := http.Post("http://"+api+"/_simulator/enforce?project="+project, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatal(response.Status)
	}
}

// teams are of the projects that the simulator has with its usual seed.
const teams = `
usage: {interval: 1s, endpoints: {images: {filters: {sources: [image.generation]}}}}
costs: {interval: 1s, group_by: [project_id, line_item, api_key_id]}
names: {interval: 1s}
limits: {interval: 1s}
teams:
  - {name: customer-facing, project_ids: [proj_b8LaYqVOkPeXiASKvNGSCCoh, proj_peFDPmXeKiigL5LaJ38qvpDc]}
  - {name: research, project_ids: [proj_CfecXUE0YLVbYGrF1YtXSRTJ]}
budgets:
  - {name: everything, monthly_usd: 150000}
  - {name: research, team: research, quarterly_usd: 90000}
`

// An account is an organization of a configuration: where its API is and which file has its key.
type account struct{ name, api, keyFile string }

// serve starts an exporter and returns the address of its status page.
func serve(t *testing.T, binary string, accounts ...account) string {
	t.Helper()
	return serveWith(t, binary, "usage: {interval: 1s}\ncosts: {interval: 1s}\n", accounts...)
}

// serveWith serves with more of a configuration.
func serveWith(t *testing.T, binary, more string, accounts ...account) string {
	t.Helper()
	var config strings.Builder
	config.WriteString("organizations:\n")
	for _, a := range accounts {
		fmt.Fprintf(&config, "  - {name: %s, api_key_file: %s, base_url: \"http://%s/v1\", requests_per_minute: 6000}\n", a.name, a.keyFile, a.api)
	}
	config.WriteString("counters: {start: today, zero_hold: 0s}\n" + more)
	dir := t.TempDir()
	file := filepath.Join(dir, "openai_exporter.yml")
	process.WriteFile(t, file, config.String())
	address := process.FreeAddress(t)
	process.Start(t, binary, "--config.file="+file, "--storage.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	return "http://" + address + "/"
}

// becomes waits until the page that is served matches.
func becomes(t *testing.T, address, pattern string) {
	t.Helper()
	wanted := regexp.MustCompile(pattern)
	process.Eventually(t, 3*time.Minute, pattern, func() error {
		body, err := process.Get(t.Context(), address)
		if err == nil && !wanted.Match(body) {
			err = errors.New("the page has " + string(title.Find(body)))
		}
		return err
	})
}

func TestTheStatusPageInABrowser(t *testing.T) {
	binary := process.Build(t)
	dir := t.TempDir()
	key, wrong := filepath.Join(dir, "key"), filepath.Join(dir, "wrong")
	process.WriteFile(t, key, adminKey+"\n")
	process.WriteFile(t, wrong, wrongKey+"\n")
	_, api := simulate(t, binary)
	doomed, doomedAPI := simulate(t, binary)
	stopped, silentAPI := simulate(t, binary)
	// Anyone who connects to a stopped process waits for an answer.
	if err := stopped.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}

	well := account{"acme", api, key}
	failing := serve(t, binary, well, account{"globex", doomedAPI, key})
	good := serve(t, binary, well)
	_, refusingAPI := simulate(t, binary)
	refuse(t, refusingAPI, "proj_HqUAOwJapYsbCpMD7OaTa2od")
	var nine []account
	for i := range 9 {
		nine = append(nine, account{fmt.Sprintf("org-%d", i+1), api, key})
	}
	states := []struct {
		name, address string
		page          string   // when the page is in this state
		text, never   []string // what a person reads, and does not
	}{
		{
			"good", good, `<title>\d+ endpoints up to date`,
			[]string{
				`(?m)^\d+ endpoints up to date$(?s:.*)^\d+ endpoints up to date$`, `(?m)^acme$`,
				`Cost today \(UTC\)\s+\$[\d,]+\.\d\d`, `Cost this month\s+\$[\d,]+\.\d\d`, `Forecast for the month\s+\$[\d,]+\.\d\d`,
				`Spend per day \(UTC\)`, `(?m)^Spend per day in numbers$`, `Most cost today, by project`, `Most cost today, by model`,
				`Requests left this minute\s+[\d,]+ of 6,000`, `Counting since\s+\d{4}-`, `(?m)^Effective configuration$`,
			},
			[]string{`failing`, `failed`, `What is wrong`, `waiting for the first poll`, `never`, `api_key_file`, `Last success`, `Estimated, not billed yet`, `refuses`},
		},
		{
			"failing", failing, `<title>\d+ of \d+ endpoints failing(?s:.*)What is wrong:`,
			[]string{
				`(?m)^\d+ of \d+ endpoints failing$`, `(?m)^acme$`, `(?m)^globex$`, `(?m)^\d+ endpoints up to date$`, `(?m)^\d+ endpoints? failing$`, `Last success`,
				`[a-z_]+\s+(the last poll failed|failing, \d+ polls in a row)\s+.*ago`,
				`(?m)^What is wrong: the API at 127\.0\.0\.1:\d+ can't be reached: .*connection refused$`,
			},
			[]string{`never`},
		},
		{
			"starting", serve(t, binary, account{"acme", silentAPI, key}), `<title>Starting: 0 of \d+ endpoints polled`,
			[]string{
				`(?m)^Starting: 0 of \d+ endpoints polled$`, `(?m)^acme$`, `completions\s+waiting for the first poll\s+never`,
				`Cost today \(UTC\)\s+–`, `Cost this month\s+–`,
			},
			[]string{`up to date`, `failing`, `What is wrong`, `\$`, `Counting since`},
		},
		{
			"no key", serve(t, binary, account{"acme", api, filepath.Join(dir, "absent")}), `<title>\d+ of \d+ endpoints failing(?s:.*)What is wrong:`,
			[]string{
				`(?m)^\d+ of \d+ endpoints failing$`, `[a-z_]+\s+(the last poll failed|failing, \d+ polls in a row)\s+never`,
				`(?m)^What is wrong: the admin key can't be read: api_key_file .*/absent does not exist: write an admin key \(https://platform\.openai\.com/settings/organization/admin-keys\)`,
			},
			[]string{`up to date`, `\$`, `Counting since`},
		},
		{
			"wrong key", serve(t, binary, account{"acme", api, wrong}), `<title>\d+ of \d+ endpoints failing(?s:.*)What is wrong:`,
			[]string{
				`(?m)^\d+ of \d+ endpoints failing$`, `[a-z_]+\s+(the last poll failed|failing, \d+ polls in a row)\s+never`,
				`(?m)^What is wrong: the API does not accept the admin key .*: create one under Settings → Organization → Admin keys \(https://platform\.openai\.com/settings/organization/admin-keys\)$`,
			},
			[]string{`up to date`, `\$`, `Counting since`},
		},
		{
			"money", serveWith(t, binary, teams, account{"acme", refusingAPI, key}), `<title>OpenAI refuses requests; \d+ endpoints up to date(?s:.*)</figure>(?s:.*)customer-facing</span>`,
			[]string{
				`(?m)^OpenAI refuses requests; \d+ endpoints up to date$`, `OpenAI refuses requests now of project Data Platform \(proj_\w+\): its spend limit of \$[\d,.]+ a month is reached`,
				`(?m)^everything\s+\$[\d,.]+ of \$150,000\.00 this month`, `(?m)^customer-facing$`, `(?m)^unallocated$`, `(?m)^forecast$`,
				`(?m)^Of images only this is read: sources image\.generation$`, `Support Copilot proj_\w+ customer-facing\s+\$`, `Most cost today, by API key`, `production [A-Z][\w ]+ · key_\w+\s+\$`,
			},
			[]string{`failing`, `never`, `Last success`},
		},
		{
			"many", serve(t, binary, nine...), `<title>\d+ endpoints up to date`,
			[]string{`(?m)^9 organizations$`, `(?m)^org-9\s+up to date\s+\$[\d,.]+\s+\$[\d,.]+\s+\$[\d,.]+$`},
			[]string{`Spend per day`, `Last success`, `Most cost`},
		},
	}
	// Everything was well before one of two APIs went away.
	becomes(t, failing, states[0].page)
	doomed.Kill()

	lightGround, darkGround := colors(t, "bg")
	if lightGround.G < 200 || darkGround.G > 55 {
		t.Fatalf("the style sheet has the backgrounds %v and %v, want a light and a dark one", lightGround, darkGround)
	}
	lightBar, darkBar := colors(t, "c0")
	var mu sync.Mutex
	documents := make(map[string]string)
	var inTheLight image.Image // the good page
	t.Run("document", func(t *testing.T) {
		for _, s := range states {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				becomes(t, s.address, s.page)
				dom, picture := visit(t, s.address, setting{})
				if !regexp.MustCompile(s.page).MatchString(dom) {
					t.Errorf("the browser holds another page than was served: %s", title.FindString(dom))
				}
				accessible(t, dom)
				mostly(t, picture, lightGround)
				if strings.Contains(dom, "<svg class=\"chart\"") {
					painted(t, picture, lightBar)
				}
				mu.Lock()
				defer mu.Unlock()
				documents[s.name] = dom
				if s.address == good {
					inTheLight = picture
				}
			})
		}
	})
	t.Run("setting", func(t *testing.T) {
		t.Run("dark", func(t *testing.T) {
			t.Parallel()
			_, picture := visit(t, good, setting{dark: true})
			mostly(t, picture, darkGround)
			painted(t, picture, darkBar)
		})
		t.Run("without scripts", func(t *testing.T) {
			t.Parallel()
			dom, picture := visit(t, good, setting{noScripts: true})
			if diff := cmp.Diff(skeleton(documents["good"]), skeleton(dom)); diff != "" {
				t.Errorf("without scripts the document is another one (-with +without):\n%s", diff)
			}
			// Times go on between the two, so some digits differ.
			if share := differing(inTheLight, picture); share > 0.02 {
				t.Errorf("%.1f %% of the page looks different without scripts", 100*share)
			}
		})
		t.Run("scripts are off when they should be", func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "script.html")
			process.WriteFile(t, path, `<title>without</title><script>document.title = "with"</script>`)
			if dom := browse(t, "file://"+path, setting{noScripts: true}, "--dump-dom"); title.FindString(dom) != "<title>without</title>" {
				t.Errorf("the browser ran a script: %s", dom)
			}
		})
	})
	t.Run("text", func(t *testing.T) {
		looks := narrow(t, documents)
		if len(looks) != len(states) {
			t.Fatalf("pages were laid out for %v", slices.Sorted(maps.Keys(looks)))
		}
		for _, s := range states {
			l := looks[s.name]
			for _, want := range s.text {
				if !regexp.MustCompile(want).MatchString(l.Text) {
					t.Errorf("%s: a reader does not find %s in:\n%s", s.name, want, l.Text)
				}
			}
			for _, never := range s.never {
				if found := regexp.MustCompile(never).FindString(l.Text); found != "" {
					t.Errorf("%s: a reader finds %q in:\n%s", s.name, found, l.Text)
				}
			}
			if l.Width != 360 || l.Needs > l.Width {
				t.Errorf("%s: in a window of %d the page is %d wide, and has to be scrolled sideways", s.name, l.Width, l.Needs)
			}
			if len(l.Cut) > 0 {
				t.Errorf("%s: on a phone there is no room for %q", s.name, l.Cut)
			}
		}
	})
}

var (
	title    = regexp.MustCompile(`<title>[^<]*</title>`)
	verdict  = regexp.MustCompile(`<p class="verdict [a-z]+" role="status">([^<]+)</p>`)
	header   = regexp.MustCompile(`<th\b[^>]*>`)
	scoped   = regexp.MustCompile(`\bscope="(col|row)"`)
	charts   = regexp.MustCompile(`<svg class="chart"[^>]*?(?: role="img" aria-labelledby="([^"]*)")?>`)
	handlers = regexp.MustCompile(`<[a-z]+[^>]*\son[a-z]+=`)
)

var (
	drawing = regexp.MustCompile(`(?s)<svg class="chart".*?</svg>|<ul class="legend">.*?</ul>|<small>\+ [^<]*not billed yet</small>`)
	tag     = regexp.MustCompile(`<[^>]+>`)
	digits  = regexp.MustCompile(`\d+(\.\d+)?`)
)
