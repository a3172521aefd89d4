//go:build e2e

package dashboards_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/test/process"
)

// The demo is tried as docs/reconcile.md says. Its gateway says which keys it sees: all but one. In the first minutes, usage of
// before that arrives late, and a part of other projects is taken to be unseen.
func TestTheReconcileDashboardNamesTheLeakedKeyOfTheDemo(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile(filepath.Join(root, "docs/reconcile.md"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```yaml\n(rule_files:\n.*?)```").FindStringSubmatch(string(document))
	if len(m) != 2 || strings.Count(m[1], "localhost:10095") != 2 {
		t.Fatal("docs/reconcile.md does not say how to try it on the demo")
	}
	checkout, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	dir, target := t.TempDir(), process.FreeAddress(t)
	config := strings.ReplaceAll(strings.ReplaceAll(m[1], "localhost:10095", target), "- deploy/", "- "+checkout+"/deploy/")
	process.WriteFile(t, filepath.Join(dir, "prometheus.yml"), "global: {evaluation_interval: 5s}\n"+config)
	process.Start(t, process.Build(t), "--demo", "--web.listen-address="+target)
	p := &prom{url: "http://" + process.FreeAddress(t)}
	process.Start(t, process.Tool(t, "PROMETHEUS", "prometheus"), "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+strings.TrimPrefix(p.url, "http://"))

	var key, project string
	process.Eventually(t, 3*time.Minute, "the keys have names", func() error {
		answer, err := p.answer(t, `count by (api_key_id, project_id) (openai_api_key_info{api_key_name="production"} and on (project_id) openai_project_info{project_name="Search"})`, time.Now())
		if err == nil && len(answer) != 1 {
			err = fmt.Errorf("production keys of Search are %v", answer)
		}
		for series := range answer {
			m := regexp.MustCompile(`api_key_id="(.+)", project_id="(.+)"`).FindStringSubmatch(series)
			key, project = m[1], m[2]
		}
		return err
	})
	p.names(t, "demo", project, key, false)
	// Two keys share what the project uses most.
	p.seen(t, "a large part of the project is unseen", fmt.Sprintf(`organization_project:openai_unseen_usd:share1d{project_id=%q} > 0.3`, project))
}
