package command

import (
	"bytes"
	"context"
	"os"
	"testing"
)

func TestADemoThatIsStoppedWhileItStartsEndsCleanlyAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	// What a start meets first, the simulator's address or its end, is chance, so it takes several. It ends without a word.
	for range 20 {
		var stdout, stderr bytes.Buffer
		if code := Run(ctx, []string{"--demo", "--web.listen-address=127.0.0.1:0"}, &stdout, &stderr); code != 0 || stdout.Len()+stderr.Len() > 0 {
			t.Fatalf("exit code %d:\n%s%s", code, &stdout, &stderr)
		}
		left, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(left) > 0 {
			t.Fatalf("the demo left %s behind", left[0].Name())
		}
	}
}
