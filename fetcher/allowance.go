package fetcher

import "time"

// An Allowance says how much of an organization's budget of requests is left.
type Allowance struct {
	// PerMinute is the budget, Used how many requests were made within the last minute.
	PerMinute, Used int
	// Waiting is how many requests have to wait for their turn now.
	Waiting int
}

// Left is how many more requests the budget of this minute has. Who saved up some before may be ahead of it.
func (a Allowance) Left() int { return max(0, a.PerMinute-a.Used-a.Waiting) }

// Allowances returns what is left of the budget of every organization that is polled, by its name.
func (s *Scheduler) Allowances() map[string]Allowance {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]Allowance, len(s.running))
	for _, r := range s.running {
		out[r.organization.Name] = r.organization.Client.Allowance()
	}
	return out
}

// Allowance returns what is left of the client's budget.
func (c *Client) Allowance() Allowance {
	b := c.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	a := Allowance{PerMinute: max(c.o.RequestsPerMinute, 1), Used: b.recent.sum(time.Now())}
	for _, queue := range b.waiting {
		a.Waiting += len(queue)
	}
	return a
}

// A minute counts what happened in each of the last sixty seconds.
type minute struct {
	second int64 // the newest one
	counts [60]int
}

// forward makes the second of now the newest one. A clock that was set back starts over.
func (m *minute) forward(now time.Time) *int {
	n := int64(len(m.counts))
	second := now.Unix()
	if second < m.second || second-m.second >= n {
		clear(m.counts[:])
		m.second = second
	}
	for m.second < second {
		m.second++
		m.counts[m.second%n] = 0
	}
	return &m.counts[second%n]
}

func (m *minute) add(now time.Time) { *m.forward(now)++ }

func (m *minute) sum(now time.Time) int {
	m.forward(now)
	sum := 0
	for _, n := range m.counts {
		sum += n
	}
	return sum
}
