package rpc

import (
	"context"
	"sync"
)

// queue hands values from a producer that may never wait to one consumer. It
// grows as needed up to limit values; what comes after that is counted as
// lost. Invariant: nothing is pushed after close.
type queue[T any] struct {
	limit int
	wake  chan struct{} // holds a token while there is something to see

	mu    sync.Mutex
	items []T
	lost  int
	ended bool
	err   error // what next returns after the last item
	final T     // what came with the end, if anything did
}

func newQueue[T any](limit int) *queue[T] {
	return &queue[T]{limit: limit, wake: make(chan struct{}, 1)}
}

// push adds v and reports whether there was room.
func (q *queue[T]) push(v T) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.ended:
		return true // nobody is interested any more
	case len(q.items) >= q.limit:
		q.lost++
		return false
	}
	q.items = append(q.items, v)
	q.signal()
	return true
}

// close ends the queue: the consumer gets what is in it and then err. Only the
// first close counts; it returns true.
func (q *queue[T]) close(err error) bool {
	var none T
	return q.closeWith(err, none)
}

// closeWith is close by a value that says more of the end: see ending.
func (q *queue[T]) closeWith(err error, final T) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return false
	}
	q.ended, q.err, q.final = true, err, final
	q.signal()
	return true
}

// ending is the value of the first close, empty if it had none.
func (q *queue[T]) ending() T {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.final
}

// lostCount is how many values found no room.
func (q *queue[T]) lostCount() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lost
}

func (q *queue[T]) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// next returns the next value, or the error of close after the last one.
func (q *queue[T]) next(ctx context.Context) (T, error) {
	for {
		if v, err, ok := q.poll(); ok {
			return v, err
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			var none T
			return none, ctx.Err()
		}
	}
}

// poll is next without waiting. It leaves a token for the next consumer if
// there is more.
func (q *queue[T]) poll() (v T, err error, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		if q.ended {
			q.signal()
		}
		return v, q.err, q.ended
	}
	v = q.items[0]
	var none T
	q.items[0] = none // the array lives on
	q.items = q.items[1:]
	if len(q.items) > 0 || q.ended {
		q.signal()
	}
	return v, nil, true
}
