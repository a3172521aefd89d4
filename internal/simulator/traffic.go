package simulator

// The leaves are the numbers that traffic is made of. Measures are sums of leaves, so that parts always add up to
// their whole, in a half-visible minute too.
const (
	leafRequests = iota
	leafInText
	leafInAudio
	leafInImage
	leafCachedText
	leafCachedAudio
	leafCachedImage
	leafWrite30m
	leafWrite12h
	leafOutText
	leafOutAudio
	leafOutImage
	leafUnits // images, characters, seconds, sessions, calls, bytes
	leaves
)

// A cell is the traffic of one label set in one stretch of time.
type cell [leaves]int64

func (c *cell) add(d *cell) {
	for i := range c {
		c[i] += d[i]
	}
}

func (c *cell) zero() bool { return *c == cell{} }

// measureLeaves says which leaves a measure is the sum of, by the name the endpoint table has for it. A measure that is
// not here yet counts requests, so a new line of the table is served at once.
var measureLeaves = map[string][]int{
	"requests":                     {leafRequests},
	"input_tokens":                 {leafInText, leafInAudio, leafInImage, leafCachedText, leafCachedAudio, leafCachedImage, leafWrite30m, leafWrite12h},
	"output_tokens":                {leafOutText, leafOutAudio, leafOutImage},
	"input_cached_tokens":          {leafCachedText, leafCachedAudio, leafCachedImage},
	"input_uncached_tokens":        {leafInText, leafInAudio, leafInImage},
	"input_cache_write_tokens":     {leafWrite30m, leafWrite12h},
	"input_cache_write_30m_tokens": {leafWrite30m},
	"input_cache_write_12h_tokens": {leafWrite12h},
	"input_text_tokens":            {leafInText},
	"input_audio_tokens":           {leafInAudio},
	"input_image_tokens":           {leafInImage},
	"input_cached_text_tokens":     {leafCachedText},
	"input_cached_audio_tokens":    {leafCachedAudio},
	"input_cached_image_tokens":    {leafCachedImage},
	"output_text_tokens":           {leafOutText},
	"output_audio_tokens":          {leafOutAudio},
	"output_image_tokens":          {leafOutImage},
	"images":                       {leafUnits},
	"characters":                   {leafUnits},
	"audio_seconds":                {leafUnits},
	"vector_store_bytes":           {leafUnits},
	"code_interpreter_sessions":    {leafUnits},
	"file_search_calls":            {leafUnits},
	"web_search_calls":             {leafUnits},
}

// measure returns the value of a measure.
func (c *cell) measure(name string) int64 {
	parts, ok := measureLeaves[name]
	if !ok {
		return c[leafRequests]
	}
	var sum int64
	for _, i := range parts {
		sum += c[i]
	}
	return sum
}

// A rhythm is how traffic follows the day and the week, in thousandths of its peak.
type rhythm struct {
	hours   [24]int64 // UTC
	weekend int64     // thousandths of a weekday
}

var (
	office = rhythm{[24]int64{60, 50, 40, 40, 50, 80, 180, 420, 700, 850, 920, 900, 850, 930, 1000, 1000, 960, 850, 650, 480, 340, 230, 150, 90}, 220}
	steady = rhythm{[24]int64{620, 580, 550, 540, 550, 600, 680, 760, 830, 880, 920, 940, 950, 970, 990, 1000, 990, 970, 930, 890, 840, 780, 720, 670}, 850}
	nights = rhythm{[24]int64{300, 1000, 1000, 900, 500, 120, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 60, 120, 200}, 1000}
)

func (r *rhythm) at(minute int64) int64 {
	f := r.hours[(minute/60)%24]
	if day := (minute/1440 + 4) % 7; day == 0 || day == 6 { // 1970-01-01 was a Thursday.
		f = f * r.weekend / 1000
	}
	return f
}

// A leafMean is the mean of a leaf per request, in thousandths.
type leafMean struct {
	leaf  int
	milli int64
}

// A stream is the traffic of one full label set. Two streams may share their labels: the API then serves two rows.
type stream struct {
	labels map[string]string
	// project is the one of its labels, which is looked at for every minute.
	project string
	id      uint64
	rhythm  *rhythm
	rate    int64 // requests a minute at the peak, in thousandths
	means   []leafMean
	// every, if set, makes the stream sparse: it sees one request in that many hours, which costs nearly nothing to
	// have.
	every int64
	// runaway streams go wild for six hours now and then.
	runaway bool
	// level makes the stream a stock of so many bytes, give or take.
	level int64
	// variant keeps the stream's rows apart from those of streams with equal labels.
	variant string
	model   *pricedModel
	long    bool // beyond the size at which a model's long-context prices begin
}

const (
	runawayWindow = 6 * 60 // minutes
	runawayOneIn  = 37
	runawayTimes  = 25
)

// requests is how many requests the stream sees in a minute, and the draw that the rest of the minute follows from.
func (st *stream) requests(minute, scale int64) (n int64, h uint64) {
	if st.every > 0 {
		if minute != st.only(minute) {
			return 0, 0
		}
		return 1, mix2(st.id^saltTraffic, uint64(minute))
	}
	mean := st.rate * st.rhythm.at(minute) / 1000 * scale / 1000
	if st.runaway && mix2(st.id^saltRunaway, uint64(minute/runawayWindow))%runawayOneIn == 0 {
		mean *= runawayTimes
	}
	h = mix2(st.id^saltTraffic, uint64(minute))
	x := mean * int64(512+h%1024) / 1024
	n = x / 1000
	if int64(h>>10%1000) < x%1000 {
		n++
	}
	return n, h >> 20
}

// only is the minute of a sparse stream's request, in the same hours as the given minute.
func (st *stream) only(minute int64) int64 {
	n := minute / (60 * st.every)
	return n*60*st.every + int64(mix2(st.id^saltSparse, uint64(n))%uint64(60*st.every))
}

// fill sets the cell to n requests.
func (st *stream) fill(c *cell, n int64, h uint64) {
	*c = cell{leafRequests: n}
	for i, m := range st.means {
		if i%4 == 0 {
			h = mix(h)
		}
		x := n * m.milli * int64(768+h%512) / 1024
		h >>= 9
		c[m.leaf] = (x + 999) / 1000
	}
}

// at sets the cell to the final value of a minute and says whether there is any.
func (st *stream) at(c *cell, minute, scale int64) bool {
	n, h := st.requests(minute, scale)
	if n == 0 {
		return false
	}
	st.fill(c, n, h)
	return true
}

// bytes is the level of a stock in an hour: it rises for a month, is cleaned up over the next one, and wobbles.
func (st *stream) bytes(hour int64) int64 {
	const half = 720
	phase := (hour + int64(st.id%(2*half))) % (2 * half)
	if phase >= half {
		phase = 2*half - phase
	}
	wobble := int64(mix2(st.id^saltTraffic, uint64(hour)) % 1024)
	return st.level + st.level*phase/half/2 + wobble*1000
}
