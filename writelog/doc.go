// Package writelog is one gateway's part of the replicated log that orders all writes
// of a catalog: which writes are done, in which order, which have been given up, which
// servers may be read from, and until when a gateway may answer searches from them.
//
// Order, elections and membership are those of Raft, by go.etcd.io/raft. What is here
// is the state machine above it ([State]: sessions, so that a write is executed once or
// never; the read set) and what its leader has to know beside it ([Machine]: which
// server has applied what, who holds a lease, which write may be acknowledged).
//
// The package is pure: no goroutine, channel, socket, file or clock. Its driver hands
// in messages, ticks and the time, makes durable what [Output] says before it sends what
// depends on it, and carries out what was committed. Time is that since some moment, by
// a clock that goes on while the host sleeps.
package writelog
