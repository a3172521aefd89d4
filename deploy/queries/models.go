package queries

import "fmt"

// WithoutDate calls models without the date of a snapshot, so that those who see an alias and those who see what it stood
// for speak of the same.
func WithoutDate(expr string) string {
	return fmt.Sprintf(`label_replace(%s, "model", "$1", "model", "(.+)-20[0-9]{2}-[0-9]{2}-[0-9]{2}")`, expr)
}

// OpenTelemetryModel takes the model from the attributes of OpenTelemetry: the one that has answered or, where that is not
// known, the one that was asked.
func OpenTelemetryModel(expr string) string {
	return WithoutDate(fmt.Sprintf(`label_replace(label_replace(%s, "model", "$1", "gen_ai_request_model", "(.+)"), "model", "$1", "gen_ai_response_model", "(.+)")`, expr))
}

// LiteLLMModel takes the provider away that LiteLLM may write before the model.
func LiteLLMModel(expr string) string {
	return WithoutDate(fmt.Sprintf(`label_replace(%s, "model", "$1", "model", "openai/(.+)")`, expr))
}
