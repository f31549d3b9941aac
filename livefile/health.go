package livefile

import "time"

// Health is what is known of a watched file, beside the list in it.
type Health struct {
	// Loaded: a good list has been read. Until then List.Current is empty and says
	// nothing: whoever knows the nodes from elsewhere holds all of them to be alive.
	Loaded bool
	// Missing: there is no file now. What was loaded before still counts.
	Missing bool
	// Fault is why the file, as it is now, is not used; nil if it is. A missing file is
	// a fault too, os.ErrNotExist.
	Fault error
	// FaultSince is when Fault was first seen.
	FaultSince time.Time
	// Faults is how many faults there have been.
	Faults int
	// Written is the file's own time as of the list in memory.
	Written time.Time
	// Confirmed is the file's time as it was last seen: an agent that keeps the list
	// sets it every few seconds (ConfirmEvery), though it writes only what changed.
	Confirmed time.Time
	// Kept: the file's time has been seen to be set without a change of the list and
	// soon after the last time, so there is, or was, an agent that keeps it. An event
	// handler does not do that.
	Kept bool
	// Stale: the list is Kept, and has not been confirmed for a while: its agent may
	// have ended, and the list may be out of date.
	Stale bool
	// Alone: the list names one node only. That is what an agent says that has just
	// started and has joined nobody yet.
	Alone bool
}
