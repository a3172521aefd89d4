package pricing

import "strings"

// undated cuts the snapshot date, -YYYY-MM-DD, off the end of a model's name.
func undated(name string) (base string, dated bool) {
	const like = "-dddd-dd-dd"
	at := len(name) - len(like)
	if at <= 0 {
		return name, false
	}
	for i := range len(like) {
		c := name[at+i]
		if like[i] == 'd' && (c < '0' || c > '9') || like[i] == '-' && c != '-' {
			return name, false
		}
	}
	return name[:at], true
}

const (
	tunedUsage = "ft:" // as usage spells it: ft:<base>:<organization>:<suffix>:<id>
	tunedBill  = "ft-" // as bills do: ft-<base>
)

// canonical makes one name of the two that usage and the bill have for a model. All fine-tuned models of one base have
// one price, and one name here: ft:<base>.
func canonical(name string) string {
	base, ok := strings.CutPrefix(name, tunedUsage)
	if !ok {
		if base, ok = strings.CutPrefix(name, tunedBill); !ok {
			return name
		}
	}
	base, _, _ = strings.Cut(base, ":")
	return tunedUsage + base
}

func isTuned(name string) bool { return strings.HasPrefix(canonical(name), tunedUsage) }

// billedByTokens says whether a model that makes images is one of the family that is billed by the tokens of its images.
func billedByTokens(model string) bool {
	return strings.HasPrefix(canonical(model), "gpt-image-") || strings.HasPrefix(model, "chatgpt-image-")
}
