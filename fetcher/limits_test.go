package fetcher_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/directory"
)

func TestEveryLimitResidencyAndOwnerThatTheAPITellsIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := []struct{ path, data string }{
			{"/projects/proj_a/rate_limits", `{"id":"1","model":"m","max_requests_per_1_minute":3,"max_tokens_per_1_minute":4,"max_images_per_1_minute":5,"max_audio_megabytes_per_1_minute":6,"max_requests_per_1_day":7,"batch_1_day_max_input_tokens":8000000000},
				{"id":"2","model":"daily","max_requests_per_1_day":7},
				{"id":"3","model":"none","max_requests_per_1_minute":2147483647,"max_requests_per_1_day":2147483647,"batch_1_day_max_input_tokens":2147483647}`},
			{"/projects/proj_a/api_keys", `{"id":"key_u","owner":{"type":"user","user":{"id":"user_1","name":"Ann"}}},
				{"id":"key_s","owner":{"type":"service_account","service_account":{"id":"svc_1","name":"batch"}}}`},
			{"/admin_api_keys", `{"id":"key_a","owner":{"type":"user","id":"user_1","name":"Ann"}}`},
			{"/organization/projects", `{"id":"proj_a","name":"A","status":"active","residency":"EU_STORAGE_PROCESSING"}`},
			{"/organization/users", ""},
		}
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, a := range answers {
				if strings.HasSuffix(r.URL.Path, a.path) {
					says(200, `{"object":"list","data":[`+a.data+`],"has_more":false}`)(w, r)
					return
				}
			}
			says(404, "")(w, r)
		})
		seen := &witness{}
		d, entry := known(t, false)
		schedule(t, seen, fetcher.Organization{
			Name: "acme", Client: client(t, serve(t, handler), seen),
			Lookups: fetcher.Lookups{Directory: entry, NamesInterval: 10 * time.Minute, LimitsInterval: 10 * time.Minute},
		})
		pass(time.Minute)
		o := d.Snapshot().Organizations[0]
		if diff := cmp.Diff([]directory.Project{{ID: "proj_a", Name: "A", Status: "active", Residency: "EU_STORAGE_PROCESSING"}}, o.Projects); diff != "" {
			t.Errorf("projects (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]directory.RateLimit{
			{ProjectID: "proj_a", Model: "m", RequestsPerMinute: 3, TokensPerMinute: 4, ImagesPerMinute: 5, AudioMegabytesPerMinute: 6, RequestsPerDay: 7, BatchInputTokensPerDay: 8_000_000_000},
			{ProjectID: "proj_a", Model: "daily", RequestsPerDay: 7},
		}, o.RateLimits); diff != "" {
			t.Errorf("rate limits (-want +got):\n%s", diff)
		}
		names := map[string]string{}
		for _, k := range o.Keys {
			names[k.ID] = k.OwnerName
		}
		if diff := cmp.Diff(map[string]string{"key_u": "Ann", "key_s": "batch", "key_a": "Ann"}, names); diff != "" {
			t.Errorf("owners (-want +got):\n%s", diff)
		}
	})
}
