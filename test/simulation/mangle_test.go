//go:build !race

package simulation_test

import (
	"bytes"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// A mangling is what becomes of an endpoint's answers for a while. One that does nothing is a refusal that misleads.
type mangling struct {
	until time.Time
	do    func(endpoint string, body []byte) []byte
}

// misleading blames a dimension, and is about something else: the answer is the same without it.
const misleading = `{"error":{"message":"Invalid value: 'project_id'. Supported values are: 'project_id', 'model', 'line_item' and 'user_id'.","type":"invalid_request_error","param":"group_by","code":null}}`

// manglings are answers that say what can't be, or say it in another way.
var manglings = []struct {
	name string
	do   func(endpoint string, body []byte) []byte
}{
	{"fields with new names", func(endpoint string, body []byte) []byte {
		e, _ := api.Find(endpoint)
		for i := range e.Measures {
			for _, field := range e.Measures[i].Fields {
				body = bytes.ReplaceAll(body, []byte(`,"`+field+`":`), []byte(`,"new_`+field+`":`))
			}
		}
		return body
	}},
	{"a page that is the last one and names the next", func(_ string, body []byte) []byte {
		return bytes.Replace(body, []byte(`],"has_more":true,"next_page":"`), []byte(`],"has_more":false,"next_page":"`), 1)
	}},
	{"a cursor without has_more", func(_ string, body []byte) []byte {
		return bytes.Replace(body, []byte(`],"has_more":true,"next_page":"`), []byte(`],"next_page":"`), 1)
	}},
	{"more without a cursor", func(_ string, body []byte) []byte {
		return bytes.Replace(body, []byte(`],"has_more":false,"next_page":null`), []byte(`],"has_more":true,"next_page":null`), 1)
	}},
	{"a misleading refusal", nil},
}

// both puts the list of rows that a bucket does not use beside the one that it does: it is null or empty there, and comes
// before or behind. The page is made in the room.
func both(body []byte, how int, room *bytes.Buffer) []byte {
	if how == 0 {
		return body
	}
	nothing := []string{"null", "[]"}[how%2]
	for _, names := range [][2]string{{"result", "results"}, {"results", "result"}} {
		is, other := `"`+names[0]+`":[`, `"`+names[1]+`":`+nothing
		if !bytes.Contains(body, []byte(is)) {
			continue
		}
		if how <= 2 {
			return beside(body, room, '[', func(at int) (int, string) {
				if before := at + 1 - len(is); before >= 0 && string(body[before:at+1]) == is {
					return before, other + ","
				}
				return 0, ""
			})
		}
		return beside(body, room, ']', func(at int) (int, string) {
			if bytes.HasPrefix(body[at:], []byte("]},{\"object\":\"bucket\"")) || bytes.HasPrefix(body[at:], []byte("]}],")) {
				return at + 1, "," + other
			}
			return 0, ""
		})
	}
	return body
}

// beside puts texts into a page: which and where is asked for at every bracket of a kind, of which there are few.
func beside(body []byte, room *bytes.Buffer, bracket byte, what func(at int) (where int, text string)) []byte {
	done := 0
	for at := 0; ; at++ {
		next := bytes.IndexByte(body[at:], bracket)
		if next < 0 {
			room.Write(body[done:])
			return room.Bytes()
		}
		at += next
		if where, text := what(at); text != "" {
			room.Write(body[done:where])
			room.WriteString(text)
			done = where
		}
	}
}
