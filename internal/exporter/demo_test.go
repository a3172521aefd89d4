package exporter

import (
	"context"
	"errors"
	"net"
	"testing"
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
}
