package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"strings"
)

const (
	pagePath    = "/"
	statusPath  = "/api/v1/status"
	healthyPath = "/-/healthy"
	gatewayPath = "/demo/gateway"
	readyPath   = "/-/ready"
	reloadPath  = "/-/reload"
)

// checkTelemetryPath refuses a path that metrics can't be served under.
func checkTelemetryPath(telemetry string) error {
	switch telemetry {
	case statusPath, healthyPath, readyPath, reloadPath, gatewayPath:
		return fmt.Errorf("telemetry path %s is already in use: choose another --web.telemetry-path", telemetry)
	}
	if !strings.HasPrefix(telemetry, "/") || telemetry != path.Clean(telemetry) || strings.ContainsAny(telemetry, "{}?# \t") {
		return fmt.Errorf("telemetry path %q is not a plain absolute path: set --web.telemetry-path to one like /metrics", telemetry)
	}
	return nil
}

// handler routes what the server answers.
func (s *Server) handler() http.Handler {
	telemetry := s.options.TelemetryPath
	mux := http.NewServeMux()
	if telemetry == pagePath {
		// Metrics at the root leave no room for the page; its JSON stays.
		mux.Handle("GET /{$}", s.options.Metrics)
	} else {
		mux.Handle("GET "+telemetry, s.options.Metrics)
		mux.HandleFunc("GET /{$}", s.page)
	}
	mux.HandleFunc("GET "+statusPath, s.status)
	mux.HandleFunc("GET "+healthyPath, s.healthy)
	if s.options.Gateway != nil {
		mux.Handle("GET "+gatewayPath, s.options.Gateway)
	}
	mux.HandleFunc("GET "+readyPath, s.ready)
	// A page elsewhere must not make a visitor's browser reload the exporter.
	mux.Handle("POST "+reloadPath, http.NewCrossOriginProtection().Handler(http.HandlerFunc(s.reload)))
	return secure(mux)
}

// secure sets headers that keep a browser from doing anything with an answer but showing it.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

func (s *Server) healthy(w http.ResponseWriter, _ *http.Request) {
	plain(w, http.StatusOK, "Healthy")
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	ready, waiting := s.readiness(s.options.Statuses.Status())
	switch {
	case ready:
		plain(w, http.StatusOK, "Ready")
	case len(waiting) == 0:
		plain(w, http.StatusServiceUnavailable, "Not ready: polling has not begun")
	default:
		plain(w, http.StatusServiceUnavailable, "Not ready: waiting for the first poll of "+strings.Join(waiting, ", "))
	}
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	if !s.options.EnableLifecycle || s.options.Reload == nil {
		plain(w, http.StatusForbidden, "Reload over HTTP is off: start with --web.enable-lifecycle, or send SIGHUP")
		return
	}
	err := s.options.Reload(r.Context())
	switch {
	case r.Context().Err() != nil: // Nobody is there to hear it.
	case err != nil:
		plain(w, http.StatusInternalServerError, "Configuration was not loaded, the one before goes on: "+err.Error())
	default:
		plain(w, http.StatusOK, "Configuration loaded")
	}
}

func (s *Server) status(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false) // It is read by people and programs, and no browser takes it for a page.
	r, found := s.asked(req)
	if !found {
		plain(w, http.StatusNotFound, notFound)
		return
	}
	if err := e.Encode(r); err != nil {
		plain(w, http.StatusInternalServerError, "Status could not be written: "+err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(b.Bytes())
}

const notFound = "This exporter polls no organization of this name"

// asked is the report of the organization that a request names, or of all of them.
func (s *Server) asked(req *http.Request) (r *Report, found bool) {
	only := req.URL.Query().Get("organization")
	r = s.report(only)
	return r, only == "" || len(r.Organizations) > 0
}

func plain(w http.ResponseWriter, code int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	fmt.Fprintln(w, line)
}
