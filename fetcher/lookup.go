package fetcher

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/go-kit/log/level"

	"github.com/openai-exporter/openai_exporter/internal/directory"
)

// The names of the look-ups, as the endpoint label and a Status have them.
const (
	LookupProjects    = "projects"
	LookupUsers       = "users"
	LookupAPIKeys     = "api_keys"
	LookupRateLimits  = "rate_limits"
	LookupSpendLimits = "spend_limits"
)

// lookupScope is what the admin key must be allowed for look-ups. Usage and costs need another scope.
const lookupScope = "api.management.read"

// Lookups are what an organization is asked beside usage and costs, and how often. The zero value asks nothing.
type Lookups struct {
	// Directory must be a pointer: it is how look-ups that have not changed are known.
	Directory Directory
	// NamesInterval is how often the names of projects, users and keys are looked up, 0 for never.
	NamesInterval time.Duration
	// LimitsInterval is how often rate limits and spend limits are looked up, 0 for never.
	LimitsInterval time.Duration
	// KeyCosts has the bill of the running day asked by key beside the keys, of what CostFilters say, as api.Filters encodes
	// them.
	KeyCosts    bool
	CostFilters string
	// UserEmails keeps the users' e-mail addresses, which are personal data and dropped otherwise.
	UserEmails bool
}

// headStart is how long look-ups stand back when polling begins: usage comes first, and so does what the log has to
// say about it.
const headStart = time.Second

// setbacks is how many projects in a row may fail before a look-up leaves the rest for the next time: one project in
// trouble must not hide the others, but an API in trouble must be left alone.
const setbacks = 3

// A lookup asks for one kind of thing again and again, behind usage and costs.
type lookup struct {
	routine
	options Lookups
	look    func(context.Context) error
	// listed is closed once the projects are known, without which there is nothing to ask. All look-ups of an
	// organization share it.
	listed *listing
	// byProject marks the look-ups that ask project by project.
	byProject bool
	// unknownWords are the words of the API that were named in the log because nobody knows what they mean.
	unknownWords map[string]bool
}

// A listing says when the projects are known.
type listing struct {
	once sync.Once
	done chan struct{}
}

func (l *listing) complete() { l.once.Do(func() { close(l.done) }) }

func newLookups(o Organization, options SchedulerOptions) []*lookup {
	names, limits := o.Lookups.NamesInterval, o.Lookups.LimitsInterval
	if o.Lookups.Directory == nil || names <= 0 && limits <= 0 {
		return nil
	}
	listed := &listing{done: make(chan struct{})}
	if _, done := o.Lookups.Directory.Projects(); done {
		listed.complete()
	}
	var out []*lookup
	add := func(name string, interval time.Duration, byProject bool, look func(*lookup, context.Context) error) {
		l := &lookup{routine: newRoutine(o.Name, name, interval, o.Client, options), options: o.Lookups, listed: listed, byProject: byProject, unknownWords: make(map[string]bool)}
		l.look = func(ctx context.Context) error { return look(l, ctx) }
		l.optional, l.status.Optional = true, true
		l.failing, l.recovered = "A look-up fails; usage and costs go on without it", "The look-up works again"
		out = append(out, l)
	}
	if names > 0 {
		add(LookupProjects, names, false, (*lookup).projects)
		add(LookupUsers, names, false, (*lookup).users)
		add(LookupAPIKeys, names, true, (*lookup).keysAndCosts)
	} else {
		// Limits are asked for by project.
		add(LookupProjects, limits, false, (*lookup).projects)
	}
	if limits > 0 {
		add(LookupRateLimits, limits, true, (*lookup).rateLimits)
		add(LookupSpendLimits, limits, true, (*lookup).spendLimits)
	}
	return out
}

// run looks up until the context ends.
func (l *lookup) run(ctx context.Context) {
	if l.byProject {
		select {
		case <-l.listed.done:
		case <-ctx.Done():
			return
		}
	}
	begin := l.begin(time.Now().Add(headStart + l.grid.offset%headStart))
	if !l.opening.wait(ctx, time.Now().Add(openingPatience)) {
		return
	}
	for l.wait(ctx, begin) {
		took := time.Now()
		err := l.look(ctx)
		if ctx.Err() != nil {
			l.stop(err)
			return // Who gave up was us.
		}
		// What was found before the trouble is worth keeping too.
		if saveErr := l.options.Directory.Save(); err == nil {
			err = saveErr
		}
		begin = l.finish(time.Since(took), err)
	}
}

func (l *lookup) projects(ctx context.Context) error {
	type object struct{ ID, Name, Status, Residency string }
	objects, err := list[object](ctx, l, "organization/projects", "include_archived", "true")
	if err != nil {
		return err
	}
	projects := make([]directory.Project, 0, len(objects))
	for _, o := range objects {
		projects = append(projects, directory.Project{ID: o.ID, Name: cut(o.Name), Status: cut(o.Status), Residency: cut(o.Residency)})
	}
	l.options.Directory.SetProjects(projects)
	l.listed.complete()
	return nil
}

// cut bounds a name as label values are bounded.
func cut(name string) string { return string(truncated([]byte(name))) }

func (l *lookup) users(ctx context.Context) error {
	type object struct {
		ID, Name, Email, Role string
		ServiceAccount        *bool `json:"is_service_account"`
	}
	objects, err := list[object](ctx, l, "organization/users")
	if err != nil {
		return err
	}
	users := make([]directory.User, 0, len(objects))
	for _, o := range objects {
		if !l.options.UserEmails {
			o.Email = ""
		}
		user := directory.User{ID: o.ID, Name: cut(o.Name), Email: cut(o.Email), Role: cut(o.Role)}
		if o.ServiceAccount != nil {
			user.ServiceAccount = strconv.FormatBool(*o.ServiceAccount)
		}
		users = append(users, user)
	}
	l.options.Directory.SetUsers(users)
	return nil
}

// keyObject is an API key of a project, or an admin key, which spells its owner differently and can expire.
type keyObject struct {
	ID       string
	Name     string
	Created  int64 `json:"created_at"`
	LastUsed int64 `json:"last_used_at"`
	Expires  int64 `json:"expires_at"`
	Owner    struct {
		Type           string
		ID             string
		Name           string
		User           struct{ ID, Name string }
		ServiceAccount struct{ ID, Name string } `json:"service_account"`
	}
}

func keysOf(projectID string, objects []keyObject) []directory.Key {
	keys := make([]directory.Key, 0, len(objects))
	for i := range objects {
		o := &objects[i]
		owner, name := o.Owner.ID, o.Owner.Name
		switch o.Owner.Type {
		case "user":
			owner, name = max(owner, o.Owner.User.ID), max(name, o.Owner.User.Name) // One of them is empty.
		case "service_account":
			owner, name = max(owner, o.Owner.ServiceAccount.ID), max(name, o.Owner.ServiceAccount.Name)
		}
		keys = append(keys, directory.Key{ID: o.ID, Name: cut(o.Name), ProjectID: projectID, OwnerType: o.Owner.Type, OwnerID: owner, OwnerName: cut(name), Created: o.Created, LastUsed: o.LastUsed, Expires: o.Expires})
	}
	return keys
}

func (l *lookup) keys(ctx context.Context) error {
	// Without owner_project_access the API leaves out keys whose owner the admin key's owner does not see.
	err := l.eachProject(ctx, true, func(p directory.Project) error {
		objects, err := list[keyObject](ctx, l, "organization/projects/"+p.ID+"/api_keys", "owner_project_access", "any")
		if err == nil {
			l.options.Directory.SetKeys(p.ID, keysOf(p.ID, objects))
		}
		return err
	})
	if err != nil {
		return err
	}
	objects, err := list[keyObject](ctx, l, "organization/admin_api_keys")
	var e *Error
	if errors.As(err, &e) && (e.keyed() || e.Class == ClassNotFound || e.Class == ClassRequest) {
		// An organization may give out the keys of its projects, but not its admin keys.
		level.Debug(l.logger).Log("msg", "The API does not list the admin keys", "err", err)
		return nil
	}
	if err == nil {
		l.options.Directory.SetKeys("", keysOf("", objects))
	}
	return err
}

// eachProject looks at one project after the other. One that fails keeps what is known of it; the first error is
// returned when all others have been looked at, or when too many have failed in a row.
func (l *lookup) eachProject(ctx context.Context, archived bool, look func(directory.Project) error) error {
	projects, _ := l.options.Directory.Projects()
	var first error
	failed := 0
	for _, p := range projects {
		if p.Archived() && !archived {
			continue
		}
		err := look(p)
		var e *Error
		switch {
		case err == nil:
			failed = 0
			continue
		case !errors.As(err, &e):
			return err // The context's.
		case e.Class == ClassNotFound, e.Class == ClassRequest && p.Archived():
			// The project has gone since it was listed, or, being archived, has nothing more to say.
			continue
		}
		if first == nil {
			first = err
		}
		if failed++; failed == setbacks || e.keyed() || e.RetryAfter > shortRetryAfter {
			break
		}
	}
	return first
}

// maxListPages bounds a list that has no end to a hundred thousand objects, maxListPage a page in bytes.
const (
	maxListPages = 1000
	maxListPage  = 4 << 20
)

// list reads a list to its end, page by page. Pairs are parameters. An object that moves to another page while the list
// is read is met twice, and taken once.
func list[T any](ctx context.Context, l *lookup, path string, pairs ...string) ([]T, error) {
	query := url.Values{"limit": {"100"}}
	for i := 0; i+1 < len(pairs); i += 2 {
		query.Set(pairs[i], pairs[i+1])
	}
	var out []T
	seen := make(map[string]bool)
	for range maxListPages {
		var page struct {
			Data   []json.RawMessage `json:"data"`
			More   bool              `json:"has_more"`
			LastID string            `json:"last_id"`
		}
		if err := l.ask(ctx, path, query, &page); err != nil {
			return nil, err
		}
		fresh := false
		for _, raw := range page.Data {
			var id struct{ ID string }
			var object T
			if err := errors.Join(json.Unmarshal(raw, &id), json.Unmarshal(raw, &object)); err != nil {
				return nil, listError(path, "", err)
			}
			if id.ID == "" || seen[id.ID] {
				continue
			}
			seen[id.ID], fresh = true, true
			out = append(out, object)
			if page.LastID == "" {
				query.Set("after", id.ID)
			}
		}
		if !page.More {
			return out, nil
		}
		if !fresh {
			return nil, listError(path, "", errors.New("has_more is true, but the page has nothing new"))
		}
		if page.LastID != "" {
			query.Set("after", page.LastID)
		}
	}
	return nil, listError(path, "", fmt.Errorf("it has more than %d pages", maxListPages))
}

// ask makes one request and decodes its answer, again where it was torn: unlike a page of usage, nothing of it is kept.
func (l *lookup) ask(ctx context.Context, path string, query url.Values, into any) error {
	r := request{
		name: l.name, path: path, query: query, priority: priorityLookup,
		inquiry: inquiry{path: path, scope: lookupScope, baseURL: l.client.base.Redacted()},
	}
	for restarted := 0; ; restarted++ {
		err := l.client.retry(ctx, r, func(a answer) error {
			body, err := io.ReadAll(io.LimitReader(a.body, maxListPage))
			if err == nil {
				err = json.Unmarshal(body, into)
			}
			if err != nil {
				return listError(path, a.requestID, err)
			}
			return nil
		})
		var e *Error
		if !errors.As(err, &e) || !e.spoiled() || !e.transient() || restarted == restarts {
			return err
		}
		if err := sleep(ctx, l.client.backoff(restarted+1)); err != nil {
			return err
		}
	}
}

// listError says why the answer to a look-up can't be used.
func listError(path, requestID string, err error) *Error {
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) { // Its own text names types of this program.
		err = fmt.Errorf("%s is of the wrong type: %s", cmp.Or(wrong.Field, "it"), wrong.Value)
	}
	return &Error{Class: ClassBody, Status: http.StatusOK, RequestID: requestID, err: err, text: clean(fmt.Sprintf("the answer of %s can't be used: %v", path, err))}
}
