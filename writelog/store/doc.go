// Package store keeps a gateway's part of the replicated log on disk: the entries of
// Raft, its hard state and the latest snapshot, behind the interface raft.Storage of
// go.etcd.io/raft/v3.
//
// The log is a sequence of segments, files that only grow. What one Save writes is a
// batch of records in one write, made durable by one fsync before Save returns; after
// a crash a batch is there as a whole or not at all. Each record has a checksum that
// takes in its place, what it says, and the checksum of the record before. What a
// segment's first record repeats (the identity, the hard state, the snapshot) lets
// older segments be removed.
//
// The end of the newest segment is cut off only where a write was not finished and
// nothing was acknowledged of it; all other damage is ErrDamaged. How the two are told
// apart is in tail.go.
package store
