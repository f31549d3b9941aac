package serf

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// RestartTag is the tag by which a member says that it is about to restart. Its value
// is how long it may be away, as time.ParseDuration reads it. (P240)
const RestartTag = "ibuki-restart"

// MaxRestartWindow is the longest time that a member may ask for: a failure is not to
// stay untold for longer.
const MaxRestartWindow = time.Hour

// ErrRestartWindow: a negative time, or one above MaxRestartWindow.
var ErrRestartWindow = errors.New("a restart window is at most 1h long")

// AnnounceRestart tells the others that this node may be away until d from now: those
// that are native tell no failure of it before. 0 takes that back. (P240)
func (m *Machine) AnnounceRestart(now time.Time, d time.Duration) error {
	m.now = now
	switch {
	case m.over():
		return ErrNotAlive
	case m.cfg.Protocol < 3:
		return ErrProtocol
	case d < 0 || d > MaxRestartWindow:
		return ErrRestartWindow
	}
	old := m.window
	m.window = d
	if err := m.tellTags(m.cfg.Tags); err != nil {
		m.window = old
		return err
	}
	m.timers.stop(timerWindow)
	if d > 0 {
		m.timers.set(timerWindow, now.Add(d))
	}
	m.settle()
	return nil
}

// windowDue: this node is still here at the end of its restart window.
func (m *Machine) windowDue() {
	if m.timers.due(timerWindow, m.now) && m.state == Alive {
		m.window = 0
		_ = m.tellTags(m.cfg.Tags) // fewer than before, so they fit
	}
}

// restart is what is known of a member that has said that it restarts.
//
// Rule: until the end of its window the failure of the member is in the list only;
// its event is told at the end, or never if the member is back by then, which is an
// update. A window begins when this node first hears of it, and is not made longer by
// hearing of it again. (P241, P242)
type restart struct {
	until  time.Time
	gone   bool   // it has failed, and no event has told so
	before member // as it was told last, if gone
}

// restarts are the announced ones, by name. Invariant: timerRestarts is set to the
// earliest until.
type restarts map[string]*restart

// windowOf is the value of RestartTag in metadata, 0 if there is none that can be used.
func (m *Machine) windowOf(meta []byte) time.Duration {
	if !bytes.Contains(meta, []byte(RestartTag)) {
		return 0
	}
	d, err := time.ParseDuration(findTag(m.decodeTags(meta), RestartTag))
	if err != nil || d < 0 {
		return 0
	}
	return min(d, MaxRestartWindow)
}

// noteRestart looks whether a member that is alive announces a restart. before is what
// its metadata were if it was alive before, too.
func (m *Machine) noteRestart(r *member, before []byte) {
	if m.cfg.Swim.Plain || r.Name() == m.cfg.Swim.Name {
		return
	}
	d := m.windowOf(r.Meta())
	switch {
	case d == 0:
		m.endRestart(r.Name())
	case d != m.windowOf(before):
		if m.restarts == nil {
			m.restarts = make(restarts)
		}
		m.restarts[r.Name()] = &restart{until: m.now.Add(d)}
		m.armRestarts()
		m.trace(swim.Trace{Kind: TraceRestartSoon, Level: swim.LevelInfo, Node: r.Name(), Addr: r.Addr(), Dur: d})
	}
}

func (m *Machine) endRestart(name string) {
	if m.restarts[name] != nil {
		delete(m.restarts, name)
		m.armRestarts()
	}
}

func (m *Machine) armRestarts() {
	var at time.Time
	// order-free: the earliest of all.
	for _, x := range m.restarts {
		at = earlier(at, x.until)
	}
	m.timers.set(timerRestarts, at)
}

// holdFailure reports whether the failure of r, which was before until now, is not to
// be told yet.
func (m *Machine) holdFailure(r, before *member) bool {
	x := m.restarts[r.Name()]
	if x == nil || !x.until.After(m.now) {
		return false
	}
	x.gone, x.before = true, *before
	m.trace(swim.Trace{Kind: TraceRestartAway, Level: swim.LevelInfo, Node: r.Name(), Addr: r.Addr(), Dur: x.until.Sub(m.now)})
	return true
}

// backInTime tells that a member is alive again whose failure was not told, and reports
// whether it is one. (P242)
func (m *Machine) backInTime(r *member) bool {
	x := m.restarts[r.Name()]
	if x == nil || !x.gone {
		return false
	}
	x.gone = false
	m.trace(swim.Trace{Kind: TraceRestartBack, Level: swim.LevelInfo, Node: r.Name(), Addr: r.Addr()})
	m.noteRestart(r, x.before.Meta())
	if !m.sameFace(&x.before, r) {
		m.coalescer.member(m.now, EventMemberUpdate, r, &x.before)
	}
	return true
}

// restarting reports whether a failure is held back.
func (m *Machine) restarting(name string) bool {
	x := m.restarts[name]
	return x != nil && x.gone
}

// restartsDue ends the windows that are over.
func (m *Machine) restartsDue() {
	if !m.timers.due(timerRestarts, m.now) {
		return
	}
	var over []string
	// order-free: sorted below.
	for name, x := range m.restarts {
		if !x.until.After(m.now) {
			over = append(over, name)
		}
	}
	slices.Sort(over)
	for _, name := range over {
		gone := m.restarts[name].gone
		delete(m.restarts, name)
		if gone {
			m.changes++
			m.tellMember(EventMemberFailed, TraceMemberFailed, m.members.get(name))
		}
	}
	m.armRestarts()
}

// ownTags are the tags that this node is to have with those that it has for itself.
func (m *Machine) ownTags(tags []wire.Tag) []wire.Tag {
	return withOwn(tags, m.cfg.Swim.Cluster, m.window)
}

// withOwn adds what a node says of itself by tags. They count more than tags of
// the same name. (P240, P245)
func withOwn(tags []wire.Tag, cluster string, window time.Duration) []wire.Tag {
	if cluster == "" && window == 0 {
		return tags
	}
	tags = slices.Clone(tags)
	if cluster != "" {
		tags = append(tags, wire.Tag{Key: ClusterTag, Value: cluster})
	}
	if window > 0 {
		tags = append(tags, wire.Tag{Key: RestartTag, Value: window.String()})
	}
	return sortedTags(tags)
}
