package droonga

import (
	"context"
	"net"
	"sync"
	"time"
)

const (
	dialTimeout  = 3 * time.Second
	writeTimeout = 10 * time.Second
	maxQueued    = 256 // answers that wait for one receiver
)

// replies sends answers to the receivers that clients name. Connections are kept
// for the next answer to the same address, and closed when unused or when the
// receiver closes them.
type replies struct {
	s   *Server
	ctx context.Context
	end context.CancelFunc
	all sync.WaitGroup

	mu        sync.Mutex
	stopped   bool
	receivers map[string]*receiver
}

// receiver is one connection for answers, or one to be made.
type receiver struct {
	key   string
	addr  string
	queue chan []byte
	used  time.Time // guarded by replies.mu
	gone  bool      // it takes no more; guarded by replies.mu
}

func (p *replies) init(s *Server) {
	p.s = s
	p.receivers = make(map[string]*receiver)
	p.ctx, p.end = context.WithCancel(context.Background())
}

// send packs an answer and has it sent. A receiver that is too slow or not there
// gets none, and the log says so.
func (p *replies) send(to *destination, answer map[string]any) {
	data, err := pack([]any{to.tag + ".message", time.Now().Unix(), answer})
	if err != nil {
		p.s.cfg.Log.Error("droonga: an answer", "error", err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	addr := net.JoinHostPort(to.host, to.port)
	key := addr + "?" + to.connection
	r := p.receivers[key]
	if r == nil {
		if !p.room() {
			p.s.cfg.Log.Warn("droonga: too many receivers; an answer is dropped", "to", addr)
			return
		}
		r = &receiver{key: key, addr: addr, queue: make(chan []byte, maxQueued)}
		p.receivers[key] = r
		p.all.Add(1)
		go func() {
			defer p.all.Done()
			p.run(r)
		}()
	}
	r.used = time.Now()
	select {
	case r.queue <- data:
	default:
		p.s.cfg.Log.Warn("droonga: receiver is too slow; an answer is dropped", "to", addr)
	}
}

// room makes room for one more receiver: the one that was not used for longest goes.
// p.mu is held.
func (p *replies) room() bool {
	if len(p.receivers) < p.s.cfg.MaxReceivers {
		return true
	}
	var oldest *receiver
	for _, r := range p.receivers { // order-free: the oldest is looked for
		if len(r.queue) == 0 && (oldest == nil || r.used.Before(oldest.used)) {
			oldest = r
		}
	}
	if oldest == nil {
		return false
	}
	p.drop(oldest)
	return true
}

// drop takes a receiver out, and has run write what is queued and end. p.mu is held.
func (p *replies) drop(r *receiver) {
	if !r.gone {
		r.gone = true
		delete(p.receivers, r.key)
		close(r.queue)
	}
}

// run connects and writes until the receiver is dropped, idle or gone.
func (p *replies) run(r *receiver) {
	defer func() {
		p.mu.Lock()
		p.drop(r)
		p.mu.Unlock()
	}()
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(p.ctx, "tcp", r.addr)
	if err != nil {
		p.s.cfg.Log.Warn("droonga: cannot connect to a receiver of answers", "to", r.addr, "error", err)
		return
	}
	defer conn.Close()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		var buf [512]byte
		for { // receivers say nothing; their end is what counts
			if _, err := conn.Read(buf[:]); err != nil {
				return
			}
		}
	}()
	defer func() {
		conn.Close()
		<-closed
	}()
	idle := time.NewTimer(p.s.cfg.CloseAfter)
	defer idle.Stop()
	for {
		select {
		case data, ok := <-r.queue:
			if !ok {
				return
			}
			_ = conn.SetWriteDeadline(time.Now().Add(writeTimeout))
			if _, err := conn.Write(data); err != nil {
				p.s.cfg.Log.Warn("droonga: an answer is lost", "to", r.addr, "error", err)
				return
			}
			idle.Reset(p.s.cfg.CloseAfter)
		case <-closed:
			p.reopen(r)
			return
		case <-idle.C:
			p.reopen(r)
			return
		case <-p.ctx.Done():
			return
		}
	}
}

// reopen ends a receiver whose connection is done, and gives what was queued
// meanwhile to a new one.
func (p *replies) reopen(r *receiver) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(r)
	if len(r.queue) == 0 || p.stopped {
		return
	}
	next := &receiver{key: r.key, addr: r.addr, queue: make(chan []byte, maxQueued), used: time.Now()}
	for data := range r.queue {
		next.queue <- data // as many fit
	}
	p.receivers[next.key] = next
	p.all.Add(1)
	go func() {
		defer p.all.Done()
		p.run(next)
	}()
}

// stop lets what is queued go out, until ctx ends, and closes all connections.
func (p *replies) stop(ctx context.Context) {
	p.mu.Lock()
	p.stopped = true
	for _, r := range p.receivers { // order-free: all end
		p.drop(r)
	}
	p.mu.Unlock()
	done := make(chan struct{})
	go func() {
		p.all.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	p.end()
	<-done
}
