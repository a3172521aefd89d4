package fetcher

import "sync"

// keyTrouble is what the log already knows to be wrong with an organization's key. All endpoints ask with the same one,
// so the first that is refused speaks for all.
type keyTrouble struct {
	mu     sync.Mutex
	logged map[complaint]bool
}

// mostComplaints bounds what is remembered of refusals, whose texts are the API's.
const mostComplaints = 100

// A complaint is a way in which one of the keys is refused.
type complaint struct {
	keyVersion int
	text       string
}

// news says whether this refusal has not been logged yet, and notes that it is logged now.
func (t *keyTrouble) news(e *Error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := complaint{e.keyVersion, e.text}
	if t.logged[r] {
		return false
	}
	if len(t.logged) >= mostComplaints {
		clear(t.logged) // A refusal that is another one each time is news each time.
	}
	if t.logged == nil {
		t.logged = make(map[complaint]bool)
	}
	t.logged[r] = true
	return true
}

// over forgets all refusals and says whether there were any.
func (t *keyTrouble) over() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := len(t.logged) > 0
	clear(t.logged)
	return was
}
