package pricing

import (
	"encoding/json"
	"regexp"
	"strings"
)

// A clause says which names of models an entry of a list is about.
type clause struct {
	op    string
	text  string
	regex *regexp.Regexp
	parts []clause
}

const (
	noMatch    = -1
	exactMatch = 1 << 30
	maxDepth   = 20 // of clauses within clauses
)

// match returns how specific the match is: the longest piece of text that the list gave for it, or exactMatch. The most
// specific entry wins, so that a clause that begins like many names never takes what another entry names in full.
//
// With tuned set only clauses count that speak of fine-tuned models, since one that has "gpt-4o" somewhere means the
// base model, and its fine-tuned ones cost something else.
func (c *clause) match(name string, tuned bool) int {
	switch c.op {
	case "or":
		best := noMatch
		for i := range c.parts {
			best = max(best, c.parts[i].match(name, tuned))
		}
		return best
	case "and":
		best, said := 0, !tuned
		for i := range c.parts {
			m := c.parts[i].match(name, false)
			if m == noMatch {
				return noMatch
			}
			best = max(best, m)
			said = said || c.parts[i].match(name, true) != noMatch
		}
		if !said {
			return noMatch
		}
		return best
	}
	if tuned && !speaksOfTuned(c.text) {
		return noMatch
	}
	found := false
	switch c.op {
	case "equals":
		if name == c.text {
			return exactMatch
		}
	case "starts_with":
		found = strings.HasPrefix(name, c.text)
	case "ends_with":
		found = strings.HasSuffix(name, c.text)
	case "contains":
		found = strings.Contains(name, c.text)
	case "regex":
		if c.regex.MatchString(name) {
			return 0
		}
	}
	if found {
		return len(c.text)
	}
	return noMatch
}

func speaksOfTuned(s string) bool {
	s = strings.TrimPrefix(s, "^")
	return strings.HasPrefix(s, tunedUsage) || strings.HasPrefix(s, tunedBill)
}

// parseClause reads a clause. where names it in an error.
func parseClause(raw json.RawMessage, where place, depth int) (clause, error) {
	if depth > maxDepth {
		return clause{}, where.errorf("clauses are nested more than %d deep", maxDepth)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || len(members) != 1 {
		return clause{}, where.errorf(`want an object with one member, such as {"equals": "gpt-5"}`)
	}
	for op, v := range members {
		where := where.in(op)
		switch op {
		case "or", "and":
			var parts []json.RawMessage
			if err := json.Unmarshal(v, &parts); err != nil || len(parts) == 0 {
				return clause{}, where.errorf("want a list of clauses")
			}
			c := clause{op: op}
			for i, p := range parts {
				part, err := parseClause(p, where.at(i), depth+1)
				if err != nil {
					return clause{}, err
				}
				c.parts = append(c.parts, part)
			}
			return c, nil
		case "equals", "starts_with", "ends_with", "contains", "regex":
			c := clause{op: op}
			if err := json.Unmarshal(v, &c.text); err != nil || c.text == "" {
				return clause{}, where.errorf("want a non-empty string")
			}
			if op == "regex" {
				var err error
				if c.regex, err = regexp.Compile(c.text); err != nil {
					return clause{}, where.errorf("want a regular expression in RE2 syntax: %s", oneLine(err))
				}
			}
			return c, nil
		default:
			return clause{}, where.errorf("unknown clause, want equals, starts_with, ends_with, contains, regex, or, and")
		}
	}
	return clause{}, where.errorf("is empty") // An object with one member was dealt with above.
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
