package simulator

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An answer is what a request gets, before faults.
type answer struct {
	status int
	body   []byte
	// stream, if set, writes the body instead: a page may be too large to be held.
	stream func(io.Writer)
}

func (s *Simulator) serve(w http.ResponseWriter, r *http.Request) {
	v := s.view()
	now := v.o.Clock()
	n := s.counter.Add(1)
	if v.o.ByContent {
		n = hashOf(uint64(now.UnixNano()), r.URL.Path, r.URL.RawQuery)
	}
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	entry := Request{Time: now, Endpoint: endpointName(path), Path: r.URL.Path, Query: r.URL.Query()}

	h := w.Header()
	h.Set("Date", now.UTC().Format(http.TimeFormat))
	h.Set("X-Request-Id", fmt.Sprintf("req_%016x%016x", mix2(v.o.Seed^saltRequestID, n), mix2(v.o.Seed, n^saltRequestID)))
	h.Set("Content-Type", "application/json")
	h.Set("Openai-Version", "2020-10-01")

	f := fault{}
	a := v.authorize(r, entry.Endpoint)
	if a == nil {
		f = v.fault(n, entry.Endpoint)
	}
	entry.Fault = f.name
	if !wait(r, v.o.Faults.Latency+f.wait) {
		s.log.add(entry)
		panic(http.ErrAbortHandler) // The client has gone: there is nobody to answer.
	}
	if a == nil && f.status == 0 {
		a = v.answer(r, path, now)
	}
	// The log is written before the answer, so that a client that has it finds its request there.
	switch {
	case f.name == faultReset:
	case f.status != 0:
		entry.Status = f.status
	default:
		entry.Status = a.status
	}
	s.log.add(entry)
	f.write(w, a)
}

// wait waits for d, or until the client has gone.
func wait(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// The messages of the API, as published by those who got them.
const (
	noKey        = "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
	wrongKey     = "Incorrect API key provided: %s. You can find your API key at https://platform.openai.com/account/api-keys."
	missingScope = "You have insufficient permissions for this operation. Missing scopes: %s. Check that you have the correct role in your organization (Reader, Writer, Owner) and project (Member, Owner), and if you're using a restricted API key, that it has the necessary scopes."

	managementScope = "api.management.read"
)

// authorize refuses a request without a key that may ask, and returns nil for one that may.
func (v *view) authorize(r *http.Request, endpoint string) *answer {
	key, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !bearer || key == "" {
		return refuse(&refusal{status: http.StatusUnauthorized, message: noKey, kind: "invalid_request_error"})
	}
	scope, keys := managementScope, slices.Concat(v.o.KeysWithoutManagement, v.o.KeysWithoutScope)
	if _, ok := v.s.org.sources[endpoint]; ok {
		scope, keys = v.s.org.sources[endpoint].endpoint.Scope, v.o.KeysWithoutScope
	}
	if i := slices.Index(keys, key); i >= 0 {
		message := fmt.Sprintf(missingScope, scope)
		if scope == managementScope {
			return refuse(&refusal{status: http.StatusForbidden, message: message, kind: "invalid_request_error"})
		}
		// Both statuses and both shapes occur; each key and endpoint has its own.
		switch hashOf(v.o.Seed, "scope", endpoint, strconv.Itoa(i)) % 3 {
		case 0:
			return refuse(&refusal{status: http.StatusUnauthorized, message: message, kind: "invalid_request_error"})
		case 1:
			return refuse(&refusal{status: http.StatusForbidden, message: message, kind: "invalid_request_error"})
		}
		return &answer{status: http.StatusForbidden, body: marshal(map[string]string{"error": message})}
	}
	if v.o.AdminKey != "" && key != v.o.AdminKey {
		return refuse(&refusal{status: http.StatusUnauthorized, message: fmt.Sprintf(wrongKey, masked(key)), kind: "invalid_request_error", code: "invalid_api_key"})
	}
	return nil
}

// masked is how the API echoes a key: its first eight and last four characters.
func masked(key string) string {
	const first, last = 8, 4
	if len(key) <= first+last {
		return strings.Repeat("*", len(key))
	}
	return key[:first] + strings.Repeat("*", len(key)-first-last) + key[len(key)-last:]
}

func refuse(r *refusal) *answer {
	orNull := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	return &answer{status: r.status, body: marshal(map[string]any{"error": map[string]any{
		"message": r.message, "type": orNull(r.kind), "param": orNull(r.param), "code": orNull(r.code),
	}})}
}

func marshal(x any) []byte {
	b, err := json.MarshalIndent(x, "", "  ")
	if err != nil {
		panic(err) // What is marshalled here are maps, strings and numbers.
	}
	return append(b, '\n')
}

func unknown(method, path string) *answer {
	return refuse(&refusal{status: http.StatusNotFound, message: fmt.Sprintf("Invalid URL (%s %s)", method, path), kind: "invalid_request_error"})
}

// answer answers a request that is allowed and befallen by no fault.
func (v *view) answer(r *http.Request, path string, now time.Time) *answer {
	name := endpointName(path)
	if name == "" || !strings.HasPrefix(r.URL.Path, "/v1/") || slices.Contains(v.o.Missing, name) {
		return unknown(r.Method, r.URL.Path)
	}
	if r.Method != http.MethodGet {
		return refuse(&refusal{status: http.StatusMethodNotAllowed, message: fmt.Sprintf("Not allowed to %s on %s.", r.Method, r.URL.Path), kind: "invalid_request_error", code: "method_not_supported"})
	}
	e, ok := endpointOf(path)
	if !ok {
		return v.lookUp(path, r.URL.Query(), now)
	}
	q, bad := v.parseQuery(e, r.URL.Query(), now)
	if bad != nil {
		return refuse(bad)
	}
	return &answer{status: http.StatusOK, stream: func(w io.Writer) { v.page(w, q, now.Unix()) }}
}

// endpointName is the name that a path below /v1/ goes by: the endpoint table's, or the look-up's. It is empty for a
// path that the API does not have.
func endpointName(path string) string {
	if e, ok := endpointOf(path); ok {
		return e.Name
	}
	parts := strings.Split(path, "/")
	if parts[0] != "organization" {
		return ""
	}
	switch {
	case len(parts) == 2:
		switch parts[1] {
		case "projects", "users", "admin_api_keys":
			return parts[1]
		case "spend_limit":
			return "spend_limits"
		}
	case len(parts) == 4 && parts[1] == "projects" && parts[2] != "":
		switch parts[3] {
		case "api_keys", "rate_limits", "service_accounts":
			return parts[3]
		case "users":
			return "project_users"
		case "spend_limit":
			return "spend_limits"
		}
	}
	return ""
}
