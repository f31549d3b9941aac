package store

import (
	"errors"
	"fmt"
)

// What a Log refuses. ErrDamaged and ErrFailed end it; after the others it goes on.
var (
	ErrInUse      = errors.New("another process uses the write log")
	ErrDamaged    = errors.New("the write log is damaged")
	ErrFailed     = errors.New("the write log has failed and takes no more")
	ErrClosed     = errors.New("the write log is closed")
	ErrFull       = errors.New("the write log is full")
	ErrTooLarge   = errors.New("too large for the write log")
	ErrNoIdentity = errors.New("the write log has no identity yet")
	ErrIdentity   = errors.New("the write log belongs to another member")
	ErrOrder      = errors.New("not a continuation of the write log")
)

// Damage is where files do not hold what was written and acknowledged. It is an
// ErrDamaged.
type Damage struct {
	Dir     string
	Segment string // the file's name
	Offset  int64  // of the first byte that cannot be understood
	Index   uint64 // of the first entry that may be lost
	Reason  string
}

func (d *Damage) Error() string {
	return fmt.Sprintf("%v: %s in %s at byte %d: %s; what is lost begins with entry %d, so this member cannot vote any more: "+
		"move the directory away and start again, then it joins as a new member and is filled from the others",
		ErrDamaged, d.Segment, d.Dir, d.Offset, d.Reason, d.Index)
}

// Unwrap makes it an ErrDamaged.
func (d *Damage) Unwrap() error { return ErrDamaged }

// badRecord says why bytes are not a record that belongs where they are.
type badRecord string

func (b badRecord) Error() string { return string(b) }

func bad(format string, args ...any) error { return badRecord(fmt.Sprintf(format, args...)) }
