package simulator

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// A Project is a project of the simulated organization.
type Project struct {
	ID, Name string
	Created  int64 // Unix seconds
	Archived int64 // Unix seconds, 0 while it is active
	// SpendLimitCents is the monthly limit, 0 where none is set.
	SpendLimitCents int64
	// Residency is where its data are kept and processed.
	Residency string
}

// A User is a member of the organization.
type User struct {
	ID, Name, Email, Role string
	Added                 int64
}

// A Key is an API key of a project.
type Key struct {
	ID, Name, ProjectID string
	UserID              string // the owner; empty when it is a service account
	ServiceAccountID    string
	ServiceAccountName  string
	Created             int64
	// Deleted keys are listed no more, while their usage remains.
	Deleted bool
}

type organization struct {
	seed     uint64
	id, name string
	projects []Project
	users    []User
	keys     []Key
	sources  map[string]*source
	items    []billItem
}

// A source is the traffic of one endpoint.
type source struct {
	endpoint *api.Endpoint
	dense    []*stream
	sparse   []*stream
}

func (src *source) stream(i int) *stream {
	if i < len(src.dense) {
		return src.dense[i]
	}
	return src.sparse[i-len(src.dense)]
}

func (src *source) len() int { return len(src.dense) + len(src.sparse) }

const (
	founded       = 1_704_067_200 // 2024-01-01
	limitOfOrg    = 25_000_00     // cents
	unlimited     = 2147483647    // what the API says where there is no rate limit
	rateLimitRows = 186
	global        = "GLOBAL" // the residency of most projects
)

// The indexes of the projects below.
const (
	support = iota
	search
	research
	dataPlatform
	marketing
	voice
	prototype
	noProject = -1
)

func newOrganization(seed uint64, name string, streams map[string]int, mixed bool, projects, labelSets int, every int64) *organization {
	o := &organization{seed: seed, id: "org-" + identifier(hashOf(seed, "organization"), 24), name: name, sources: map[string]*source{}}
	for i, p := range []Project{
		{Name: "Support Copilot", SpendLimitCents: 4_000_00},
		{Name: "Search", SpendLimitCents: 6_000_00},
		{Name: "Research", Residency: "EU_STORAGE_PROCESSING"},
		{Name: "Data Platform", SpendLimitCents: 3_000_00},
		{Name: "Marketing Studio", Residency: "GB_STORAGE"},
		{Name: "Voice Agents", SpendLimitCents: 2_500_00},
		{Name: "Prototype 2024", Archived: founded + 400*86400},
	} {
		p.ID = "proj_" + identifier(hashOf(seed, "project", p.Name), 24)
		p.Created = founded + int64(i)*11*86400
		if p.Residency == "" {
			p.Residency = global
		}
		o.projects = append(o.projects, p)
	}
	for i, n := range []string{"Aiko Tanaka", "Ben Okafor", "Clara Lindqvist", "Diego Fuentes", "Elif Demir", "Femke Visser", "Goran Petrov", "Hana Novak"} {
		first, _, _ := strings.Cut(strings.ToLower(n), " ")
		role := "reader"
		if i < 2 {
			role = "owner"
		}
		o.users = append(o.users, User{ID: "user-" + identifier(hashOf(seed, "user", n), 24), Name: n, Email: first + "@example.com", Role: role, Added: founded + int64(i)*5*86400})
	}
	for pi, p := range o.projects {
		for ki := range 3 {
			k := Key{ProjectID: p.ID, Created: p.Created + int64(ki+1)*86400}
			if ki == 2 {
				k.Name = "production"
				k.ServiceAccountName = strings.ReplaceAll(strings.ToLower(p.Name), " ", "-")
				k.ServiceAccountID = "user-" + identifier(hashOf(seed, "service account", p.Name), 24)
			} else {
				u := o.users[(pi+ki*3)%len(o.users)]
				first, _, _ := strings.Cut(strings.ToLower(u.Name), " ")
				k.Name, k.UserID = first+"-"+strconv.Itoa(ki+1), u.ID
				// The first key of Research was deleted after it had been used.
				k.Deleted = pi == research && ki == 0
			}
			k.ID = "key_" + identifier(hashOf(seed, "key", p.Name, k.Name), 16)
			o.keys = append(o.keys, k)
		}
	}
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		o.sources[e.Name] = &source{endpoint: e}
	}
	o.populate()
	if mixed {
		o.mixTiers()
	}
	o.thin(streams)
	o.fineTune(labelSets, every)
	for _, src := range o.sources {
		for _, st := range src.dense {
			st.project = st.labels["project_id"]
		}
	}
	o.items = o.bill()
	o.grow(projects)
	return o
}

// grow adds projects that have names but no traffic.
func (o *organization) grow(n int) {
	for i := range n {
		p := Project{ID: "proj_" + identifier(hashOf(o.seed, "more projects", strconv.Itoa(i)), 24), Name: fmt.Sprintf("Team %03d", i+1), Created: founded + int64(i)*3600, Residency: global}
		u := o.users[i%len(o.users)]
		o.projects = append(o.projects, p)
		o.keys = append(o.keys, Key{ID: "key_" + identifier(hashOf(o.seed, "key", p.ID), 16), Name: "default", ProjectID: p.ID, UserID: u.ID, Created: p.Created})
	}
}

// A job is a kind of traffic in a project, spread over its keys.
type job struct {
	endpoint string
	project  int
	rate     int64 // requests a minute at the peak, in thousandths
	rhythm   *rhythm
	labels   map[string]string
	means    []leafMean
	runaway  bool
	long     bool
	level    int64
	keys     int // how many of the project's keys it uses, the production key first
}

func text(input, cached, write, output int64) []leafMean {
	return tokens(leafInText, input, leafCachedText, cached, leafWrite30m, write, leafOutText, output)
}

// tokens takes pairs of a leaf and its mean per request.
func tokens(pairs ...int64) []leafMean {
	var out []leafMean
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] > 0 {
			out = append(out, leafMean{int(pairs[i]), pairs[i+1] * 1000})
		}
	}
	return out
}

// units takes a mean in thousandths.
func units(milli int64) []leafMean { return []leafMean{{leafUnits, milli}} }

func called(model, tier, batch, source string) map[string]string {
	return map[string]string{"model": model, "service_tier": tier, "batch": batch, "api_source": source}
}

func (o *organization) jobs() []job {
	const agents, direct = "agents_api", "" // The only sources that the API tells apart.
	image := func(model, size, source string) map[string]string {
		return map[string]string{"model": model, "size": size, "source": source}
	}
	withWrites12h := append(text(900, 5200, 300, 420), leafMean{leafWrite12h, 450_000})
	return []job{
		{endpoint: "completions", project: support, rate: 12_000, rhythm: &office, labels: called("gpt-5.6-terra", "default", "false", direct), means: withWrites12h, keys: 3},
		{endpoint: "completions", project: support, rate: 300, rhythm: &office, labels: called("gpt-5.6-terra", "default", "false", direct), means: text(190_000, 120_000, 12_000, 1800), long: true, keys: 1},
		{endpoint: "completions", project: support, rate: 8_000, rhythm: &steady, labels: called("gpt-5.4-mini-2026-03-17", "priority", "false", direct), means: text(1100, 2100, 0, 160), keys: 2},
		{endpoint: "completions", project: search, rate: 30_000, rhythm: &steady, labels: called("gpt-5.6-luna", "default", "false", direct), means: text(700, 1900, 140, 90), keys: 2},
		{endpoint: "completions", project: search, rate: 3_000, rhythm: &steady, labels: called("gpt-4o-mini-2024-07-18", "flex", "false", direct), means: text(1500, 200, 0, 260), keys: 2},
		{endpoint: "completions", project: research, rate: 1_500, rhythm: &office, labels: called("gpt-5.6-sol", "default", "false", agents), means: text(9_000, 22_000, 1800, 2600), runaway: true, keys: 3},
		{endpoint: "completions", project: research, rate: 20_000, rhythm: &nights, labels: called("gpt-5.6-sol", "default", "true", direct), means: text(2400, 0, 0, 900), keys: 1},
		{endpoint: "completions", project: research, rate: 50, rhythm: &office, labels: called("o1-pro", "default", "false", direct), means: text(3200, 0, 0, 5200), keys: 2},
		{endpoint: "completions", project: dataPlatform, rate: 60_000, rhythm: &nights, labels: called("gpt-5.4-nano-2026-03-17", "default", "true", direct), means: text(850, 300, 0, 120), keys: 1},
		{endpoint: "completions", project: dataPlatform, rate: 4_000, rhythm: &steady, labels: called("gpt-5-mini-2025-08-07", "flex", "false", direct), means: text(2600, 1024, 0, 700), keys: 3},
		{endpoint: "completions", project: marketing, rate: 2_000, rhythm: &office, labels: called("gpt-5.4-2026-03-05", "default", "false", direct), means: text(1300, 600, 0, 850), keys: 3},
		{endpoint: "completions", project: marketing, rate: 500, rhythm: &office, labels: called("gpt-image-1-2025-04-23", "default", "false", direct), means: tokens(leafInText, 70, leafCachedText, 10, leafInImage, 320, leafCachedImage, 40, leafOutImage, 4160), keys: 2},
		{endpoint: "completions", project: voice, rate: 3_000, rhythm: &office, labels: called("gpt-audio-mini-2025-12-15", "default", "false", direct), means: tokens(leafInText, 400, leafInAudio, 900, leafOutText, 120, leafOutAudio, 640), keys: 2},
		{endpoint: "completions", project: voice, rate: 2_000, rhythm: &steady, labels: called("gpt-realtime-1.5", "default", "false", direct), means: tokens(leafInText, 500, leafCachedText, 900, leafInAudio, 700, leafCachedAudio, 2500, leafOutText, 90, leafOutAudio, 520), keys: 2},
		// Two jobs without a project: the API says null for one and "" for the other.
		{endpoint: "completions", project: noProject, rate: 300, rhythm: &office, labels: called("gpt-4o-2024-08-06", "default", "false", direct), means: text(1200, 0, 0, 300)},
		{endpoint: "completions", project: noProject, rate: 100, rhythm: &steady, labels: called("", "default", "false", ""), means: text(600, 0, 0, 140)},

		{endpoint: "decisions", project: research, rate: 1_000, rhythm: &steady, labels: called("gpt-6-astra", "default", "false", direct), means: text(1800, 2600, 300, 210), keys: 2},

		{endpoint: "embeddings", project: search, rate: 20_000, rhythm: &steady, labels: called("text-embedding-3-small", "", "", ""), means: text(340, 0, 0, 0), keys: 2},
		{endpoint: "embeddings", project: dataPlatform, rate: 30_000, rhythm: &nights, labels: called("text-embedding-3-large", "", "", ""), means: text(1900, 0, 0, 0), keys: 1},
		// So little that the bill's amounts need exponents.
		{endpoint: "embeddings", project: marketing, rate: 5, rhythm: &office, labels: called("text-embedding-3-small", "", "", ""), means: text(60, 0, 0, 0), keys: 1},
		{endpoint: "moderations", project: support, rate: 10_000, rhythm: &office, labels: called("omni-moderation-latest", "", "", ""), means: text(260, 0, 0, 0), keys: 2},

		{endpoint: "images", project: marketing, rate: 300, rhythm: &office, labels: image("gpt-image-1-2025-04-23", "1024x1024", "image.generation"), means: units(1400), keys: 2},
		{endpoint: "images", project: marketing, rate: 200, rhythm: &office, labels: image("gpt-image-1-2025-04-23", "1536x1024", "image.edit"), means: units(1000), keys: 2},
		{endpoint: "images", project: marketing, rate: 150, rhythm: &office, labels: image("dall-e-3", "1024x1792", "image.generation"), means: units(1000), keys: 1},

		{endpoint: "audio_speeches", project: voice, rate: 2_000, rhythm: &office, labels: called("tts-1-hd", "", "", ""), means: units(380_000), keys: 2},
		{endpoint: "audio_transcriptions", project: voice, rate: 1_500, rhythm: &office, labels: called("whisper-1", "", "", ""), means: units(47_000), keys: 2},
		{endpoint: "audio_transcriptions", project: support, rate: 400, rhythm: &steady, labels: called("whisper-1", "", "", ""), means: units(180_000), keys: 1},

		{endpoint: "vector_stores", project: support, level: 3 << 30},
		{endpoint: "vector_stores", project: research, level: 41 << 30},
		{endpoint: "vector_stores", project: dataPlatform, level: 700 << 20},
		{endpoint: "code_interpreter_sessions", project: research, rate: 300, rhythm: &office, means: units(1000)},
		{endpoint: "code_interpreter_sessions", project: dataPlatform, rate: 120, rhythm: &steady, means: units(1000)},

		{endpoint: "file_search_calls", project: support, rate: 2_000, rhythm: &office, labels: map[string]string{"vector_store_id": o.store("handbook")}, means: units(1200), keys: 2},
		{endpoint: "file_search_calls", project: support, rate: 600, rhythm: &office, labels: map[string]string{"vector_store_id": o.store("tickets")}, means: units(1000), keys: 1},
		{endpoint: "file_search_calls", project: research, rate: 200, rhythm: &steady, labels: map[string]string{"vector_store_id": o.store("papers")}, means: units(2300), keys: 1},

		{endpoint: "web_search_calls", project: search, rate: 5_000, rhythm: &steady, labels: map[string]string{"model": "gpt-5.6-luna", "context_level": "low", "api_source": direct}, means: units(1000), keys: 2},
		{endpoint: "web_search_calls", project: search, rate: 900, rhythm: &office, labels: map[string]string{"model": "gpt-5.6-luna", "context_level": "medium", "api_source": direct}, means: units(1600), keys: 1},
		{endpoint: "web_search_calls", project: research, rate: 400, rhythm: &office, labels: map[string]string{"model": "gpt-5.6-sol", "context_level": "high", "api_source": agents}, means: units(3100), keys: 2},
	}
}

func (o *organization) store(name string) string {
	return "vs_" + identifier(hashOf(o.seed, "vector store", name), 24)
}

// complete adds some traffic to every endpoint that no job has thought of, so that a new one is served at once.
func complete(jobs []job) []job {
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		if e.IsCosts() || slices.ContainsFunc(jobs, func(j job) bool { return j.endpoint == e.Name }) {
			continue
		}
		j := job{endpoint: e.Name, project: research, rate: 300, rhythm: &steady, labels: called("gpt-6-sol", "default", "false", ""), keys: 2}
		j.means = append(text(1200, 800, 100, 250), units(1000)...)
		if e.Stock {
			j = job{endpoint: e.Name, project: research, level: 1 << 30}
		}
		jobs = append(jobs, j)
	}
	return jobs
}

// populate turns the jobs into streams: the production key of a project takes the most.
func (o *organization) populate() {
	for i, j := range complete(o.jobs()) {
		keys := max(j.keys, 1)
		for k := range keys {
			st := &stream{labels: map[string]string{}, rhythm: j.rhythm, rate: j.rate, means: j.means, runaway: j.runaway, level: j.level, long: j.long}
			maps.Copy(st.labels, j.labels)
			if j.project >= 0 {
				st.labels["project_id"] = o.projects[j.project].ID
				if j.keys > 0 {
					key := o.keys[j.project*3+2-k]
					st.labels["api_key_id"], st.labels["user_id"] = key.ID, key.UserID
				}
			} else {
				// What has no project was done in the playground, by a user without a key.
				st.labels["user_id"] = o.users[i%len(o.users)].ID
				st.variant = "playground " + strconv.Itoa(i%2)
			}
			if keys > 1 {
				st.rate = j.rate * int64([]int{6, 3, 1}[k]) / int64([]int{0, 6, 9, 10}[keys])
			}
			if j.long {
				st.variant = "long"
			}
			st.model = findModel(j.labels["model"])
			st.id = hashOf(o.seed, "stream", j.endpoint, strconv.Itoa(i), strconv.Itoa(k))
			src := o.sources[j.endpoint]
			src.dense = append(src.dense, st)
		}
	}
}

// mixTiers draws the tier of every stream of completions.
func (o *organization) mixTiers() {
	for _, st := range o.sources["completions"].dense {
		tier := []string{"default", "batch", "flex", "priority", "fast", "ultrafast"}[hashOf(st.id, "tier")%6]
		st.labels["batch"] = strconv.FormatBool(tier == "batch")
		if st.labels["service_tier"] = tier; tier == "batch" {
			st.labels["service_tier"] = "default"
		}
	}
}

// thin leaves so many streams of an endpoint, which ones is up to the seed.
func (o *organization) thin(streams map[string]int) {
	for name, n := range streams {
		src := o.sources[name]
		if src == nil || len(src.dense) <= n {
			continue
		}
		ids := make([]uint64, len(src.dense))
		for i, st := range src.dense {
			ids[i] = st.id
		}
		slices.Sort(ids)
		src.dense = slices.DeleteFunc(src.dense, func(st *stream) bool { return !slices.Contains(ids[:n], st.id) })
	}
}

// fineTune adds label sets for load tests, which see a request every so many hours.
func (o *organization) fineTune(n int, every int64) {
	src := o.sources["completions"]
	means := text(600, 200, 0, 150)
	for i := range n {
		p := i % prototype
		key := o.keys[p*3+i/prototype%3]
		labels := called(fmt.Sprintf("ft:gpt-4.1-mini-2025-04-14:%s::%s%05d", "example", identifier(mix(uint64(i)), 3), i), "default", "false", "")
		labels["project_id"], labels["api_key_id"], labels["user_id"] = o.projects[p].ID, key.ID, key.UserID
		src.sparse = append(src.sparse, &stream{labels: labels, id: hashOf(o.seed, "fine-tuned", strconv.Itoa(i)), means: means, every: every})
	}
}

// Projects are the projects of the organization, those that Options.Projects adds last.
func (s *Simulator) Projects() []Project { return append([]Project(nil), s.org.projects...) }

// Users are the members of the organization.
func (s *Simulator) Users() []User { return append([]User(nil), s.org.users...) }

// Keys are the API keys of all projects, deleted ones included.
func (s *Simulator) Keys() []Key { return append([]Key(nil), s.org.keys...) }
