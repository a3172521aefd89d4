package simulator

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// A query is a request for usage or costs, understood. Times are Unix seconds.
type query struct {
	endpoint *api.Endpoint
	width    api.Width
	start    int64
	end      int64 // 0 where the request has none
	groupBy  []string
	filters  map[string][]string // by dimension
	limit    int64
	now      int64 // the first page's now
	fraction uint32
}

// A refusal is an error in the API's shape.
type refusal struct {
	status               int
	message, kind, param string
	code                 string
}

func invalid(param, format string, args ...any) *refusal {
	return &refusal{status: http.StatusBadRequest, message: fmt.Sprintf(format, args...), kind: "invalid_request_error", param: param, code: "invalid_value"}
}

// parseQuery reads the parameters of a usage or costs request that arrives at now.
func (v *view) parseQuery(e *api.Endpoint, q url.Values, now time.Time) (*query, *refusal) {
	out := &query{endpoint: e, now: now.Unix(), fraction: uint32(now.Nanosecond())}
	var bad *refusal
	if out.width, bad = parseWidth(e, q.Get("bucket_width")); bad != nil {
		return nil, bad
	}
	if !q.Has("start_time") {
		return nil, &refusal{http.StatusBadRequest, "Missing required parameter: 'start_time'.", "invalid_request_error", "start_time", "missing_required_parameter"}
	}
	if out.start, bad = parseTime(q, "start_time"); bad != nil {
		return nil, bad
	}
	if q.Has("end_time") {
		if out.end, bad = parseTime(q, "end_time"); bad != nil {
			return nil, bad
		}
	}
	if !e.IsCosts() && q.Has("end_time") && out.end <= out.start {
		return nil, invalid("end_time", "Invalid 'end_time': must be after 'start_time'.")
	}
	const day = 86400
	if e.IsCosts() {
		out.start -= mod(out.start, day)
		if q.Has("end_time") && out.end < out.start+day {
			return nil, invalid("end_time", "Invalid 'end_time': must be on a later UTC day than 'start_time'.")
		}
		out.end = ceil(out.end, day)
	} else {
		out.start -= mod(out.start, 60)
	}
	if out.groupBy, bad = v.parseGroupBy(e, q, out.start); bad != nil {
		return nil, bad
	}
	if out.filters, bad = parseFilters(e, q); bad != nil {
		return nil, bad
	}
	out.limit = int64(out.width.Default)
	if s := q.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		switch {
		case err != nil:
			return nil, invalid("limit", "Invalid type for 'limit': expected an integer, but got %q instead.", s)
		case n < 1:
			return nil, invalid("limit", "Invalid 'limit': integer below minimum value. Expected a value >= 1, but got %d instead.", n)
		case n > out.width.Max:
			return nil, invalid("limit", "Invalid 'limit': integer above maximum value. Expected a value <= %d for bucket_width=%s, but got %d instead.", out.width.Max, out.width.Name, n)
		}
		out.limit = int64(n)
	}
	if page := q.Get("page"); page != "" {
		next, now, fraction, ok := parseCursor(page)
		if !ok {
			return nil, invalid("page", "Invalid 'page': not a cursor of this endpoint.")
		}
		out.start, out.now, out.fraction = next, now, fraction
	}
	return out, nil
}

func parseWidth(e *api.Endpoint, name string) (api.Width, *refusal) {
	if name == "" {
		name = "1d" // The default of every endpoint.
	}
	if w, ok := e.Width(name); ok {
		return w, nil
	}
	var names []string
	for _, w := range e.Widths {
		names = append(names, w.Name)
	}
	return api.Width{}, invalid("bucket_width", "Invalid value: '%s'. Supported values are: %s.", name, quoted(names))
}

func parseTime(q url.Values, name string) (int64, *refusal) {
	n, err := strconv.ParseInt(q.Get(name), 10, 64)
	if err != nil || n < 0 || n > 1<<40 {
		return 0, invalid(name, "Invalid type for '%s': expected Unix seconds, but got %q instead.", name, q.Get(name))
	}
	return n, nil
}

// array reads a parameter in every spelling that production takes: repeated, comma-joined, and with brackets.
func array(q url.Values, name string) []string {
	var out []string
	for _, key := range []string{name, name + "[]"} {
		for _, joined := range q[key] {
			for s := range strings.SplitSeq(joined, ",") {
				if s != "" && !slices.Contains(out, s) {
					out = append(out, s)
				}
			}
		}
	}
	return out
}

func (v *view) parseGroupBy(e *api.Endpoint, q url.Values, start int64) ([]string, *refusal) {
	wanted := array(q, "group_by")
	for _, name := range wanted {
		refused := !e.Supports(name)
		for _, r := range v.o.RejectGroupBy[e.Name] {
			all := true
			first, _, _ := strings.Cut(r, "+")
			for part := range strings.SplitSeq(r, "+") {
				all = all && slices.Contains(wanted, part)
			}
			refused = refused || all && first == name
		}
		if refused {
			var names []string
			for _, d := range e.Dimensions {
				if d.Name != name {
					names = append(names, d.Name)
				}
			}
			return nil, invalid("group_by", "Invalid value: '%s'. Supported values are: %s.", name, quoted(names))
		}
		if d, _ := e.Dimension(name); !d.Since.IsZero() && start < d.Since.Unix() {
			return nil, invalid("group_by", "Invalid value: '%s'. Grouping by '%s' is not supported for a start_time before %d.", name, name, d.Since.Unix())
		}
	}
	return e.GroupBy(wanted), nil
}

func quoted(names []string) string {
	var b strings.Builder
	for i, n := range names {
		switch {
		case i > 0 && i == len(names)-1:
			b.WriteString(", and ")
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString("'" + n + "'")
	}
	return b.String()
}

func parseFilters(e *api.Endpoint, q url.Values) (map[string][]string, *refusal) {
	out := make(map[string][]string)
	for _, name := range e.Filters {
		values := array(q, name)
		if name == "line_items" {
			// A line item has commas of its own, so this one is never joined.
			values = slices.Concat(q[name], q[name+"[]"])
		}
		if len(values) == 0 {
			continue
		}
		// A filter is named after its dimension, in the plural; batch is a single one.
		dimension := strings.TrimSuffix(name, "s")
		if name == "batch" && values[0] != "true" && values[0] != "false" {
			return nil, invalid("batch", "Invalid type for 'batch': expected a boolean, but got %q instead.", values[0])
		}
		out[dimension] = values
	}
	return out, nil
}

// A cursor holds the first page's now and where the next page starts, as the published ones do: eight bytes of
// seconds, four of their fraction, eight of the next start.
func cursor(now int64, fraction uint32, next int64) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(now))
	b = binary.BigEndian.AppendUint32(b, fraction)
	b = binary.BigEndian.AppendUint64(b, uint64(next))
	return "page_" + base64.StdEncoding.EncodeToString(b)
}

func parseCursor(s string) (next, now int64, fraction uint32, ok bool) {
	encoded, found := strings.CutPrefix(s, "page_")
	b, err := base64.StdEncoding.DecodeString(encoded)
	if !found || err != nil || len(b) != 20 {
		return 0, 0, 0, false
	}
	now, next = int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[12:]))
	if now < 0 || next < 0 || now > 1<<41 || next > 1<<41 {
		return 0, 0, 0, false
	}
	return next, now, binary.BigEndian.Uint32(b[8:]), true
}

func mod(n, m int64) int64 { return (n%m + m) % m }

func ceil(n, m int64) int64 { return n + mod(-n, m) }
