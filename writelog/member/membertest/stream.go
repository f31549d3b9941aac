package membertest

import (
	"context"
	"errors"
	"time"
)

// timeout is how long a request on a Stream may take.
const timeout = 500 * time.Millisecond

// Stream is a member.Stream that asks for each request, one after the other.
type Stream struct {
	ask     func(ctx context.Context, request []byte) error
	ctx     context.Context
	cancel  context.CancelFunc
	waiting chan []byte
	done    chan struct{}
}

// NewStream makes one that breaks when ask fails, or takes longer than half a second.
func NewStream(ask func(ctx context.Context, request []byte) error) *Stream {
	s := &Stream{ask: ask, waiting: make(chan []byte, 1024), done: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	go s.run()
	return s
}

func (s *Stream) run() {
	defer close(s.done)
	for {
		select {
		case <-s.ctx.Done():
			return
		case request := <-s.waiting:
			asking, cancel := context.WithTimeout(s.ctx, timeout)
			err := s.ask(asking, request)
			cancel()
			if err != nil {
				return
			}
		}
	}
}

// Send sends a request.
func (s *Stream) Send(request []byte) error {
	select {
	case s.waiting <- request:
		return nil
	case <-s.done:
		return errors.New("the stream is broken")
	}
}

// Done is closed when the stream is broken.
func (s *Stream) Done() <-chan struct{} { return s.done }

// Break ends it as the end of the other process does.
func (s *Stream) Break() { s.cancel() }

// Close ends it, and waits for what is under way.
func (s *Stream) Close() {
	s.cancel()
	<-s.done
}
