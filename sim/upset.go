package sim

// outboxLimit is how many packets wait in a process that cannot send: about what
// the buffer of a socket takes.
const outboxLimit = 256

// Anomaly is a way in which a process can be unwell for a while.
type Anomaly uint8

const (
	// Blocked: the process goes on until it is about to send anything, or has
	// received anything; there it stops. This is what the Lifeguard paper did.
	Blocked Anomaly = iota
	// Stopped: nothing in it goes on, as after SIGSTOP or on a processor that
	// others use.
	Stopped
	// Deaf: it goes on, and its timers with it, but nothing that it sends leaves
	// its host, and nothing that comes reaches it. It does not even notice.
	Deaf
)

// Upset makes the process unwell until Release.
func (n *Node) Upset(a Anomaly) {
	if !n.up || n.upset {
		return
	}
	n.upset = true
	n.c.log.life(n.c, n, "is unwell")
	switch a {
	case Blocked:
		n.blocks = true
	case Stopped:
		n.paused = true
	case Deaf:
		n.deaf = true
	}
}

// block stops a process that is to block, at what it is about to do.
func (n *Node) block() {
	if n.blocks {
		n.paused, n.deaf = true, true
	}
}

// Release ends it: what was to be sent goes out, then what came is read.
func (n *Node) Release() {
	if !n.upset {
		return
	}
	n.upset, n.blocks, n.deaf, n.paused = false, false, false, false
	out := n.outbox
	n.outbox = nil
	if !n.up {
		return
	}
	n.c.log.life(n.c, n, "is well again")
	for _, send := range out {
		send()
	}
	n.drain()
}

// withhold keeps what is to be sent, or loses it if too much waits already.
func (n *Node) withhold(send func()) {
	if len(n.outbox) < outboxLimit {
		n.outbox = append(n.outbox, send)
	}
}

// drain reads what has arrived.
func (n *Node) drain() {
	box := n.inbox
	n.inbox, n.datagram = nil, 0
	life := n.life
	for _, e := range box {
		if n.up && n.life == life {
			n.take(e)
		}
		n.c.clock.release(e)
	}
	if n.up && !n.paused {
		n.arm()
	}
}
