package fetcher

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// settings is where the owner of an organization finds what the advices name.
const settings = "https://platform.openai.com/settings/organization"

// An advice is what one of the API's codes means and what to do about it.
type advice struct {
	status int // the status that the code comes with
	class  Class
	text   string
}

// advices are the codes that the API documents. The code decides and not the message, whose words change: a key is
// blamed only where it is the key.
var advices = map[string]advice{
	"invalid_api_key": {
		http.StatusUnauthorized, ClassUnauthorized,
		"the API does not accept the admin key (revoked, expired, mistyped, or no admin key): create one under " + keyPage,
	},
	"incorrect_hostname": {
		http.StatusUnauthorized, ClassForbidden,
		"the organization belongs to another host of the API than base_url names",
	},
	"ip_not_authorized": {
		http.StatusUnauthorized, ClassForbidden,
		"the organization does not allow requests from this IP address: add it to the IP allowlist under " + settings + ", or send the requests through a proxy that is on it",
	},
	"no_organization": {
		http.StatusUnauthorized, ClassForbidden,
		"the owner of the admin key is a member of no organization: have the owner invited, or use the admin key of an owner of the organization (" + keyPage + ")",
	},
	"account_deactivated": {
		http.StatusUnauthorized, ClassForbidden,
		"the account that the admin key belongs to is deactivated: ask OpenAI's support (https://help.openai.com), or use the admin key of another owner",
	},
	"unsupported_country_region_territory": {
		http.StatusForbidden, ClassForbidden,
		"the API is not offered where the requests come from: send them from a supported country, through proxy_url if needed",
	},
	"credit_balance_exhausted": {
		http.StatusTooManyRequests, ClassThrottled,
		"the organization's credit balance is used up: add credit under " + settings + "/billing",
	},
	"insufficient_quota": {
		http.StatusTooManyRequests, ClassThrottled,
		"the organization's quota is used up: check plan and billing under " + settings + "/billing",
	},
	"organization_usage_limit_exceeded": {
		http.StatusTooManyRequests, ClassThrottled,
		"the organization has reached its usage limit: ask for a higher one under " + settings + "/limits",
	},
	"organization_spend_limit_exceeded": {
		http.StatusTooManyRequests, ClassThrottled,
		"the organization has reached its spend limit: raise it under " + settings + "/limits, or wait for the next month",
	},
	"project_spend_limit_exceeded": {
		http.StatusTooManyRequests, ClassThrottled,
		"the project has reached its spend limit: raise it in the project's limits, or wait for the next month",
	},
}

// advise returns what the code of a refusal says, if it is one of the documented.
func advise(q inquiry, status int, r refusal) (advice, bool) {
	a, ok := advices[r.code]
	if !ok || a.status != status {
		return advice{}, false
	}
	if r.code == "incorrect_hostname" {
		if host := rightHost(r.message, q.baseURL); host != "" {
			a.text += ": set base_url to https://" + host + "/v1"
		} else {
			a.text += " (" + q.baseURL + "): set base_url to the host of the organization's region, such as https://eu.api.openai.com/v1"
		}
	}
	return a, true
}

var (
	hostLike = regexp.MustCompile(`[A-Za-z0-9.-]+`)
	codeLike = regexp.MustCompile(`^[a-z][a-z_]{2,60}$`)
)

// rightHost finds the host that a message says to use. Only a host of openai.com is repeated, because the key will be
// sent there.
func rightHost(message, baseURL string) string {
	wrong := ""
	if u, err := url.Parse(baseURL); err == nil {
		wrong = u.Hostname()
	}
	right := ""
	for _, host := range hostLike.FindAllString(clean(message), -1) {
		host = strings.ToLower(strings.Trim(host, ".-"))
		if strings.HasSuffix(host, ".openai.com") && host != wrong && len(host) <= 64 {
			right = host
		}
	}
	return right
}
