package swim

// Queue holds broadcasts until each has been sent often enough (P: transmit
// limit). It gives out the least sent first, among those the largest that still
// fits, among those the newest. It is used by the machine for membership and by
// the layer above for its own messages.
type Queue struct {
}

// Push queues msg (the queue keeps its own copy). A non-empty name replaces an
// older broadcast of the same name.
// done, if not nil, is called once when it will not be sent any more.
func (q *Queue) Push(name string, msg []byte, done func()) { panic("unwritten") }

// Take appends messages that fit into limit, each costing overhead more than
// its length, and counts them as sent; those sent limitTransmits times are dropped.
// The slices are valid until the next Push.
func (q *Queue) Take(dst [][]byte, overhead, limit, transmits int) [][]byte { panic("unwritten") }

// Len is the number of queued broadcasts.
func (q *Queue) Len() int { panic("unwritten") }

// Prune drops the most often sent until at most max remain, and returns how many it dropped.
func (q *Queue) Prune(max int) int { panic("unwritten") }

// TransmitLimit is mult × ceil(log10(n+1)): how often a broadcast is sent in a cluster of n.
func TransmitLimit(mult, n int) int { panic("unwritten") }
