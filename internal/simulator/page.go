package simulator

import (
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// chunk is how much of a page is held before it is written: a page may be hundreds of megabytes.
const chunk = 64 << 10

// rooms are what pages are held in, since most are much smaller than a chunk.
var rooms = sync.Pool{New: func() any {
	b := make([]byte, 0, chunk+chunk/8)
	return &b
}}

// page writes the answer to a query: whole buckets, oldest first, empty ones too. Data is as the API sees it at asOf;
// the first page's now only decides where the last bucket ends.
func (v *view) page(w io.Writer, q *query, asOf int64) {
	width := int64(q.width.Duration / time.Second)
	bound := q.now
	if q.endpoint.IsCosts() {
		bound = q.now + 1 // The running day is there from its first second.
	}
	if q.end != 0 {
		bound = min(bound, q.end)
	}
	room := rooms.Get().(*[]byte)
	p := printer{v: v, q: q, w: w, b: (*room)[:0], g: v.groups(q)}
	defer func() {
		*room = p.b
		rooms.Put(room)
	}()
	p.b = append(p.b, `{"object":"page","data":[`...)
	start, n := q.start, int64(0)
	r := v.read(asOf)
	for ; start < bound && n < q.limit && p.err == nil; n++ {
		if len(p.b) >= chunk {
			p.flush()
		}
		if n > 0 {
			p.b = append(p.b, ',')
		}
		if m := p.hourOfBuckets(r, start, bound, q.limit-n); m > 0 {
			start += m * width
			n += m - 1
			continue
		}
		boundary := start - mod(start, width) + width
		end := boundary
		if !q.endpoint.IsCosts() {
			if q.end != 0 {
				end = min(end, q.end)
			} else {
				end = min(end, q.now)
			}
		}
		p.bucket(r, start, end)
		start = boundary
	}
	p.b = append(p.b, `],"has_more":`...)
	if start < bound {
		p.b = append(p.b, `true,"next_page":`...)
		p.text(cursor(q.now, q.fraction, start))
	} else {
		p.b = append(p.b, `false,"next_page":null`...)
	}
	p.b = append(p.b, "}\n"...)
	p.flush()
}

// A printer writes a page.
type printer struct {
	v     *view
	q     *query
	w     io.Writer
	err   error // the client has gone
	b     []byte
	g     *grouping
	room  scratch // of one bucket, used again for the next
	parts int     // how often what is held was written
	day   int64   // that date is of
	date  []byte
}

// groups are those that a query asks for.
func (v *view) groups(q *query) *grouping {
	if q.endpoint.IsCosts() {
		return v.s.billGroups(q.endpoint, q.groupBy, q.filters)
	}
	return v.s.usageGroups(v.s.source(q.endpoint), q.groupBy, q.filters)
}

func (p *printer) flush() {
	if p.err == nil {
		_, p.err = p.w.Write(p.b)
	}
	p.b = p.b[:0]
	p.parts++
}

func (p *printer) text(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // A string always marshals.
			p.b = append(p.b, quoted...)
			return
		}
	}
	p.b = append(append(append(p.b, '"'), s...), '"')
}

func (p *printer) field(name string) {
	p.b = append(p.b, ',')
	p.text(name)
	p.b = append(p.b, ':')
}

// orNull prints a string, or null where it is empty.
func (p *printer) orNull(s string) {
	if s == "" {
		p.b = append(p.b, "null"...)
		return
	}
	p.text(s)
}

// moment prints a time as an offset of zero has it.
func (p *printer) moment(at int64) {
	if day := at / 86400; len(p.date) == 0 || day != p.day {
		p.day, p.date = day, time.Unix(at, 0).UTC().AppendFormat(p.date[:0], "2006-01-02T")
	}
	p.b = append(p.b, p.date...)
	for i, n := range [...]int64{at / 3600 % 24, at / 60 % 60, at % 60} {
		if i > 0 {
			p.b = append(p.b, ':')
		}
		p.b = append(p.b, byte('0'+n/10), byte('0'+n%10))
	}
	p.b = append(p.b, "+00:00"...)
}

func (p *printer) newBucket(r *reading, start, end int64) {
	e := p.q.endpoint
	p.b = append(p.b, `{"object":"bucket","start_time":`...)
	p.b = strconv.AppendInt(p.b, start, 10)
	p.b = append(p.b, `,"end_time":`...)
	p.b = strconv.AppendInt(p.b, end, 10)
	p.b = append(p.b, `,"start_time_iso":"`...)
	p.moment(start)
	p.b = append(p.b, `","end_time_iso":"`...)
	p.moment(end)
	p.b = append(p.b, `",`...)
	p.text(p.v.o.ResultKey)
	p.b = append(p.b, `:[`...)
	var rows []row
	if e.IsCosts() {
		rows = p.v.costRows(p.g, p.q.groupBy, len(p.q.filters) > 0, start/86400, r.asOf)
	} else {
		rows = p.v.usageRows(r, p.v.s.source(e), p.g, len(p.q.groupBy) > 0, start, end, &p.room)
	}
	for i := range rows {
		if i > 0 {
			p.b = append(p.b, ',')
		}
		p.b = append(p.b, `{"object":`...)
		p.text(e.Object)
		if e.IsCosts() {
			p.costs(&rows[i])
		} else {
			p.usage(&rows[i], start)
		}
		p.dimensions(&rows[i])
		p.extras(&rows[i])
		p.b = append(p.b, '}')
		if len(p.b) >= chunk {
			p.flush()
		}
	}
	p.b = append(p.b, "]}"...)
}

// always is how many measures of an endpoint every row has. The others came over the years: where they are zero, a row
// may have them, have null, or not have them.
const always = 3

func (p *printer) usage(r *row, start int64) {
	for i := range p.q.endpoint.Measures {
		m := &p.q.endpoint.Measures[i]
		name, value := m.Fields[0], r.cell.measure(m.Name)
		if start < p.v.o.LegacyBefore.Unix() {
			name = m.Fields[len(m.Fields)-1]
		}
		null := false
		if i >= always && value == 0 {
			switch r.style % 4 {
			case 2:
				continue
			case 3:
				null = true
			}
		}
		p.field(name)
		if null {
			p.b = append(p.b, "null"...)
		} else {
			p.b = strconv.AppendInt(p.b, value, 10)
		}
	}
}

func (p *printer) costs(r *row) {
	p.b = append(p.b, `,"amount":{"value":`...)
	if p.v.o.StringAmounts {
		p.b = append(append(append(p.b, '"'), r.amount.text...), '"')
	} else {
		p.b = append(p.b, r.amount.text...)
	}
	p.b = append(p.b, `,"currency":"usd"},"quantity":`...)
	if r.quantity.text == nil {
		p.b = append(p.b, "null"...)
	} else {
		p.b = append(p.b, r.quantity.text...)
	}
	for _, a := range p.q.endpoint.Attributes {
		p.field(a.Name)
		p.orNull(r.attribute(a.Name))
	}
}

// dimensions prints every dimension of the endpoint, null where it is not grouped by.
func (p *printer) dimensions(r *row) {
	for _, d := range p.q.endpoint.Dimensions {
		p.field(d.Name)
		i := slices.Index(p.q.groupBy, d.Name)
		switch {
		case i < 0 && d.Name == "project_id" && r.byLine:
			p.orNull(r.project)
		case i < 0:
			p.b = append(p.b, "null"...)
		case d.Name == "batch" && r.labels[i] != "":
			p.b = append(p.b, r.labels[i]...)
		case d.Name == "project_id" && r.labels[i] == "" && r.blank:
			p.b = append(p.b, `""`...)
		default:
			p.orNull(r.labels[i])
		}
	}
}

// extras prints what no documentation speaks of.
func (p *printer) extras(r *row) {
	if !p.q.endpoint.IsCosts() && r.style>>8%2 == 0 {
		return
	}
	org := p.v.s.org
	p.field("organization_id")
	p.text(org.id)
	p.field("organization_name")
	p.text(org.name)
	project, user := r.project, ""
	for i, d := range p.q.groupBy {
		switch d {
		case "project_id":
			project = r.labels[i]
		case "user_id":
			user = r.labels[i]
		}
	}
	for i := range org.projects {
		if org.projects[i].ID == project && project != "" {
			p.field("project_name")
			p.text(org.projects[i].Name)
		}
	}
	for i := range org.users {
		if org.users[i].ID == user && user != "" {
			p.field("user_email")
			p.text(org.users[i].Email)
		}
	}
}

// endpointOf finds the endpoint of the table that a path below /v1/ names.
func endpointOf(path string) (*api.Endpoint, bool) {
	for i := range api.Endpoints {
		if api.Endpoints[i].Path == path {
			return &api.Endpoints[i], true
		}
	}
	return nil, false
}
