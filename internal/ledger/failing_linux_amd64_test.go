package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/test/crash"
)

// TestBooksGoOnAfterADiskThatFails books through whatever the disk does. It is what the test below watches.
func TestBooksGoOnAfterADiskThatFails(t *testing.T) {
	dir, ack := crash.Watched(t, watched)
	g := newRig(t)
	g.dir = filepath.Join(dir, "state")
	g.open()
	g.poll()
	g.pass(time.Minute)
	g.use(0, labels{"a", "m"}, 1)
	g.use(0, labels{"b", "m"}, 2)
	g.poll()
	ack("it begins")

	// This poll may fail. What the API said of one label set is gone with the next one, and of another one less.
	g.pass(time.Minute)
	g.use(0, labels{"a", "m"}, 10)
	g.use(0, labels{"b", "m"}, 20)
	g.use(0, labels{"gone", "m"}, 40)
	want := counts{{"a", "m"}: 11, {"b", "m"}: 22, {"gone", "m"}: 40}
	for i := range int64(150) { // The file grows.
		l := labels{fmt.Sprintf("proj_%03d", i), strings.Repeat("x", 40)}
		g.use(0, l, i+1)
		want[l] = i + 1
	}
	failed := false
	try := func() bool {
		before := g.state()
		err := g.feed.Book(context.Background(), g.read(g.options.Endpoint, g.feed.GroupBy(), g.feed.PollWindow(g.now)))
		var se *ledger.StateError
		switch {
		case err == nil:
			return true
		case !errors.As(err, &se):
			t.Errorf("error = %v", err)
		case g.state() != before:
			t.Errorf("a poll that was not booked is shown: %s, before %s", g.state(), before)
		}
		failed = true
		return false
	}
	if !try() {
		g.use(0, labels{"gone", "m"}, -40)
		g.use(0, labels{"b", "m"}, -15)
		want[labels{"b", "m"}] = 7
		delete(want, labels{"gone", "m"})
		try()
	}
	g.pass(time.Minute)
	for tries := 1; !try(); tries++ {
		if tries == 5 {
			t.Fatal("it never works again")
		}
	}
	g.expect(want)
	ack(fmt.Sprintf("failed=%t %s", failed, g.state()))
}
