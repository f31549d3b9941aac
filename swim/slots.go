package swim

import (
	"math"
	"net/netip"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// slots spread the pings of those who watch this node evenly: each answer says when
// the next ping is wanted. So the longest wait for one is short, though
// watchers know nothing of each other. (P193)
//
// Rule: a watcher gets the slot a time of every after the last one given to another; who
// asks again before its slot has come is told the same one. Invariant: no slot
// is further away than one for each of by.
type slots struct {
	by [watchersEach + 1]slot
}

type slot struct {
	from netip.AddrPort
	at   time.Duration // on the awake clock
}

// next says in how long the ping after this one is wanted, in wire.WaitUnit.
func (s *slots) next(now, every time.Duration, from netip.AddrPort) uint8 {
	var own *slot
	oldest, last := &s.by[0], now
	for i := range s.by {
		b := &s.by[i]
		if b.from == from {
			own = b
		} else {
			last = max(last, b.at)
		}
		if b.at < oldest.at {
			oldest = b
		}
	}
	if own == nil {
		own = oldest
		own.from, own.at = from, now
	}
	if own.at <= now+every/2 || own.at > now+time.Duration(len(s.by))*every {
		own.at = min(last+every, now+time.Duration(len(s.by))*every)
	}
	return uint8(min((own.at-now+wire.WaitUnit/2)/wire.WaitUnit, math.MaxUint8))
}
