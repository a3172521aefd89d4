//go:build browser && pictures

package browser_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/openai-exporter/openai_exporter/test/process"
)

// frequent is for a picture soon.
const frequent = `
usage: {interval: 1s}
costs: {interval: 1s, group_by: [project_id, line_item, api_key_id]}
names: {interval: 1s}
limits: {interval: 1s}
`

// pictured is the configuration of the pictures: an organization that knows who pays.
const pictured = frequent + `
teams:
  - {name: products, project_ids: [proj_b8LaYqVOkPeXiASKvNGSCCoh, proj_peFDPmXeKiigL5LaJ38qvpDc]}
  - {name: research, project_ids: [proj_CfecXUE0YLVbYGrF1YtXSRTJ]}
budgets:
  - {name: everything, monthly_usd: 36000}
  - {name: products, team: products, monthly_usd: 16000}
  - {name: research, team: research, monthly_usd: 11000}
`

// absent is a key's file that nobody has written.
const absent = "/run/secrets/openai_admin_key"

// TestPictures makes the pictures of docs/status.md again: the same simulated afternoon each time. `make docs-pictures` runs
// it.
func TestPictures(t *testing.T) {
	binary := process.Build(t)
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	process.WriteFile(t, key, adminKey+"\n")
	_, api := simulate(t, binary, "--lateness=hours")
	doomed, doomedAPI := simulate(t, binary, "--lateness=hours")
	_, refusingAPI := simulate(t, binary, "--lateness=hours")
	refuse(t, refusingAPI, "proj_HqUAOwJapYsbCpMD7OaTa2od")
	stopped, silentAPI := simulate(t, binary)
	if err := stopped.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var scaled []string
	for i, scale := range []string{"0.4", "2.3", "0.07", "1.2"} {
		_, address := simulate(t, binary, "--lateness=hours", "--scale="+scale, fmt.Sprintf("--seed=%d", 11+i))
		scaled = append(scaled, address)
	}
	var many []account
	for i, name := range strings.Fields("acme globex initech hooli umbrella stark wayne tyrell cyberdyne wonka") {
		of := account{name, scaled[i%len(scaled)], key}
		switch i {
		case 3:
			of.keyFile = absent
		case 6:
			of.api = refusingAPI
		}
		many = append(many, of)
	}

	const good = `<title>17 endpoints up to date(?s:.*)</figure>(?s:.*)products</span>(?s:.*)by API key`
	failing := serveWith(t, binary, pictured, account{"acme", doomedAPI, key})
	becomes(t, failing, good)
	doomed.Kill()
	for _, p := range []struct{ name, address, page string }{
		{"good", serveWith(t, binary, pictured, account{"acme", api, key}), good},
		{"refused", serveWith(t, binary, pictured, account{"acme", refusingAPI, key}), `<title>OpenAI refuses requests; 17 endpoints up to date(?s:.*)</figure>(?s:.*)products</span>(?s:.*)by API key`},
		{"failing", failing, `<title>1[4-7] of 17 endpoints failing(?s:.*)What is wrong:`},
		{"starting", serve(t, binary, account{"acme", silentAPI, key}), `<title>Starting: 0 of \d+ endpoints polled`},
		{"no-key", serve(t, binary, account{"acme", api, absent}), `<title>1[4-7] of 17 endpoints failing(?s:.*)What is wrong:`},
		{"many", serveWith(t, binary, frequent, many...), `<title>OpenAI refuses requests; \d+ of 170 endpoints failing`},
	} {
		t.Run(p.name, func(t *testing.T) {
			becomes(t, p.address, p.page)
			const width = 1200
			dom, _ := visit(t, p.address, setting{})
			high := layOut(t, width, map[string]string{p.name: dom})[p.name].High
			out, err := filepath.Abs(filepath.Join(root, "docs/images/status-"+p.name+".png"))
			if err != nil {
				t.Fatal(err)
			}
			for {
				browse(t, p.address, setting{}, "--screenshot="+out, fmt.Sprintf("--window-size=%d,%d", width, high))
				if !blank(decode(t, out)) {
					return
				}
			}
		})
	}
}
