package handler

import (
	"slices"
	"sync"
	"time"
)

// jobQueue are the events that wait for one handler.
//
// Rule: jobs come out in the order in which they went in; which one is lost
// when there is no room is for the drop rule. Invariant: len(jobs) <= limit,
// and once closed nothing goes in.
type jobQueue struct {
	limit int
	drop  DropRule

	mu     sync.Mutex
	wake   *sync.Cond
	jobs   []*Job // oldest first
	closed bool
}

func newJobQueue(limit int, drop DropRule) *jobQueue {
	q := &jobQueue{limit: limit, drop: drop}
	q.wake = sync.NewCond(&q.mu)
	return q
}

// add puts a job in. lost is the one that had to go for want of room, which may
// be j; replaced one that j stands for now.
func (q *jobQueue) add(j *Job) (lost, replaced *Job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return j, nil
	}
	if q.drop == DropSame {
		if i := slices.IndexFunc(q.jobs, j.same); i >= 0 {
			replaced = q.jobs[i]
			q.jobs = slices.Delete(q.jobs, i, i+1)
		}
	}
	if len(q.jobs) >= q.limit {
		if q.drop == DropNewest {
			return j, replaced
		}
		lost = q.jobs[0]
		q.jobs = slices.Delete(q.jobs, 0, 1)
	}
	j.queued = time.Now()
	q.jobs = append(q.jobs, j)
	q.wake.Signal()
	return lost, replaced
}

// next waits for a job; there is none any more once the queue is closed and empty.
func (q *jobQueue) next() (*Job, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.jobs) == 0 && !q.closed {
		q.wake.Wait()
	}
	if len(q.jobs) == 0 {
		return nil, false
	}
	j := q.jobs[0]
	q.jobs[0] = nil
	q.jobs = q.jobs[1:]
	return j, true
}

func (q *jobQueue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.jobs)
}

// close lets what waits come out, and nothing in.
func (q *jobQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake.Broadcast()
}

func (q *jobQueue) oldest(now time.Time) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.jobs) == 0 {
		return 0
	}
	return now.Sub(q.jobs[0].queued)
}
