package collector

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/metrics"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// An encoder writes metrics in a format. It is our own because a poll may change a million series: expfmt, against which
// it is tested, takes ten times as long.
type encoder interface {
	// head appends what stands before the samples of a metric. size is what size returns, added up over its blocks.
	head(b []byte, m *metrics.Metric, size int) []byte
	size(b *block) int
	// block appends the samples of a block.
	block(b []byte, src *block) ([]byte, error)
	// end appends what stands after everything.
	end(b []byte) []byte
}

// encoderOf returns the encoder of a format, nil for one that is asked for so rarely that expfmt is good enough.
func encoderOf(f expfmt.Format) encoder {
	switch f.FormatType() {
	case expfmt.TypeTextPlain:
		return textEncoder{}
	case expfmt.TypeOpenMetrics:
		return textEncoder{open: true, startTimestamps: f.Version() == expfmt.OpenMetricsVersion_2_0_0}
	case expfmt.TypeProtoDelim:
		return protoEncoder{}
	}
	return nil
}

// A textEncoder writes Prometheus' text format or, if it is open, OpenMetrics: version 2.0 with the start timestamps of counters, or 1.0.
type textEncoder struct{ open, startTimestamps bool }

func (e textEncoder) head(b []byte, m *metrics.Metric, _ int) []byte {
	name, kind := m.Name, m.Type
	if e.open && !e.startTimestamps && kind == metrics.Counter {
		name = strings.TrimSuffix(name, "_total")
	}
	if kind == metrics.Histogram && !e.startTimestamps {
		kind = "summary" // Without buckets that is what it is: a sum and a count.
	}
	b = append(append(append(b, "# HELP "...), name...), ' ')
	b = append(appendEscaped(b, m.Help, e.open), "\n# TYPE "...)
	b = append(append(append(append(b, name...), ' '), kind...), '\n')
	if e.open && m.Unit != "" {
		b = append(append(append(b, "# UNIT "...), name...), ' ')
		b = append(append(b, m.Unit...), '\n')
	}
	return b
}

func (e textEncoder) size(*block) int { return 0 }

func (e textEncoder) block(b []byte, src *block) ([]byte, error) {
	if src.histograms != nil && e.startTimestamps {
		return appendSamples(b, src, expfmt.FmtOpenMetrics_2_0_0)
	}
	for i := range src.samples {
		s := &src.samples[i]
		if src.histograms != nil {
			h := src.histograms[i]
			b = e.float(e.series(b, src.metric.Name, "_sum", s.labels), h.GetSampleSum())
			b = append(b, '\n')
			b = strconv.AppendUint(e.series(b, src.metric.Name, "_count", s.labels), h.GetSampleCount(), 10)
			b = append(b, '\n')
			continue
		}
		b = e.float(e.series(b, src.metric.Name, "", s.labels), s.value)
		if e.startTimestamps && s.created != 0 {
			b = appendMilliseconds(append(b, " st@"...), s.created)
		}
		b = append(b, '\n')
	}
	return b, nil
}

func (e textEncoder) end(b []byte) []byte {
	if e.open {
		b = append(b, "# EOF\n"...)
	}
	return b
}

func (e textEncoder) series(b []byte, name, suffix string, labels *labelSet) []byte {
	b = append(append(b, name...), suffix...)
	if labels.text != "" {
		b = append(append(append(b, '{'), labels.text...), '}')
	}
	return append(b, ' ')
}

// float appends a number as strconv writes it with "g", which is what expfmt does, or in OpenMetrics so that it is no
// integer.
func (e textEncoder) float(b []byte, f float64) []byte {
	// Most numbers are small and whole. From 21 digits on, and in "g" from 1e6 on, an exponent is written.
	if n := int64(f); n > -1e6 && n < 1e6 && float64(n) == f && (n != 0 || !math.Signbit(f)) {
		if b = strconv.AppendInt(b, n, 10); e.open {
			b = append(b, ".0"...)
		}
		return b
	}
	switch {
	case f == 0: // Negative zero.
		b = append(b, '0')
		if e.open {
			b = append(b, ".0"...)
		}
		return b
	case math.IsNaN(f):
		return append(b, "NaN"...)
	case math.IsInf(f, 1):
		return append(b, "+Inf"...)
	case math.IsInf(f, -1):
		return append(b, "-Inf"...)
	}
	begin := len(b)
	b = strconv.AppendFloat(b, f, 'g', -1, 64)
	if e.open && !bytes.ContainsAny(b[begin:], "e.") {
		b = append(b, ".0"...)
	}
	return b
}

// appendMilliseconds appends a time in Unix milliseconds as seconds, without zeros at the end.
func appendMilliseconds(b []byte, ms int64) []byte {
	b = strconv.AppendInt(b, ms/1000, 10)
	if ms%1000 == 0 {
		return b
	}
	return append(b, strings.TrimRight(fmt.Sprintf(".%03d", ms%1000), "0")...)
}

// appendSamples appends the samples of a block as expfmt writes them.
func appendSamples(b []byte, src *block, f expfmt.Format) ([]byte, error) {
	var text bytes.Buffer
	if err := expfmt.NewEncoder(&text, f).Encode(src.family()); err != nil {
		return nil, err
	}
	for line := range bytes.Lines(text.Bytes()) {
		if line[0] != '#' {
			b = append(b, line...)
		}
	}
	return b, nil
}

// family is the block as the client library has it.
func (b *block) family() *dto.MetricFamily {
	types := map[metrics.Type]dto.MetricType{metrics.Counter: dto.MetricType_COUNTER, metrics.Gauge: dto.MetricType_GAUGE, metrics.Histogram: dto.MetricType_HISTOGRAM}
	f := &dto.MetricFamily{Name: proto.String(b.metric.Name), Help: proto.String(b.metric.Help), Type: types[b.metric.Type].Enum()}
	if b.metric.Unit != "" {
		f.Unit = proto.String(b.metric.Unit)
	}
	for i := range b.samples {
		f.Metric = append(f.Metric, b.library(i))
	}
	return f
}

// library is a sample as the client library has it.
func (b *block) library(i int) *dto.Metric {
	s := &b.samples[i]
	m := &dto.Metric{}
	for j := range s.labels.pairs {
		p := &s.labels.pairs[j]
		m.Label = append(m.Label, &dto.LabelPair{Name: &p.Name, Value: &p.Value})
	}
	switch b.metric.Type {
	case metrics.Counter:
		m.Counter = &dto.Counter{Value: proto.Float64(s.value)}
		if s.created != 0 {
			m.Counter.CreatedTimestamp = timestamppb.New(time.UnixMilli(s.created))
		}
	case metrics.Gauge:
		m.Gauge = &dto.Gauge{Value: proto.Float64(s.value)}
	case metrics.Histogram:
		m.Histogram = b.histograms[i]
	}
	return m
}

// The numbers of the fields of a protobuf message, with their types, as they stand before each.
const (
	familyName   = 1<<3 | byte(protowire.BytesType)
	familyHelp   = 2<<3 | byte(protowire.BytesType)
	familyType   = 3<<3 | byte(protowire.VarintType)
	familyMetric = 4<<3 | byte(protowire.BytesType)
	familyUnit   = 5<<3 | byte(protowire.BytesType)
	metricLabel  = 1<<3 | byte(protowire.BytesType)
	metricGauge  = 2<<3 | byte(protowire.BytesType)
	metricCount  = 3<<3 | byte(protowire.BytesType)
	pairName     = 1<<3 | byte(protowire.BytesType)
	pairValue    = 2<<3 | byte(protowire.BytesType)
	valueNumber  = 1<<3 | byte(protowire.Fixed64Type)
	countCreated = 3<<3 | byte(protowire.BytesType)
	timeSeconds  = 1<<3 | byte(protowire.VarintType)
	timeNanos    = 2<<3 | byte(protowire.VarintType)
)

// A protoEncoder writes Prometheus' protobuf format: messages with their length before them.
type protoEncoder struct{}

func (protoEncoder) head(b []byte, m *metrics.Metric, size int) []byte {
	types := map[metrics.Type]dto.MetricType{metrics.Counter: dto.MetricType_COUNTER, metrics.Gauge: dto.MetricType_GAUGE, metrics.Histogram: dto.MetricType_HISTOGRAM}
	head := appendText(appendText(nil, familyName, m.Name), familyHelp, m.Help)
	head = append(head, familyType, byte(types[m.Type]))
	if m.Unit != "" {
		head = appendText(head, familyUnit, m.Unit)
	}
	return append(protowire.AppendVarint(b, uint64(len(head)+size)), head...)
}

func (e protoEncoder) size(b *block) int {
	total := int(b.sized.Load())
	if total == 0 {
		for i := range b.samples {
			total += lengthed(e.metric(b, i))
		}
		b.sized.Store(int64(total))
	}
	return total
}

func (e protoEncoder) block(b []byte, src *block) ([]byte, error) {
	for i := range src.samples {
		s := &src.samples[i]
		b = append(b, familyMetric)
		b = protowire.AppendVarint(b, uint64(e.metric(src, i)))
		for j := range s.labels.pairs {
			p := &s.labels.pairs[j]
			b = append(b, metricLabel)
			b = protowire.AppendVarint(b, uint64(lengthed(len(p.Name))+lengthed(len(p.Value))))
			b = appendText(appendText(b, pairName, p.Name), pairValue, p.Value)
		}
		switch {
		case src.histograms != nil:
			var err error
			if b, err = (proto.MarshalOptions{}).MarshalAppend(b, &dto.Metric{Histogram: src.histograms[i]}); err != nil {
				return nil, err
			}
		case src.metric.Type == metrics.Counter:
			b = append(b, metricCount, byte(9+s.startSize()), valueNumber)
			b = protowire.AppendFixed64(b, math.Float64bits(s.value))
			if n := s.startSize(); n > 0 {
				b = append(b, countCreated, byte(n-2), timeSeconds)
				b = protowire.AppendVarint(b, uint64(s.created/1000))
				if nanos := s.created % 1000 * 1e6; nanos != 0 {
					b = protowire.AppendVarint(append(b, timeNanos), uint64(nanos))
				}
			}
		default:
			b = append(b, metricGauge, 9, valueNumber)
			b = protowire.AppendFixed64(b, math.Float64bits(s.value))
		}
	}
	return b, nil
}

func (protoEncoder) end(b []byte) []byte { return b }

// metric is the length of a sample's message.
func (protoEncoder) metric(b *block, i int) int {
	s := &b.samples[i]
	n := s.labels.wire
	switch {
	case b.histograms != nil:
		return n + proto.Size(&dto.Metric{Histogram: b.histograms[i]})
	case b.metric.Type == metrics.Counter:
		return n + lengthed(9+s.startSize())
	}
	return n + lengthed(9)
}

// startSize is the length of the field that says when a counter began, 0 without one.
func (s *sample) startSize() int {
	if s.created == 0 {
		return 0
	}
	n := 1 + protowire.SizeVarint(uint64(s.created/1000))
	if nanos := s.created % 1000 * 1e6; nanos != 0 {
		n += 1 + protowire.SizeVarint(uint64(nanos))
	}
	return lengthed(n)
}

// lengthed is the length of a field of that length, with its number and its length before it.
func lengthed(n int) int { return 1 + protowire.SizeBytes(n) }

func appendText(b []byte, field byte, text string) []byte {
	b = protowire.AppendVarint(append(b, field), uint64(len(text)))
	return append(b, text...)
}
