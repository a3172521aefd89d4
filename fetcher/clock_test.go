package fetcher_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-exporter/openai_exporter/fetcher"
)

// dated is an answer whose Date is wrong by ahead, before status and headers of its own.
func dated(ahead time.Duration, status int, header ...string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
		for i := 0; i+1 < len(header); i += 2 {
			if header[i+1] == "" {
				w.Header().Del(header[i])
				continue
			}
			w.Header().Set(header[i], header[i+1])
		}
		return status != http.StatusOK && says(status, "<html>")(w, r)
	}
}

func TestAWrongDateThatIsNotTheAPIsLastingOneMovesNothing(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, tc := range []struct {
		name    string
		answers []func(http.ResponseWriter, *http.Request) bool
	}{
		{"one page of a gateway", []func(http.ResponseWriter, *http.Request) bool{dated(year, 502)}},
		{"two pages of a gateway", []func(http.ResponseWriter, *http.Request) bool{dated(-year, 502), dated(-year, 503)}},
		{"one answer", []func(http.ResponseWriter, *http.Request) bool{dated(year, 200)}},
		{"one answer, back", []func(http.ResponseWriter, *http.Request) bool{dated(-3*time.Hour, 200)}},
		{"two answers that disagree", []func(http.ResponseWriter, *http.Request) bool{dated(year, 200), dated(-year, 200)}},
		{"answers of a cache", []func(http.ResponseWriter, *http.Request) bool{dated(-time.Hour, 200, "Age", "3600"), dated(-time.Hour, 200, "Age", "3601")}},
		{"one answer, given twice by a cache", []func(http.ResponseWriter, *http.Request) bool{
			dated(-time.Hour, 200, "X-Request-Id", "req_same"), dated(-time.Hour, 200, "X-Request-Id", "req_same"),
		}},
		{"one answer, and one that is not the API's", []func(http.ResponseWriter, *http.Request) bool{dated(year, 200), dated(year, 200, "X-Request-Id", "")}},
		{"answers that are not the API's", []func(http.ResponseWriter, *http.Request) bool{dated(year, 200, "X-Request-Id", ""), dated(year, 200, "X-Request-Id", "")}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				seen := &witness{}
				c := client(t, serve(t, &fake{before: first(tc.answers...)}), seen)
				for range 4 {
					r, err := c.Read(t.Context(), embeddings(t, minutes(3)))
					if err != nil {
						t.Fatal(err)
					}
					if off := time.Until(r.AsOf).Abs(); off > time.Second {
						t.Errorf("AsOf is %s off", off)
					}
					if off := time.Until(c.Now()).Abs(); off > time.Second {
						t.Errorf("Now is %s off", off)
					}
				}
				if lines := seen.logged("level=warn"); len(lines) > 0 {
					t.Errorf("warned: %v", lines)
				}
			})
		})
	}
}

// TestTheDateOfARedirectionMovesNothing: anyone who answers so is not the API, whatever else the head of the answer says.
func TestTheDateOfARedirectionMovesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ahead := dated(365*24*time.Hour, http.StatusMultipleChoices)
		c := client(t, serve(t, &fake{before: first(ahead, ahead, ahead)}), &witness{})
		for range 3 {
			if _, err := c.Read(t.Context(), embeddings(t, minutes(3))); err == nil {
				t.Error("a redirection is taken for an answer")
			}
			if off := time.Until(c.Now()).Abs(); off > time.Second {
				t.Errorf("Now is %s off", off)
			}
		}
	})
}

func TestAnOffsetThatLastsIsFollowedHoweverLarge(t *testing.T) {
	for _, ahead := range []time.Duration{-20 * 365 * 24 * time.Hour, -time.Minute, time.Minute, 20 * 365 * 24 * time.Hour} {
		t.Run(fmt.Sprint(ahead), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := client(t, serve(t, &fake{before: func(w http.ResponseWriter, r *http.Request) bool { return dated(ahead, 200)(w, r) }}), &witness{})
				r, err := c.Read(t.Context(), embeddings(t, minutes(3)))
				if err != nil {
					t.Fatal(err)
				}
				if off := (time.Until(r.AsOf) - ahead).Abs(); off > time.Second {
					t.Errorf("AsOf is %s off", off)
				}
				if off := (time.Until(c.Now()) - ahead).Abs(); off > time.Second {
					t.Errorf("Now is %s off", off)
				}
			})
		})
	}
}

func TestAClockThatRunsMuchFasterIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const speed = 60
		begin := time.Now()
		shows := func() time.Time { return begin.Add(-1000*time.Hour + speed*time.Since(begin)) }
		f := &fake{before: func(w http.ResponseWriter, r *http.Request) bool { return dated(time.Until(shows()), 200)(w, r) }}
		c := client(t, serve(t, f), &witness{}, func(o *fetcher.ClientOptions) { o.RequestsPerMinute = 60 })
		for range 20 {
			if _, err := c.Read(t.Context(), embeddings(t, minutes(3))); err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
		}
		if behind := shows().Sub(c.Now()); behind.Abs() > 10*speed*time.Second {
			t.Errorf("Now is %s behind a clock that runs %d times as fast", behind, speed)
		}
	})
}

func TestAReadWithOneWrongDateIsNotBooked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		wrong := false
		f := &fake{before: func(w http.ResponseWriter, r *http.Request) bool {
			mu.Lock()
			defer mu.Unlock()
			if wrong {
				wrong = false
				return dated(100*time.Hour, 200)(w, r)
			}
			return false
		}}
		seen := &witness{}
		a := open(t, nil, options(t, "embeddings"))
		covered := &coverage{Feed: a.feeds[0]}
		schedule(t, seen, fetcher.Organization{Name: "acme", Client: client(t, serve(t, f), seen), Endpoints: one(t, covered)})
		for range 5 {
			pass(3 * time.Minute)
			mu.Lock()
			wrong = true
			mu.Unlock()
		}
		if n := len(covered.all()); n < 12 {
			t.Errorf("%d reads were booked in a quarter of an hour", n)
		}
		for _, r := range covered.all() {
			if r.AsOf.After(time.Now()) {
				t.Errorf("booked as of %s, which is yet to come", r.AsOf)
			}
		}
		for _, p := range seen.of("embeddings") {
			if p.err != nil {
				t.Errorf("a poll failed: %v", p.err)
			}
		}
	})
}
