package simulator

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

type object = map[string]any

// lookUp answers the requests for what ids mean.
func (v *view) lookUp(path string, q url.Values, now time.Time) *answer {
	org := v.s.org
	parts := strings.Split(path, "/")
	if len(parts) == 2 {
		switch parts[1] {
		case "projects":
			return list(q, 20, org.listProjects(q.Get("include_archived") == "true", v.o.Renamed))
		case "users":
			return list(q, 20, org.listUsers())
		case "admin_api_keys":
			return list(q, 20, org.listAdminKeys(now))
		}
		return &answer{status: http.StatusOK, body: marshal(v.spendLimit("organization.spend_limit", "", limitOfOrg))}
	}
	i := slices.IndexFunc(org.projects, func(p Project) bool { return p.ID == parts[2] })
	if i < 0 {
		return refuse(&refusal{status: http.StatusNotFound, message: fmt.Sprintf("The project %s was not found", parts[2]), kind: "invalid_request_error"})
	}
	p := &org.projects[i]
	if p.Archived != 0 && (parts[3] == "users" || parts[3] == "service_accounts") {
		return refuse(invalid("", "Project %s is archived.", p.ID))
	}
	switch parts[3] {
	case "api_keys":
		return list(q, 20, org.listKeys(p, now, q.Get("owner_project_access")))
	case "rate_limits":
		return list(q, 100, org.listRateLimits())
	case "service_accounts":
		return list(q, 20, org.listServiceAccounts(p))
	case "users":
		return list(q, 20, org.listProjectUsers(p))
	}
	if p.SpendLimitCents == 0 {
		return refuse(&refusal{status: http.StatusNotFound, message: fmt.Sprintf("No spend limit is set for project %s.", p.ID), kind: "invalid_request_error"})
	}
	return &answer{status: http.StatusOK, body: marshal(v.spendLimit("project.spend_limit", p.ID, p.SpendLimitCents))}
}

// list pages through objects: after the one whose id is given, at most limit of them.
func list(q url.Values, limit int, all []object) *answer {
	const most = 100
	if s := q.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > most {
			return refuse(invalid("limit", "Invalid 'limit': expected an integer between 1 and %d, but got %q instead.", most, s))
		}
		limit = n
	}
	if after := q.Get("after"); after != "" {
		i := slices.IndexFunc(all, func(o object) bool { return o["id"] == after })
		if i < 0 {
			return refuse(invalid("after", "Invalid 'after': no object with id '%s'.", after))
		}
		all = all[i+1:]
	}
	more := len(all) > limit
	if more {
		all = all[:limit]
	}
	out := object{"object": "list", "data": all, "first_id": nil, "last_id": nil, "has_more": more}
	if len(all) > 0 {
		out["first_id"], out["last_id"] = all[0]["id"], all[len(all)-1]["id"]
	} else {
		out["data"] = []object{}
	}
	return &answer{status: http.StatusOK, body: marshal(out)}
}

func orNull(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}

func (o *organization) listProjects(archived bool, renamed map[string]string) []object {
	var out []object
	for _, p := range o.projects {
		if p.Archived != 0 && !archived {
			continue
		}
		status := "active"
		if p.Archived != 0 {
			status = "archived"
		}
		name := p.Name
		if other, ok := renamed[p.ID]; ok {
			name = other
		}
		out = append(out, object{"id": p.ID, "object": "organization.project", "name": name, "created_at": p.Created, "archived_at": orNull(p.Archived), "status": status, "residency": p.Residency})
	}
	return out
}

func (o *organization) listUsers() []object {
	var out []object
	for _, u := range o.users {
		out = append(out, object{"object": "organization.user", "id": u.ID, "name": u.Name, "email": u.Email, "role": u.Role, "added_at": u.Added, "is_service_account": false})
	}
	return out
}

func (o *organization) listAdminKeys(now time.Time) []object {
	owner := func(u User) object {
		return object{"type": "user", "object": "organization.user", "id": u.ID, "name": u.Name, "created_at": u.Added, "role": "owner"}
	}
	last := now.Unix() - mod(now.Unix(), 3600)
	return []object{
		{"object": "organization.admin_api_key", "id": "key_" + identifier(hashOf(o.seed, "admin key", "exporter"), 16), "name": "exporter", "redacted_value": "sk-admin...x7Q2", "created_at": int64(founded), "expires_at": founded + 4*365*86400, "last_used_at": last, "owner": owner(o.users[0])},
		{"object": "organization.admin_api_key", "id": "key_" + identifier(hashOf(o.seed, "admin key", "terraform"), 16), "name": "terraform", "redacted_value": "sk-admin...b91K", "created_at": int64(founded + 86400), "expires_at": nil, "last_used_at": nil, "owner": owner(o.users[1])},
	}
}

// listKeys lists a project's keys. Without owner_project_access those of service accounts are left out, as "existing
// membership-based visibility rules may exclude some enabled keys".
func (o *organization) listKeys(p *Project, now time.Time, access string) []object {
	var out []object
	for _, k := range o.keys {
		if k.ProjectID != p.ID || k.Deleted || access == "inactive" || access == "" && k.ServiceAccountID != "" {
			continue
		}
		var owner object
		if k.ServiceAccountID != "" {
			owner = object{"type": "service_account", "service_account": object{"id": k.ServiceAccountID, "name": k.ServiceAccountName, "role": "member", "created_at": k.Created}}
		} else {
			i := slices.IndexFunc(o.users, func(u User) bool { return u.ID == k.UserID })
			u := o.users[i]
			owner = object{"type": "user", "user": object{"id": u.ID, "name": u.Name, "email": u.Email, "role": u.Role, "created_at": u.Added}}
		}
		last := now.Unix() - mod(now.Unix(), 60)
		if p.Archived != 0 {
			last = p.Archived
		}
		out = append(out, object{"object": "organization.project.api_key", "id": k.ID, "name": k.Name, "redacted_value": "sk-proj..." + k.ID[len(k.ID)-4:], "created_at": k.Created, "last_used_at": last, "owner_project_access": "active", "owner": owner})
	}
	return out
}

// listRateLimits lists as many rows as real projects have: every model that ever was, most of which nobody uses.
func (o *organization) listRateLimits() []object {
	var out []object
	add := func(model string, requests, tokens int64) {
		row := object{"object": "project.rate_limit", "id": "rl-" + model, "model": model, "max_requests_per_1_minute": requests, "max_tokens_per_1_minute": tokens}
		switch {
		case strings.Contains(model, "image"), strings.HasPrefix(model, "dall-e"):
			row["max_images_per_1_minute"] = 50
		case strings.HasPrefix(model, "whisper"):
			row["max_audio_megabytes_per_1_minute"] = 200
		case strings.HasPrefix(model, "gpt-5"):
			row["batch_1_day_max_input_tokens"] = 200_000_000
		}
		out = append(out, row)
	}
	for _, m := range models {
		if m.name != "" {
			add(m.name, 10_000, 4_000_000)
		}
	}
	add("dall-e-3", 500, unlimited)
	add("whisper-1", 500, unlimited)
	add("tts-1-hd", 500, unlimited)
	add("omni-moderation-latest", 500, 10_000)
	for i := 0; len(out) < rateLimitRows; i++ {
		base := []string{"ada", "babbage-002", "davinci-002", "gpt-3.5-turbo", "gpt-4", "gpt-4-turbo", "gpt-4.1", "gpt-4.1-mini", "gpt-5", "o1", "o3", "o3-mini", "o4-mini"}[i%13]
		add(fmt.Sprintf("%s-%04d-%02d-%02d", base, 2023+i/52, 1+i/13%12, 1+i%13*2), 500+int64(i), 150_000)
	}
	return out
}

func (o *organization) listServiceAccounts(p *Project) []object {
	var out []object
	for _, k := range o.keys {
		if k.ProjectID == p.ID && k.ServiceAccountID != "" {
			out = append(out, object{"object": "organization.project.service_account", "id": k.ServiceAccountID, "name": k.ServiceAccountName, "role": "member", "created_at": k.Created})
		}
	}
	return out
}

func (o *organization) listProjectUsers(p *Project) []object {
	var out []object
	for _, k := range o.keys {
		if i := slices.IndexFunc(o.users, func(u User) bool { return u.ID == k.UserID }); i >= 0 && k.ProjectID == p.ID {
			u := o.users[i]
			out = append(out, object{"object": "organization.project.user", "id": u.ID, "name": u.Name, "email": u.Email, "role": "member", "added_at": u.Added})
		}
	}
	return out
}

func (v *view) spendLimit(kind, projectID string, cents int64) object {
	status := "inactive"
	if slices.Contains(v.o.Enforcing, projectID) {
		status = "enforcing"
	}
	return object{"object": kind, "threshold_amount": cents, "currency": "USD", "interval": "month", "enforcement": object{"status": status}}
}
