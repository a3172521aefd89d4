package collector

import (
	"math"
	"os"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"
)

// TestTheProcessTellsWhatTheLibraryTells: the same metrics, with the same help and the same values.
func TestTheProcessTellsWhatTheLibraryTells(t *testing.T) {
	gather := func(c prometheus.Collector) []*dto.MetricFamily {
		r := prometheus.NewPedanticRegistry()
		r.MustRegister(c)
		all, err := r.Gather()
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	before, ours, after := gather(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})), gather(newSelf()), gather(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if len(ours) != len(before) || len(ours) != len(after) {
		t.Fatalf("%d metrics, the library has %d", len(ours), len(before))
	}
	for i, f := range ours {
		low, high := before[i], after[i]
		if f.GetName() != low.GetName() || f.GetHelp() != low.GetHelp() || f.GetType() != low.GetType() {
			t.Errorf("%v, the library has %v", f, low)
			continue
		}
		value := func(f *dto.MetricFamily) float64 {
			return f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
		}
		at, least, most := value(f), math.Min(value(low), value(high)), math.Max(value(low), value(high))
		switch f.GetName() {
		case "process_resident_memory_bytes", "process_virtual_memory_bytes", "process_open_fds", "process_network_receive_bytes_total", "process_network_transmit_bytes_total":
			// Other tests of this process may come in between, and what the network counts is of all programs.
			if at < least/2 || at > most*2 {
				t.Errorf("%s is %v, the library says %v to %v", f.GetName(), at, least, most)
			}
		default:
			if at < least || at > most {
				t.Errorf("%s is %v, the library says %v to %v", f.GetName(), at, least, most)
			}
		}
	}
}

// BenchmarkTheProcess compares what both cost a scrape.
func BenchmarkTheProcess(b *testing.B) {
	for name, c := range map[string]prometheus.Collector{"openai_exporter": newSelf(), "client_golang": collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		b.Run(name, func(b *testing.B) {
			r := prometheus.NewRegistry()
			r.MustRegister(c)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Gather(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestFilesOfTheProcessAreReadAsTheyAre: a program may have any name, and a kernel may tell less than others.
func TestFilesOfTheProcessAreReadAsTheyAre(t *testing.T) {
	const stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 900 0 3 0 150 50 0 0 20 0 9 0 1234 4096 3 18446744073709551615 1 1\n"
	cpu, virtual, resident, err := usage(stat)
	if want := float64(3 * os.Getpagesize()); err != nil || cpu != 2 || virtual != 4096 || resident != want {
		t.Errorf("%v s, %v and %v bytes, %v; want 2, 4096 and %v", cpu, virtual, resident, err, want)
	}
	for _, stat := range []string{"", "7 (a", "7 (a) S 1 7", "7 (a) S 1 7 7 0 -1 4194560 900 0 3 0 x 50 0 0 20 0 9 0 1234 4096 3 1 1\n"} {
		if _, _, _, err := usage(stat); err == nil {
			t.Errorf("%q is read", stat)
		}
	}
	received, sent, err := octets("TcpExt: InOctets\nTcpExt: 5\nIpExt: InNoRoutes InOctets OutOctets\nIpExt: 1 20 300\n")
	if err != nil || received != 20 || sent != 300 {
		t.Errorf("%v and %v bytes, %v; want 20 and 300", received, sent, err)
	}
	for _, netstat := range []string{"", "TcpExt: InOctets OutOctets\nTcpExt: 5 6\n", "IpExt: InOctets OutOctets\nIpExt: 1\n", "IpExt: InOctets\nIpExt: 1\n", "IpExt: InOctets OutOctets\nIpExt: 1 x\n", "IpExt: InOctets OutOctets\n"} {
		if _, _, err := octets(netstat); err == nil {
			t.Errorf("%q is read", netstat)
		}
	}
}
