package collector

import (
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/procfs"
)

// A self tells of our process what the client library's collector does, and reads what that one reads, by the same library.
// But when the process began is read once, and its limits are asked of the kernel: to read both for every scrape takes that
// one as long as all the rest, and more than it takes to serve half a megabyte.
type self struct {
	process procfs.Proc
	began   prometheus.Metric
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
	other := collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})
	p, err := procfs.Self()
	if err != nil {
		return other
	}
	stat, err := p.Stat()
	if err != nil {
		return other
	}
	began, err := stat.StartTime()
	if err != nil {
		return other
	}
	return &self{p, prometheus.MustNewConstMetric(processStart, prometheus.GaugeValue, began)}
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
	tell := func(d *prometheus.Desc, t prometheus.ValueType, value float64) {
		out <- prometheus.MustNewConstMetric(d, t, value)
	}
	out <- s.began
	if stat, err := s.process.Stat(); err == nil {
		tell(processCPU, prometheus.CounterValue, stat.CPUTime())
		tell(processVirtual, prometheus.GaugeValue, float64(stat.VirtualMemory()))
		tell(processResident, prometheus.GaugeValue, float64(stat.ResidentMemory()))
	}
	if n, err := s.process.FileDescriptorsLen(); err == nil {
		tell(processFiles, prometheus.GaugeValue, float64(n))
	}
	for resource, d := range map[int]*prometheus.Desc{syscall.RLIMIT_NOFILE: processMostFiles, syscall.RLIMIT_AS: processMaxVirtual} {
		var limit syscall.Rlimit
		if err := syscall.Getrlimit(resource, &limit); err == nil {
			tell(d, prometheus.GaugeValue, float64(limit.Cur))
		}
	}
	if n, err := s.process.Netstat(); err == nil && n.InOctets != nil && n.OutOctets != nil {
		tell(processReceived, prometheus.CounterValue, *n.InOctets)
		tell(processSent, prometheus.CounterValue, *n.OutOctets)
	}
}
