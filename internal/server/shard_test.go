package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/openai-exporter/openai_exporter/internal/server"
	"github.com/openai-exporter/openai_exporter/internal/shard"
)

func TestAShardSaysWhichOneItIs(t *testing.T) {
	o := described(t)
	o.Shard = shard.Shard{Index: 1, Count: 3, Unit: shard.Organization}
	r := start(t, o)
	if page := r.do(t, http.MethodGet, "/").body; !strings.Contains(page, "shard 1/3") {
		t.Error("the page does not say so")
	}
	body := r.do(t, http.MethodGet, "/api/v1/status").body
	var report server.Report
	if err := json.Unmarshal([]byte(body), &report); err != nil {
		t.Fatal(err)
	}
	if report.Shard == nil || *report.Shard != (server.Shard{Index: 1, Count: 3, By: "organization"}) {
		t.Errorf("the status says %+v", report.Shard)
	}
	s, root := loadSchema(t)
	var v any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatal(err)
	}
	for _, w := range s.check(root, v, "status") {
		t.Error(w)
	}
}

// A stateful set starts the next replica when this one is ready.
func TestAShardWithNothingToPollIsReady(t *testing.T) {
	nothing := new(source)
	var begun atomic.Bool
	r := start(t, server.Options{Views: nothing, Statuses: nothing, Idle: begun.Load})
	if a := r.do(t, http.MethodGet, "/-/ready"); a.code != http.StatusServiceUnavailable {
		t.Errorf("before anything is known it answers %d", a.code)
	}
	begun.Store(true)
	if a := r.do(t, http.MethodGet, "/-/ready"); a.code != http.StatusOK {
		t.Errorf("it answers %d %s", a.code, a.body)
	}
	if page := r.do(t, http.MethodGet, "/").body; !strings.Contains(page, "Nothing to poll: this shard has no organization") {
		t.Error("the page does not say why it is empty")
	}
}
