package dispatch

// WriteLog is the ordered record on disk of the writes that one volume has not
// yet got. The implementation is Buffer (buffer.go). Its methods may be called
// concurrently; entries are numbered from 1 without gaps, also over restarts.
type WriteLog interface {
	// Append adds an entry (copied) behind all others and returns its number. When
	// it returns, the entry survives the death of this process. ErrBufferFull if the
	// bound would be exceeded: then nothing was added.
	Append(entry []byte) (seq uint64, err error)
	// Sync returns when entry seq survives the death of the machine, as far as the
	// policy asks for that. Concurrent callers share the work.
	Sync(seq uint64) error
	// Read returns entry seq, which was appended and is not Done. The bytes belong to the caller.
	Read(seq uint64) ([]byte, error)
	// Done forgets all entries up to seq. That may be lost when the process dies:
	// then they are delivered again.
	Done(seq uint64) error
	// Bounds returns the numbers of the first entry that is not Done and of the last one:
	// last-first+1 entries are waiting; none if first > last. size is their bytes on disk.
	Bounds() (first, last uint64, size int64)
	// Close flushes. The entries stay.
	Close() error
}
