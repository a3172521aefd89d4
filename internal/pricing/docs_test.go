package pricing_test

import (
	"os"
	"strings"
	"testing"

	"github.com/openai-exporter/openai_exporter/internal/pricing"
)

func TestTheDocumentationNamesEveryKeyOfAList(t *testing.T) {
	b, err := os.ReadFile("../../docs/pricing.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, key := range pricing.Keys() {
		if !strings.Contains(text, "`"+key+"`") {
			t.Errorf("docs/pricing.md does not say what %s is", key)
		}
	}
	if date := pricing.BuiltinDate.Format("2006-01-02"); !strings.Contains(text, "list prices of "+date) {
		t.Errorf("docs/pricing.md does not say that the built-in list is of %s", date)
	}
	_, example, _ := strings.Cut(text, "```json\n")
	example, _, _ = strings.Cut(example, "```")
	l := parseList(t, example)
	if l.Entry("gpt-5.6") != "gpt-5.6-sol" || l.Entry("web search tool calls") == "" {
		t.Error("the example of docs/pricing.md does not price what it names")
	}
}
