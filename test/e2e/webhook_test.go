//go:build e2e

package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A webhook is the receiver at the end of the way of an alert: of messages in Alertmanager's own form, and, under /slack, of
// those that Slack gets.
type webhook struct {
	url string

	mu        sync.Mutex
	status    map[string]string            // by alert name: firing or resolved
	texts     map[string]map[string]string // annotations by alert name
	receivers map[string][]string          // by alert name
	slack     []slackMessage
}

// A slackMessage is what people read.
type slackMessage struct{ channel, title, text string }

func startWebhook(t *testing.T) *webhook {
	t.Helper()
	w := &webhook{status: map[string]string{}, texts: map[string]map[string]string{}, receivers: map[string][]string{}}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	w.url = server.URL + "/"
	return w
}

func (w *webhook) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	var message struct {
		Receiver string `json:"receiver"`
		Alerts   []struct {
			Status      string            `json:"status"`
			Labels      map[string]string `json:"labels"`
			Annotations map[string]string `json:"annotations"`
		} `json:"alerts"`
		Channel     string `json:"channel"`
		Attachments []struct {
			Title string `json:"title"`
			Text  string `json:"text"`
		} `json:"attachments"`
	}
	if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range message.Alerts {
		name := a.Labels["alertname"]
		w.status[name], w.texts[name] = a.Status, a.Annotations
		if !slices.Contains(w.receivers[name], message.Receiver) {
			w.receivers[name] = append(w.receivers[name], message.Receiver)
		}
	}
	for _, a := range message.Attachments {
		w.slack = append(w.slack, slackMessage{message.Channel, a.Title, a.Text})
	}
	_, _ = fmt.Fprint(rw, "ok") // Slack says so, and Alertmanager tries again where it does not.
}

// is returns an error until the newest message about the alert has that status.
func (w *webhook) is(alert, status string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := w.status[alert]; got != status {
		return fmt.Errorf("%s is %q in %v", alert, got, w.status)
	}
	for _, a := range []string{"summary", "description", "runbook_url"} {
		if text := w.texts[alert][a]; text == "" || broken(text) {
			return fmt.Errorf("%s has the %s %q", alert, a, text)
		}
	}
	return nil
}

// broken says whether a template has failed.
func broken(text string) bool {
	return strings.Contains(text, "<no value>") || strings.Contains(text, "<error") || strings.Contains(text, "%!")
}

// reached are the receivers that have got the alert in Alertmanager's own form.
func (w *webhook) reached(alert string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.receivers[alert])
}

// said are all messages that Slack has got.
func (w *webhook) said() []slackMessage {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.slack)
}
