package faults_test

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// traces are the shapes in which the key must not appear: whole, its parts, and as it would stand in a header that
// somebody has encoded.
func traces(key string) []string {
	return []string{key, key[:len(key)/2], key[len(key)-12:], base64.StdEncoding.EncodeToString([]byte(key))}
}

// hides fails where a text betrays the key.
func hides(t *testing.T, where, text, key string) {
	t.Helper()
	for _, trace := range traces(key) {
		if i := strings.Index(text, trace); i >= 0 {
			t.Errorf("%s betrays the key: …%s…", where, text[max(0, i-60):min(len(text), i+80)])
			return
		}
	}
}

// echo is an API that repeats the key wherever it can.
func echo(rw http.ResponseWriter, r *http.Request, honest http.Handler) bool {
	key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	rw.Header().Set("X-Request-Id", "req_"+key)
	switch {
	case asks(r, "completions"):
		rw.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(rw, `{"error":{"message":"Incorrect API key provided: %s. You can find your API key at …","code":"invalid_api_key"}}`, key)
	case asks(r, "embeddings"):
		rw.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(rw, `{"error":{"message":"Bad header Authorization: Bearer %s","param":"%s"}}`, key, key)
	case asks(r, "images"):
		rw.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(rw, `{"error":%q}`, "no upstream for https://user:"+key+"@gateway/"+key)
	case asks(r, "moderations"):
		rw.Header().Set("Location", "https://elsewhere.example/?key="+key)
		rw.WriteHeader(http.StatusFound)
	case asks(r, "audio_speeches"):
		fmt.Fprintf(rw, `{"object":"%s","data":"%s"}`, key, key)
	case asks(r, "audio_transcriptions"):
		fmt.Fprintf(rw, `{"object":"page","data":[{"start_time":"%s"}]}`, key)
	case asks(r, "projects"):
		rw.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(rw, `{"error":{"message":"key=%s lacks api.management.read"}}`, key)
	default:
		return false
	}
	return true
}

// TestTheKeyIsNowhereToBeSeen runs the real binary at every level of its log, against an API that takes the key and
// against one that repeats it in every error, and looks through all that leaves the process.
func TestTheKeyIsNowhereToBeSeen(t *testing.T) {
	for _, level := range []string{"debug", "info", "warn", "error"} {
		for name, source := range map[string]string{"file": "api_key_file: key", "environment": "api_key_env: SECRET_OF_THE_TEST"} {
			if level == "info" && name == "file" || level == "error" && name == "environment" {
				continue // What a level hides is the same for both.
			}
			t.Run(level+" "+name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, simulator.Options{Seed: 31})
				w.let(echo)
				format := map[string]string{"file": "logfmt", "environment": "json"}[name]
				e := configured(t, w.baseURL(), adminKey, fast+"counters: {zero_hold: 0s}\n", "--log.level="+level, "--log.format="+format, "--web.enable-lifecycle")
				config := filepath.Join(e.dir, "config.yml")
				text, err := os.ReadFile(config)
				if err != nil {
					t.Fatal(err)
				}
				honest := strings.Replace(string(text), "api_key_file: key", source, 1)
				write(t, config, honest)
				e.env = []string{"SECRET_OF_THE_TEST=" + adminKey}
				// A quiet log does not say where it listens.
				address := free(t)
				e.args[0] = "--web.listen-address=" + address
				e.start().url = "http://" + address
				eventually(t, "the API to have refused", func() error {
					f, err := e.scrape()
					if err != nil {
						return err
					}
					for _, endpoint := range []string{"completions", "embeddings", "images", "moderations", "audio_speeches", "audio_transcriptions"} {
						if f.sum("openai_exporter_polls_total", "endpoint", endpoint, "outcome", "error") == 0 {
							return fmt.Errorf("%s has not failed", endpoint)
						}
					}
					if f.sum("openai_exporter_polls_total", "endpoint", "costs", "outcome", "success") == 0 {
						return fmt.Errorf("costs were not read")
					}
					return nil
				})
				// A configuration with the key itself in it, as who mistakes the setting writes it.
				write(t, config, strings.Replace(honest, source, "api_key_file: key, api_key: "+adminKey, 1))
				if _, reload := e.post("/-/reload"); !strings.Contains(reload, "api_key") {
					t.Errorf("the reload says %q", reload)
				} else {
					hides(t, "the reload", reload, adminKey)
				}
				for _, path := range []string{"/", "/metrics", "/api/v1/status", "/-/ready", "/-/healthy", "/nothing", "/debug/pprof/cmdline"} {
					resp, body, err := e.get(path)
					if err != nil {
						t.Fatal(err)
					}
					hides(t, path, string(body)+fmt.Sprint(resp.Header), adminKey)
				}
				cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", e.cmd.Process.Pid))
				if err != nil {
					t.Fatal(err)
				}
				hides(t, "/proc/…/cmdline", string(cmdline), adminKey)
				// The Go runtime writes out every goroutine.
				e.end(syscall.SIGQUIT)
				if !strings.Contains(e.log.String(), "goroutine ") {
					t.Error("there is no dump")
				}
				hides(t, "the log or the dump", e.log.String(), adminKey)
				err = filepath.WalkDir(filepath.Join(e.dir, "data"), func(path string, d fs.DirEntry, err error) error {
					if err != nil || d.IsDir() {
						return err
					}
					state, err := os.ReadFile(path)
					hides(t, path, string(state), adminKey)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestAKeyThatEverybodyCanReadIsWarnedOf(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 32})
	e := configured(t, w.baseURL(), adminKey, fast)
	if err := os.Chmod(filepath.Join(e.dir, "key"), 0o644); err != nil {
		t.Fatal(err)
	}
	e.listen()
	eventually(t, "the warning", func() error {
		if !strings.Contains(e.log.String(), "can be read by every user of this machine") {
			return fmt.Errorf("no warning in %s", e.log)
		}
		return nil
	})
}
