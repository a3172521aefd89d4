//go:build e2e

package history_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/test/process"
)

// uploadTo brings blocks into the bucket of a Thanos as docs/history.md does, and starts what serves them.
func uploadTo(t *testing.T, dir, blocks string) (url string) {
	t.Helper()
	thanos, bucket := process.Tool(t, "THANOS", "thanos"), filepath.Join(dir, "bucket.yml")
	process.WriteFile(t, bucket, "type: FILESYSTEM\nconfig: {directory: "+filepath.Join(dir, "bucket")+"}\n")
	upload := exec.Command(thanos, "tools", "bucket", "upload-blocks", "--objstore.config-file="+bucket, "--path="+blocks, `--label=cluster="eu"`, `--label=prometheus_replica="0"`)
	if out, err := upload.CombinedOutput(); err != nil {
		t.Fatalf("thanos: %v\n%s", err, out)
	}
	endpoint, address := process.FreeAddress(t), process.FreeAddress(t)
	process.Start(t, thanos, "store", "--objstore.config-file="+bucket, "--data-dir="+filepath.Join(dir, "store"), "--grpc-address="+endpoint, "--http-address="+process.FreeAddress(t))
	process.Start(t, thanos, "query", "--endpoint="+endpoint, "--http-address="+address, "--grpc-address="+process.FreeAddress(t), "--query.replica-label=prometheus_replica", "--no-query.partial-response")
	url = "http://" + address
	process.Eventually(t, 3*time.Minute, "Thanos has the blocks", func() error {
		body, err := process.Get(t.Context(), url+"/api/v1/label/project_id/values")
		if err == nil && !bytes.Contains(body, []byte("proj_")) {
			err = fmt.Errorf("it answers %s", body)
		}
		return err
	})
	return url
}
