package exporter

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"
)

func TestADemoWhoseSimulatorHasEndedDoesNotStart(t *testing.T) {
	refused := errors.New("refused")
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for name, tc := range map[string]struct {
		ctx   context.Context
		ended error
		want  error
	}{
		"told to stop while it starts": {stopped, nil, context.Canceled},
		"without an address":           {t.Context(), refused, refused},
	} {
		ended := make(chan error, 1)
		ended <- tc.ended
		if a, err := listens(tc.ctx, make(chan net.Addr), ended); a != nil || !errors.Is(err, tc.want) {
			t.Errorf("%s: the address is %v, the error %v, want %v", name, a, err, tc.want)
		}
	}
	// One that has just begun to listen ends as well.
	listening := make(chan net.Addr, 1)
	listening <- &net.TCPAddr{}
	if _, err := listens(stopped, listening, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("told to stop as it listens: the error is %v", err)
	}
}

// What a gateway sees is there without a request to the API's own port.
func TestTheDemoHasAGateway(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	d, err := startDemo(t.Context(), log.NewNopLogger(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.stop()
	w := httptest.NewRecorder()
	d.gateway.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/demo/gateway", nil))
	for _, name := range []string{"gen_ai_client_inference_usage_input_tokens_total{", "gen_ai_client_token_usage_sum{", "litellm_output_tokens_metric_total{", "agentgateway_gen_ai_client_token_usage_sum{"} {
		if !strings.Contains(w.Body.String(), name) {
			t.Errorf("the gateway counts nothing as %s", name)
		}
	}
}
