package backfill

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/openai-exporter/openai_exporter/fetcher"
)

// linesEvery is how often progress is said where there is no terminal.
const linesEvery = 10 * time.Second

// A Progress says how far a backfill is: as a bar on a terminal, as plain lines elsewhere. It is the client's observer,
// for it counts the requests. A nil Progress says nothing.
type Progress struct {
	terminal io.Writer
	logger   log.Logger

	mu          sync.Mutex
	began, said time.Time
	before      int // buckets that an earlier run has read
	done, total int
	requests    int
	at          string
	shown       bool
}

// NewProgress returns one that draws a bar on the terminal, or logs plain lines where there is none.
func NewProgress(terminal io.Writer, logger log.Logger) *Progress {
	return &Progress{terminal: terminal, logger: logger}
}

// Request counts a request.
func (p *Progress) Request(string, string, string, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests++
	p.say(false)
}

// Poll and Audit never happen here: windows are read by the backfill itself.
func (p *Progress) Poll(string, string, time.Duration, error) {}

// Audit is never called.
func (p *Progress) Audit(string, string, error) {}

var _ fetcher.Observer = (*Progress)(nil)

func (p *Progress) begin(done, total int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.began, p.before, p.done, p.total = time.Now(), done, done, total
	p.say(true)
}

func (p *Progress) reading(organization, endpoint string, from time.Time) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = fmt.Sprintf("%s %s %s", organization, endpoint, from.UTC().Format("2006-01-02 15:04"))
	p.say(false)
}

func (p *Progress) add(buckets int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += buckets
	p.say(false)
}

func (p *Progress) end() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.say(true)
	if p.terminal != nil {
		_, _ = io.WriteString(p.terminal, "\n")
		p.shown = false
	}
}

// clear makes room for a line of the log.
func (p *Progress) clear() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wipe()
}

const wipeLine = "\r\x1b[2K"

func (p *Progress) wipe() {
	if p.shown {
		_, _ = io.WriteString(p.terminal, wipeLine)
		p.shown = false
	}
}

// say shows where things are; a log is told now and then, a terminal at once.
func (p *Progress) say(now bool) {
	if p.total == 0 {
		return
	}
	left := "?"
	if d, ok := p.left(); ok {
		left = d.String()
	}
	if p.terminal == nil {
		if now || time.Since(p.said) >= linesEvery {
			p.said = time.Now()
			level.Info(p.logger).Log("msg", "Reading the past", "buckets", p.done, "of", p.total, "requests", p.requests, "time_left", left, "at", p.at)
		}
		return
	}
	const width, columns = 20, 79
	full := width * p.done / p.total
	line := []rune(fmt.Sprintf("%s%s %3d %%  %d/%d buckets  %d requests  %s left  %s",
		strings.Repeat("█", full), strings.Repeat("░", width-full), 100*p.done/p.total, p.done, p.total, p.requests, left, p.at))
	// A line that wraps can't be wiped.
	_, _ = io.WriteString(p.terminal, wipeLine+string(line[:min(len(line), columns)]))
	p.shown = true
}

// left is how long the rest will take at the pace of this run.
func (p *Progress) left() (time.Duration, bool) {
	read := p.done - p.before
	if p.done == p.total {
		return 0, true
	}
	if read <= 0 {
		return 0, false
	}
	each := time.Since(p.began) / time.Duration(read)
	return (each * time.Duration(p.total-p.done)).Round(time.Second), true
}
