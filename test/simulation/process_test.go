//go:build !race

package simulation_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"

	"github.com/openai-exporter/openai_exporter/config"
	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/exporter"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

func (w *world) data() string { return filepath.Join(w.dir, "data") }

func (w *world) state() string { return filepath.Join(w.data(), ledger.FileName) }

// start starts the exporter on whatever its directory holds.
func (w *world) start() {
	w.oracle.started()
	running, err := exporter.StartUnserved(exporter.UnservedOptions{
		Load:        func() (*config.Valid, error) { return config.Parse("config.yml", []byte(w.yaml())) },
		StoragePath: w.data(),
		Transport:   w.transport,
		Jitter:      w.jitter,
		Feed:        w.oracle.tap,
		Logger:      log.NewLogfmtLogger(log.NewSyncWriter(&w.log)),
	})
	w.must(err)
	w.running, w.configured, w.begun = running, time.Now(), time.Now()
	w.oracle.reconfigured()
}

// transport is how an organization's API is reached.
func (w *world) transport(name string) http.RoundTripper {
	for _, o := range w.organizations {
		if o.name == name {
			return simulator.TransportOf(o.api)
		}
	}
	return nil
}

// jitter draws a pause from the seed and the moment, so that it is the same each time.
func (w *world) jitter(organization string, limit time.Duration) time.Duration {
	h := fnv.New64a()
	_ = binary.Write(h, binary.LittleEndian, []int64{int64(w.seed), time.Now().UnixNano()}) // A hash never fails.
	_, _ = h.Write([]byte(organization))
	return time.Duration(h.Sum64() % uint64(limit))
}

func (w *world) stop() {
	if w.running == nil {
		return
	}
	w.must(w.running.Stop())
	w.running = nil
	w.oracle.ended()
}

// reload has the configuration read again. While the exporter is down it is for the next start.
func (w *world) reload() {
	if w.running == nil {
		return
	}
	w.repairDisk()
	w.probed()
	w.oracle.rememberAll()
	err := w.running.Reload(w.t.Context())
	if made := new(ledger.StateError); errors.As(err, &made) {
		err = w.running.Reload(w.t.Context()) // The first commit after the state was removed only makes it again, and says so.
	}
	w.must(err)
	w.configured = time.Now()
	w.oracle.reconfigured()
}

// probed takes note of when what is refused for good is asked again. A reload is no reason to ask sooner, another key is.
func (w *world) probed() {
	for _, s := range w.running.Status() {
		for _, o := range w.organizations {
			if o.name != s.Organization || s.Optional {
				continue
			}
			o.api.change(func() {
				x := o.api.wire(s.Endpoint, false)
				permanent := x.status == http.StatusUnauthorized || x.status == http.StatusForbidden || x.status == http.StatusNotFound
				newest := x.flying == 0 && s.LastPoll.Sub(x.ended).Abs() < time.Second && x.begun.Sub(o.keyed) > time.Minute
				if permanent && newest && s.State != fetcher.StateOK {
					x.slow = s.NextPoll
				}
			})
		}
	}
}

// sound says whether the process may end now without that being the loss of its state: somebody has removed the file,
// and only the next commit makes it again.
func (w *world) sound() bool {
	w.repairDisk()
	_, err := os.Stat(w.state())
	return err == nil && w.running != nil
}

// kill ends the exporter as SIGKILL would: what is on disk at this moment is what the next start finds.
func (w *world) kill() {
	synctest.Wait()
	copied := filepath.Join(w.dir, "copy")
	w.must(os.RemoveAll(copied))
	w.must(os.CopyFS(copied, os.DirFS(w.data())))
	w.replace(copied)
}

// replace ends the exporter and puts another directory in the place of what it leaves behind.
func (w *world) replace(dir string) {
	w.must(w.running.Stop())
	w.running = nil
	w.oracle.ended()
	for _, o := range w.organizations {
		o.api.change(func() { o.api.unsure = o.api.another != nil })
	}
	w.must(os.RemoveAll(w.data()))
	w.must(os.Rename(dir, w.data()))
}

// cutPower ends the exporter in the middle of its next commit, as a power cut would: of what was not synced, any part
// may be on disk, by sectors of 512 bytes. It returns false where no commit came by itself in a while.
func (w *world) cutPower() bool {
	before, err := os.ReadFile(w.state())
	w.must(err)
	known := w.oracle.keep()
	for range 600 {
		w.pass(7 * time.Second)
		if w.newest() == transaction(before) {
			continue
		}
		after, err := os.ReadFile(w.state())
		w.must(err)
		if transaction(after) != transaction(before)+1 {
			known = w.oracle.keep()
			before = after // Two commits came at once, and what the first left is not known.
			continue
		}
		copied := filepath.Join(w.dir, "copy")
		w.must(os.RemoveAll(copied))
		w.must(os.CopyFS(copied, os.DirFS(w.data())))
		file, lost := w.torn(before, after)
		w.must(os.WriteFile(filepath.Join(copied, ledger.FileName), file, 0o600))
		w.replace(copied)
		if lost {
			w.oracle.forget(known)
			w.oracle.ended() // What is known of zeros that were held is as old.
		}
		return true
	}
	return false
}

// Of a bbolt file: two pages of meta data that take turns, each with the number of the transaction that wrote it.
const (
	boltPage      = 4096
	transactionAt = 16 + 48
	sector        = 512
)

// transaction is the number of the newest transaction of a state file.
func transaction(file []byte) uint64 {
	at := func(page int) uint64 {
		return binary.LittleEndian.Uint64(file[page*boltPage+transactionAt:])
	}
	return max(at(0), at(1))
}

// newest is the number of the newest transaction of the state.
func (w *world) newest() uint64 {
	f, err := os.Open(w.state())
	w.must(err)
	defer func() { _ = f.Close() }() // It was read only.
	head := make([]byte, 2*boltPage)
	_, err = io.ReadFull(f, head)
	w.must(err)
	return transaction(head)
}

// torn is a state file in the middle of a commit: some of its data, or all of it and perhaps the page that makes it
// valid. It says whether the commit is lost.
func (w *world) torn(before, after []byte) (file []byte, lost bool) {
	file = bytes.Clone(after)
	copy(file[:2*boltPage], before[:2*boltPage])
	if w.chance(0.3) {
		if w.chance(0.5) {
			copy(file[:2*boltPage], after[:2*boltPage])
			return file, false
		}
		return file, true
	}
	for at := 2 * boltPage; at < min(len(before), len(after)); at += sector {
		if w.chance(0.5) {
			copy(file[at:at+sector], before[at:at+sector])
		}
	}
	if len(after) > len(before) && w.chance(0.5) {
		clear(file[len(before):]) // The file has grown, and nothing has been written there.
	}
	return file, true
}
