package collector

import (
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/procfs"
)

// A self tells of our process what the client library's collector does. That one opens, reads and parses a file of /proc for
// each metric, and takes longer than it takes to serve half a megabyte. Here the files that change stay open, there is room
// for what they say, when the process began is read once, and limits are asked of the kernel.
type self struct {
	stat, netstat, fds *os.File
	proc               procfs.Proc
	began              prometheus.Metric

	mu   sync.Mutex
	room []byte
}

var (
	processCPU        = prometheus.NewDesc("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", nil, nil)
	processFiles      = prometheus.NewDesc("process_open_fds", "Number of open file descriptors.", nil, nil)
	processMostFiles  = prometheus.NewDesc("process_max_fds", "Maximum number of open file descriptors.", nil, nil)
	processVirtual    = prometheus.NewDesc("process_virtual_memory_bytes", "Virtual memory size in bytes.", nil, nil)
	processMaxVirtual = prometheus.NewDesc("process_virtual_memory_max_bytes", "Maximum amount of virtual memory available in bytes.", nil, nil)
	processResident   = prometheus.NewDesc("process_resident_memory_bytes", "Resident memory size in bytes.", nil, nil)
	processStart      = prometheus.NewDesc("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", nil, nil)
	processReceived   = prometheus.NewDesc("process_network_receive_bytes_total", "Number of bytes received by the process over the network.", nil, nil)
	processSent       = prometheus.NewDesc("process_network_transmit_bytes_total", "Number of bytes sent by the process over the network.", nil, nil)
)

// newSelf returns the collector of our process. Where /proc can't be read it is the library's.
func newSelf() prometheus.Collector {
	s, err := openSelf()
	if err != nil {
		return collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})
	}
	return s
}

func openSelf() (*self, error) {
	p, err := procfs.Self()
	if err != nil {
		return nil, err
	}
	stat, err := p.Stat()
	if err != nil {
		return nil, err
	}
	began, err := stat.StartTime()
	if err != nil {
		return nil, err
	}
	s := &self{proc: p, began: prometheus.MustNewConstMetric(processStart, prometheus.GaugeValue, began), room: make([]byte, 16<<10)}
	if s.stat, err = os.Open("/proc/self/stat"); err != nil {
		return nil, err
	}
	if s.netstat, err = os.Open("/proc/self/net/netstat"); err != nil {
		return nil, err
	}
	s.fds, err = os.Open("/proc/self/fd")
	return s, err
}

func (*self) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		processCPU, processFiles, processMostFiles, processVirtual, processMaxVirtual, processResident, processStart, processReceived, processSent,
	} {
		out <- d
	}
}

// Collect leaves out what can't be read, as the library's collector does.
func (s *self) Collect(out chan<- prometheus.Metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tell := func(d *prometheus.Desc, t prometheus.ValueType, value float64) {
		out <- prometheus.MustNewConstMetric(d, t, value)
	}
	out <- s.began
	if cpu, virtual, resident, err := usage(s.content(s.stat)); err == nil {
		tell(processCPU, prometheus.CounterValue, cpu)
		tell(processVirtual, prometheus.GaugeValue, virtual)
		tell(processResident, prometheus.GaugeValue, resident)
	}
	if n, err := s.open(); err == nil {
		tell(processFiles, prometheus.GaugeValue, float64(n))
	}
	for resource, d := range map[int]*prometheus.Desc{syscall.RLIMIT_NOFILE: processMostFiles, syscall.RLIMIT_AS: processMaxVirtual} {
		var limit syscall.Rlimit
		if err := syscall.Getrlimit(resource, &limit); err == nil {
			tell(d, prometheus.GaugeValue, float64(limit.Cur))
		}
	}
	if received, sent, err := octets(s.content(s.netstat)); err == nil {
		tell(processReceived, prometheus.CounterValue, received)
		tell(processSent, prometheus.CounterValue, sent)
	}
}

// content is what a file of /proc says now. It is nothing where that can't be read.
func (s *self) content(f *os.File) string {
	for {
		n, err := f.ReadAt(s.room, 0)
		switch {
		case errors.Is(err, io.EOF):
			return string(s.room[:n])
		case err != nil:
			return ""
		}
		s.room = make([]byte, 2*len(s.room))
	}
}

// open is how many files are open. Linux says so since 6.2 as the size of the directory; before it they have to be counted.
func (s *self) open() (int, error) {
	if d, err := s.fds.Stat(); err == nil && d.Size() > 0 {
		return int(d.Size()), nil
	}
	return s.proc.FileDescriptorsLen()
}

// ticks is how many units of /proc make a second, on every system that Go knows.
const ticks = 100

// usage reads /proc/self/stat: seconds of processor time, bytes of virtual and of resident memory.
func usage(stat string) (cpu, virtual, resident float64, err error) {
	// The second field is the name of the program, which may have spaces and brackets of its own.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 22 {
		return 0, 0, 0, errors.New("/proc/self/stat is too short")
	}
	var n [4]float64
	for i, field := range []int{14, 15, 23, 24} { // By the numbers of proc_pid_stat(5), of which the first two are cut off.
		if n[i], err = strconv.ParseFloat(fields[field-3], 64); err != nil {
			return 0, 0, 0, err
		}
	}
	return (n[0] + n[1]) / ticks, n[2], n[3] * float64(os.Getpagesize()), nil
}

// octets reads /proc/self/net/netstat, where a line of names comes before each line of values.
func octets(netstat string) (received, sent float64, err error) {
	_, ext, found := strings.Cut("\n"+netstat, "\nIpExt: ")
	names, rest, _ := strings.Cut(ext, "\nIpExt: ")
	values, _, _ := strings.Cut(rest, "\n")
	n, v := strings.Fields(names), strings.Fields(values)
	in, out := slices.Index(n, "InOctets"), slices.Index(n, "OutOctets")
	if !found || in < 0 || out < 0 || len(n) != len(v) {
		return 0, 0, errors.New("/proc/self/net/netstat does not tell of octets")
	}
	received, err = strconv.ParseFloat(v[in], 64)
	if err == nil {
		sent, err = strconv.ParseFloat(v[out], 64)
	}
	return received, sent, err
}
