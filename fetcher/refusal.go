package fetcher

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// maxRefusal bounds how much of an error's body is looked at; Cloudflare's pages are the longest.
const maxRefusal = 64 << 10

// maxMessage bounds what an error repeats of somebody else's text.
const maxMessage = 200

// maxRetryAfter bounds what a Retry-After is believed: a longer one is a mistake.
const maxRetryAfter = 24 * time.Hour

// keyPage says where the owner of an organization makes admin keys.
const keyPage = "Settings → Organization → Admin keys (https://platform.openai.com/settings/organization/admin-keys)"

// A refusal is what an error body says, in whichever of its shapes.
type refusal struct{ message, param, code string }

// parseRefusal reads {"error":{…}} and {"error":"text"}. HTML and empty bodies, as proxies send them, say nothing.
func parseRefusal(body []byte) refusal {
	var outer struct {
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(body, &outer) != nil {
		return refusal{}
	}
	var text string
	if json.Unmarshal(outer.Error, &text) == nil {
		return refusal{message: text}
	}
	// Fields are read one by one so that an odd type of one does not cost the others.
	var fields map[string]json.RawMessage
	if json.Unmarshal(outer.Error, &fields) != nil {
		return refusal{}
	}
	var r refusal
	_ = json.Unmarshal(fields["message"], &r.message) // What is no string stays empty.
	_ = json.Unmarshal(fields["param"], &r.param)
	_ = json.Unmarshal(fields["code"], &r.code)
	return r
}

var (
	keyLike       = regexp.MustCompile(`(?i)\b(?:sk|sess|pk)-[^\s"'<>,;)]+`)
	bearerLike    = regexp.MustCompile(`(?i)\bbearer\s+[^\s"'<>,;)]+`)
	userInfo      = regexp.MustCompile(`(://)[^/\s@"']*@`)
	missingScopes = regexp.MustCompile(`(?i)missing scopes?:\s*([a-z0-9_.-]*[a-z0-9_](?:\s*,\s*[a-z0-9_.-]*[a-z0-9_])*)`)
)

// clean makes a text of somebody else's fit for a log line and a page: one line, of bounded length, without anything
// that looks like a key, masked or not, or like a password in a URL.
func clean(s string) string {
	const enough = 4 * maxMessage
	if len(s) > enough {
		s = s[:enough]
	}
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "�"), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}), " ")
	s = bearerLike.ReplaceAllString(s, "Bearer …")
	s = keyLike.ReplaceAllString(s, "sk-…")
	s = userInfo.ReplaceAllString(s, "${1}…@")
	return shortenTo(s, maxMessage)
}

// shorten is for names that stand inside a sentence.
func shorten(s string) string { return shortenTo(clean(s), 40) }

func shortenTo(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n] + "…"
}

// An inquiry is what was asked, as far as an error's text needs it.
type inquiry struct {
	path       string
	scope      string
	dimensions []string // in the table's order
	baseURL    string
}

// refuse makes the error of an answer that is not 200. body is the beginning of what the API sent.
func refuse(q inquiry, status int, header http.Header, body []byte, now time.Time) *Error {
	r := parseRefusal(body)
	e := &Error{Status: status, RequestID: clean(header.Get("X-Request-Id")), RetryAfter: retryAfter(header, now)}
	said := clean(r.message)
	if said != "" {
		said = ": " + said
	}
	scopes := missingScopes.FindStringSubmatch(r.message)
	advice, advised := advise(q, status, r)
	switch {
	case advised:
		e.Class, e.text = advice.class, advice.text
		if status == http.StatusTooManyRequests {
			// What is used up does not come back within seconds.
			e.lasting = true
			e.text += waits(e.RetryAfter)
		}
	case (status == http.StatusUnauthorized || status == http.StatusForbidden) && (scopes != nil || strings.Contains(r.message, "insufficient permissions")):
		e.Class = ClassScope
		scope := q.scope
		if scopes != nil {
			scope = clean(scopes[1])
		}
		e.text = fmt.Sprintf("the admin key lacks the scope %s: create an admin key with it under %s", scope, keyPage)
	case status == http.StatusUnauthorized && codeLike.MatchString(r.code):
		// The message may echo a key, so only the code is repeated.
		e.Class = ClassForbidden
		e.text = fmt.Sprintf("the API denies access (401, %s): look up the code at https://platform.openai.com/docs/guides/error-codes", r.code)
	case status == http.StatusUnauthorized:
		// The API echoes a part of the key here, so what it says is not repeated.
		e.Class, e.text = ClassUnauthorized, advices["invalid_api_key"].text
	default:
		refuseByStatus(e, q, r, said)
	}
	return e
}

// refuseByStatus fills in what only the status tells.
func refuseByStatus(e *Error, q inquiry, r refusal, said string) {
	switch status := e.Status; {
	case status == http.StatusForbidden:
		e.Class = ClassForbidden
		e.text = fmt.Sprintf("the API denies access (403)%s; check the role of the admin key's owner and the network that the requests come from", said)
	case status == http.StatusNotFound:
		e.Class = ClassNotFound
		e.text = fmt.Sprintf("the API has no %s (404): this organization may not have it; otherwise check base_url (%s)", q.path, q.baseURL)
	case status == http.StatusTooManyRequests:
		e.Class = ClassThrottled
		e.text = "the API throttles requests (429)" + said + waits(e.RetryAfter)
	case status == http.StatusRequestTimeout || status >= 500:
		e.Class = ClassServer
		e.text = fmt.Sprintf("the API fails (%d %s)%s", status, statusText(status), said)
	case status < 300:
		e.Class = ClassBody
		e.text = fmt.Sprintf("the API answered without a page (%d %s)", status, statusText(status))
	case status < 400:
		e.Class = ClassRedirect
		e.text = fmt.Sprintf("%s answers with a redirect (%d), which is not followed because the key must not go elsewhere: set base_url to where the API is", q.baseURL, status)
	default:
		e.Class = ClassRequest
		e.Param = clean(r.param)
		e.Dimension = refusedDimension(r, q.dimensions)
		parameter := ""
		if e.Param != "" {
			parameter = " because of the parameter " + e.Param
		}
		e.text = fmt.Sprintf("the API refuses the request (%d)%s%s", status, parameter, said)
	}
}

// waits says what Retry-After asks for.
func waits(after time.Duration) string {
	if after <= 0 {
		return ""
	}
	return fmt.Sprintf("; it asks to wait %s", after)
}

// statusText knows Cloudflare's statuses too.
func statusText(status int) string {
	if t := http.StatusText(status); t != "" {
		return t
	}
	if status >= 520 && status < 530 {
		return "Cloudflare can't reach it"
	}
	return "unknown status"
}

// alternatives begins the part of a message that lists what would have been right.
var alternatives = regexp.MustCompile(`(?i)supported values|valid values|allowed values|supported dimensions|must be one of|expected one of|should be one of|available values`)

// refusedDimension finds the dimension that a 400 seems to be about, or "". The API's texts are not documented, so it goes
// by the parameter first, then by which of the dimensions asked for the message names, and last by which of them the
// message does not list among the right ones. One that is listed there is never the culprit. It is a guess: the same
// request without the dimension shows whether it is right.
func refusedDimension(r refusal, asked []string) string {
	fault, right := r.message, ""
	if at := alternatives.FindStringIndex(fault); at != nil {
		fault, right = fault[:at[0]], fault[at[1]:]
	}
	suspects := slices.DeleteFunc(slices.Clone(asked), func(d string) bool { return hasWord(right, d) })
	suspect := func(d string) string {
		if slices.Contains(suspects, d) {
			return d
		}
		return ""
	}
	if slices.Contains(asked, r.param) {
		return suspect(r.param)
	}
	rest, aboutGrouping := strings.CutPrefix(r.param, "group_by")
	if aboutGrouping {
		if i, err := strconv.Atoi(strings.Trim(rest, "[].")); err == nil && i >= 0 && i < len(asked) {
			return suspect(asked[i])
		}
	} else if r.param != "" {
		return "" // It is about bucket_width, start_time, limit or the like, whatever else the message names.
	}
	lower := strings.ToLower(r.message)
	aboutGrouping = aboutGrouping || strings.Contains(lower, "group_by") || strings.Contains(lower, "group by") || strings.Contains(lower, "grouping")
	// Where two don't go together the later one is given up, because the table lists the coarser ones first.
	for _, d := range slices.Backward(suspects) {
		// Without a word on grouping, "model" or "size" may be just words; what has an underscore is a name.
		if hasWord(fault, d) && (aboutGrouping || strings.Contains(d, "_")) {
			return d
		}
	}
	if aboutGrouping && len(suspects) > 0 && (right != "" || len(asked) == 1) {
		return suspects[len(suspects)-1]
	}
	return ""
}

// hasWord says whether the text has the name as a whole word.
func hasWord(text, name string) bool {
	part := func(c byte) bool {
		return c == '_' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
	}
	for at := 0; ; {
		i := strings.Index(text[at:], name)
		if i < 0 {
			return false
		}
		i += at
		at = i + len(name)
		if (i == 0 || !part(text[i-1])) && (at == len(text) || !part(text[at])) {
			return true
		}
	}
}

// retryAfter reads the header of that name: seconds, or a date by the API's own clock.
func retryAfter(h http.Header, now time.Time) time.Duration {
	s := strings.TrimSpace(h.Get("Retry-After"))
	if s == "" {
		return 0
	}
	var wait time.Duration
	if seconds, err := strconv.ParseFloat(s, 64); err == nil {
		if !(seconds > 0) { // NaN is no time to wait either.
			return 0
		}
		wait = time.Duration(min(seconds, maxRetryAfter.Seconds()) * float64(time.Second))
	} else if at, err := http.ParseTime(s); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}

// bodyError says why a 200 can't be used.
func bodyError(e *api.Endpoint, requestID string, err error) *Error {
	out := &Error{Class: ClassBody, Status: http.StatusOK, RequestID: requestID, err: err}
	var currency currencyError
	if errors.As(err, &currency) {
		out.Class = ClassCurrency
		out.text = currency.Error() + ": costs in other currencies can't be counted, switch the endpoint off"
		return out
	}
	out.text = clean(fmt.Sprintf("the answer is not a valid page of %s: %v", e.Name, err))
	return out
}

// readRefusal reads the beginning of an error's body; what can't be read is left out, since the status says the most.
func readRefusal(r io.Reader) []byte {
	body, _ := io.ReadAll(io.LimitReader(r, maxRefusal))
	return bytes.TrimSpace(body)
}
