package fetcher_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/openai-exporter/openai_exporter/fetcher"
)

func TestTheCodeSaysWhatIsWrongAndTheKeyIsBlamedOnlyWhereItIsTheKey(t *testing.T) {
	const blame = "does not accept the admin key"
	coded := func(code, message string) string {
		return fmt.Sprintf(`{"error":{"message":%q,"type":"invalid_request_error","code":%q,"param":null},"status":401}`, message, code)
	}
	synctest.Test(t, func(t *testing.T) {
		for _, tc := range []struct {
			name      string
			status    int
			body      string
			class     fetcher.Class
			permanent bool
			says      string
			never     []string
		}{
			{"key", 401, coded("invalid_api_key", "Incorrect API key provided: abcd****wxyz."), fetcher.ClassUnauthorized, true, blame, []string{"wxyz"}},
			{
				"host", 401, coded("incorrect_hostname", "Attempted to access resource with incorrect regional hostname. Please make your request to us.api.openai.com"),
				fetcher.ClassForbidden, true, "set base_url to https://us.api.openai.com/v1",
				[]string{blame},
			},
			{"host at the end of a sentence", 401, coded("incorrect_hostname", "Please use https://eu.api.openai.com."), fetcher.ClassForbidden, true, "set base_url to https://eu.api.openai.com/v1", []string{blame}},
			{"another's host", 401, coded("incorrect_hostname", "Use us.api.openai.com.evil.test, or notopenai.com"), fetcher.ClassForbidden, true, "set base_url", []string{blame, "evil", "notopenai"}},
			{"no host", 401, coded("incorrect_hostname", ""), fetcher.ClassForbidden, true, "set base_url", []string{blame}},
			{"address", 401, coded("ip_not_authorized", "Your request came from 10.0.0.1"), fetcher.ClassForbidden, true, "IP allowlist", []string{blame}},
			{"no organization", 401, coded("no_organization", "You must be a member"), fetcher.ClassForbidden, true, "member of no organization", []string{blame}},
			{"deactivated", 401, coded("account_deactivated", "Gone"), fetcher.ClassForbidden, true, "is deactivated: ask OpenAI's support", []string{blame}},
			{"a new code", 401, coded("certificate_required", "Key abcd****wxyz needs a certificate"), fetcher.ClassForbidden, true, "401, certificate_required", []string{blame, "wxyz"}},
			{"a code that is none", 401, coded("abcd****wxyz", ""), fetcher.ClassUnauthorized, true, blame, []string{"wxyz"}},
			{"country", 403, coded("unsupported_country_region_territory", "Country not supported"), fetcher.ClassForbidden, true, "supported country", []string{blame}},
			{"credit", 429, coded("credit_balance_exhausted", "No credit"), fetcher.ClassThrottled, false, "credit balance is used up", []string{"throttles"}},
			{"quota", 429, coded("insufficient_quota", "No quota"), fetcher.ClassThrottled, false, "plan and billing", nil},
			{"usage limit", 429, coded("organization_usage_limit_exceeded", ""), fetcher.ClassThrottled, false, "usage limit", nil},
			{"spend limit", 429, coded("organization_spend_limit_exceeded", ""), fetcher.ClassThrottled, false, "the organization has reached its spend limit", nil},
			{"project's spend limit", 429, coded("project_spend_limit_exceeded", ""), fetcher.ClassThrottled, false, "the project has reached its spend limit", nil},
			{"rate", 429, coded("rate_limit_exceeded", "Too fast"), fetcher.ClassThrottled, false, "throttles requests (429): Too fast", nil},
			{"a code with another status", 404, coded("invalid_api_key", ""), fetcher.ClassNotFound, true, "has no organization/usage", []string{blame}},
		} {
			seen := &witness{}
			_, err := client(t, serve(t, &fake{before: says(tc.status, tc.body)}), seen).Read(t.Context(), embeddings(t, minutes(3)))
			var e *fetcher.Error
			if !errors.As(err, &e) {
				t.Errorf("%s: %v", tc.name, err)
				continue
			}
			if e.Class != tc.class || e.Permanent() != tc.permanent {
				t.Errorf("%s: class %s, permanent %t", tc.name, e.Class, e.Permanent())
			}
			if !strings.Contains(e.Error(), tc.says) || len(e.Error()) > 400 {
				t.Errorf("%s: %q, want %q in a short line", tc.name, e, tc.says)
			}
			for _, never := range append(tc.never, secret) {
				if strings.Contains(fmt.Sprintf("%v %+v", e, *e), never) {
					t.Errorf("%s: %q says %q", tc.name, e, never)
				}
			}
		}
	})
}
