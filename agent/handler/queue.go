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
	merged int // how many member events were left when they were merged last
}

func newJobQueue(limit int, drop DropRule) *jobQueue {
	q := &jobQueue{limit: limit, drop: drop}
	q.wake = sync.NewCond(&q.mu)
	return q
}

// add puts a job in. lost is the one that had to go for want of room, which may be j.
func (q *jobQueue) add(j *Job) (lost *Job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return j
	}
	if q.drop == DropSame {
		if i := slices.IndexFunc(q.jobs, j.same); i >= 0 {
			q.jobs = slices.Delete(q.jobs, i, i+1)
		}
	}
	if q.drop == dropUsers {
		return q.addSerial(j)
	}
	if len(q.jobs) >= q.limit {
		if q.drop == DropNewest {
			return j
		}
		lost = q.jobs[0]
		q.jobs = slices.Delete(q.jobs, 0, 1)
	}
	j.queued = time.Now()
	q.jobs = append(q.jobs, j)
	q.wake.Signal()
	return lost
}

// addSerial puts a job of the handlers in Serf's form in. It returns what had to go.
func (q *jobQueue) addSerial(j *Job) (lost *Job) {
	if n := len(q.jobs); n > 0 && q.jobs[n-1].takes(j) {
		return nil
	}
	own := *j // others may have j too, and more may come to it
	own.queued = time.Now()
	q.jobs = append(q.jobs, &own)
	if len(q.jobs) > q.limit {
		lost = q.makeRoom()
	}
	q.wake.Signal()
	return lost
}

// makeRoom merges the member events that wait, if there are many more than after the
// last time, or else drops a job.
func (q *jobQueue) makeRoom() (lost *Job) {
	at, members := oldestToLose(q.jobs)
	if at < 0 || members > 2*q.merged+16 {
		q.jobs = mergeMembers(q.jobs)
		if at, q.merged = oldestToLose(q.jobs); len(q.jobs) <= q.limit || at < 0 {
			return nil
		}
	}
	lost = q.jobs[at]
	q.jobs = slices.Delete(q.jobs, at, at+1)
	return lost
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

// clear drops what waits, and lets nothing in.
func (q *jobQueue) clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.jobs = true, nil
	q.wake.Broadcast()
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
