package member

import (
	"sync"
	"time"
)

// said is what servers said that the loop has not heard yet: what comes while it is busy is heard
// together, so that loads which went out together are answered together.
type said struct {
	mu   sync.Mutex
	list []func()
}

// by has the loop call a function, in the order in which they came.
func (s *said) by(m *Member, f func()) {
	s.mu.Lock()
	s.list = append(s.list, f)
	first := len(s.list) == 1
	s.mu.Unlock()
	if !first {
		return
	}
	m.do(func(time.Duration) {
		for _, f := range s.take() {
			if m.machine != nil {
				f()
			}
		}
	})
}

func (s *said) take() []func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.list
	s.list = nil
	return list
}
