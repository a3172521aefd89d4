package verify

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// A Verdict counts what a comparison found.
type Verdict struct{ Compared, Different int }

// Print writes the sums that differ, or all of them, as a table, then the totals of the range.
func Print(w io.Writer, sums []Sum, tolerance float64, all bool) (Verdict, error) {
	v := Verdict{Compared: len(sums)}
	var rows []Sum
	for _, s := range sums {
		equal := s.Equal(tolerance)
		if !equal {
			v.Different++
		}
		if all || !equal {
			rows = append(rows, s)
		}
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	if len(rows) > 0 {
		_, _ = fmt.Fprintln(t, "DAY\tORGANIZATION\tENDPOINT\tPROJECT\tMEASURE\tAPI\tRECORDED\tDIFFERENCE\tSHARE\t")
		for _, s := range rows {
			line(t, s.Day.Format(time.DateOnly), s)
		}
		_, _ = fmt.Fprintln(t)
		if err := t.Flush(); err != nil {
			return v, err
		}
	}
	_, _ = fmt.Fprintln(t, "\tORGANIZATION\tENDPOINT\tPROJECT\tMEASURE\tAPI\tRECORDED\tDIFFERENCE\tSHARE\t")
	for _, s := range totals(sums) {
		line(t, "total", s)
	}
	return v, t.Flush()
}

func line(w io.Writer, day string, s Sum) {
	project := s.Project
	if project == "" {
		project = "–"
	}
	_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", day, s.Organization, s.Endpoint, project, s.Measure,
		number(s.API), number(s.Recorded), signed(s), share(s.Share()))
}

// totals adds up projects and days.
func totals(sums []Sum) []Sum {
	var out []Sum
	for _, s := range sums {
		i := slices.IndexFunc(out, func(o Sum) bool {
			return o.Organization == s.Organization && o.Endpoint == s.Endpoint && o.Measure == s.Measure
		})
		if i < 0 {
			i = len(out)
			out = append(out, Sum{Organization: s.Organization, Endpoint: s.Endpoint, Measure: s.Measure, Project: "all"})
		}
		out[i].API += s.API
		out[i].Recorded += s.Recorded
	}
	return out
}

// number spells an amount with as many decimals as matter in a table.
func number(f float64) string {
	s := strconv.FormatFloat(f, 'f', 6, 64)
	return strings.TrimRight(strings.TrimRight(s, "0"), ".")
}

func signed(s Sum) string {
	if s.Share() == 0 {
		return "0"
	}
	text := number(s.Difference())
	if s.Difference() > 0 {
		text = "+" + text
	}
	return text
}

func share(f float64) string {
	switch {
	case f == 0:
		return "0 %"
	case math.IsInf(f, 0):
		return "not in the API"
	}
	return fmt.Sprintf("%+.4f %%", 100*f)
}
