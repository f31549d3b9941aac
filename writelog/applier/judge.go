package applier

import (
	"errors"
	"fmt"
)

// Faults that end Run: nothing is applied until somebody has changed something.
var (
	// ErrSuspect: what the database has cannot be trusted or cannot be continued. It has to be filled
	// from another one.
	ErrSuspect = errors.New("the database has to be filled")
	// ErrRefused: the database belongs to another cluster, or to a newer epoch of this one.
	ErrRefused = errors.New("the database is not this cluster's")
)

// AsItWas is why an applier begins with a database that had tables before the log began.
const AsItWas = "the database as it is, which is what the log begins with"

// found is what a database says of itself when an applier begins.
type found struct {
	position string // the values of the keys; "" for none
	durable  string
	nonce    string
	suspect  string
	filling  string
	empty    bool // it has no tables
}

// log is what is known of the log then.
type logState struct {
	cluster, epoch uint64
	last           uint64                      // of the last one
	began          uint64                      // the first index of the epoch
	first          uint64                      // index of the first entry that it holds
	begins         bool                        // that one is its very first
	partial        bool                        // what the databases had when it began is not in it
	since          uint64                      // the entry by which the server was added; entries before do not name it
	founding       bool                        // the log has never been applied to a database of this server
	term           func(uint64) (uint64, bool) // of an entry, if it is known
	boot           string                      // boot id of the server's host
}

// begin is where an applier begins.
type begin struct {
	position Position
	fresh    bool   // there was none
	why      string // for people
}

// judge decides where to begin, or why not to.
func (f *found) judge(l *logState) (begin, error) {
	if f.suspect != "" {
		return begin{}, suspected(f.suspect)
	}
	if f.filling != "" {
		return begin{}, fmt.Errorf("%w: its filling was broken off", ErrSuspect)
	}
	if f.position == "" {
		if f.empty && l.begins && !l.partial {
			return begin{fresh: true, why: "an empty database: from the first entry of the log"}, nil
		}
		if l.founding && l.begins {
			return begin{fresh: true, why: AsItWas}, nil
		}
		if f.empty && l.begins {
			return begin{}, fmt.Errorf("%w: it is empty, and what the databases had before the log began is not in the log", ErrSuspect)
		}
		if f.empty {
			return begin{}, fmt.Errorf("%w: it is empty, and the log begins at entry %d", ErrSuspect, l.first)
		}
		return begin{}, fmt.Errorf("%w: it has tables, and does not say how far it has come in the log", ErrSuspect)
	}
	p, err := DecodePosition(f.position)
	if err != nil {
		return begin{}, fmt.Errorf("%w: its position cannot be read: %v", ErrSuspect, err)
	}
	b := begin{position: p, why: fmt.Sprintf("from entry %d", p.Index+1)}
	if p.Boot != l.boot {
		if b.position, err = DecodePosition(f.durable); err != nil {
			return begin{}, fmt.Errorf("%w: its host was booted, and there is no durable position: %v", ErrSuspect, err)
		}
		b.why = fmt.Sprintf("the host was booted: from entry %d, the first that may not be on the disk", b.position.Index+1)
		b.position.Doubt = max(p.Doubt, p.Seen, l.last)
	}
	return b, b.position.check(f, l)
}

// check compares a position with the cluster, the database and the log.
func (p *Position) check(f *found, l *logState) error {
	term, known := l.term(p.Last)
	switch {
	case p.Cluster != l.cluster:
		return fmt.Errorf("%w: its position is of cluster %x, this one is %x", ErrRefused, p.Cluster, l.cluster)
	case p.Epoch > l.epoch:
		return fmt.Errorf("%w: its position is of epoch %d, this cluster is at %d", ErrRefused, p.Epoch, l.epoch)
	case p.Epoch < l.epoch && p.Seen >= l.began:
		return fmt.Errorf("%w: it has come to entry %d of epoch %d, and the log of epoch %d goes on from entry %d", ErrSuspect, p.Seen, p.Epoch, l.epoch, l.began)
	case p.Nonce == "" || p.Nonce != f.nonce:
		return fmt.Errorf("%w: its position was written for another database", ErrSuspect)
	case p.Index+1 < l.first && !l.begins: // before its very first entry a log has nothing that a database could lack
		return fmt.Errorf("%w: it has come to entry %d, and the log begins at %d", ErrSuspect, p.Index, l.first)
	case p.Index < l.since:
		return fmt.Errorf("%w: it has come to entry %d, and is a server of the cluster since entry %d", ErrSuspect, p.Index, l.since)
	case p.Last > 0 && known && term != p.Term:
		return fmt.Errorf("%w: its entry %d is of term %d, that of the log of term %d", ErrSuspect, p.Last, p.Term, term)
	}
	return nil
}
