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
type restarts struct {
	byName map[string]*restart // nil until there is one
	timers *timers
	trace  func(swim.Trace)
}

// begin begins a window of d for a member.
func (x *restarts) begin(now time.Time, r *member, d time.Duration) {
	if x.byName == nil {
		x.byName = make(map[string]*restart)
	}
	x.byName[r.Name()] = &restart{until: now.Add(d)}
	x.arm()
	x.trace(swim.Trace{Kind: TraceRestartSoon, Level: swim.LevelInfo, Node: r.Name(), Addr: r.Addr(), Dur: d})
}

// end forgets the window of a member.
func (x *restarts) end(name string) {
	if x.byName[name] != nil {
		delete(x.byName, name)
		x.arm()
	}
}

func (x *restarts) arm() {
	var at time.Time
	// order-free: the earliest of all.
	for _, w := range x.byName {
		at = earlier(at, w.until)
	}
	x.timers.set(timerRestarts, at)
}

// hold reports whether the failure of r, which was before until now, is to be held back.
func (x *restarts) hold(now time.Time, r, before *member) bool {
	w := x.byName[r.Name()]
	if w == nil || !w.until.After(now) {
		return false
	}
	w.gone, w.before = true, *before
	x.trace(swim.Trace{Kind: TraceRestartAway, Level: swim.LevelInfo, Node: r.Name(), Addr: r.Addr(), Dur: w.until.Sub(now)})
	return true
}

// back notes that a member is alive again. If its failure was held back, it returns the
// member as it was before that.
func (x *restarts) back(r *member) (before *member, held bool) {
	w := x.byName[r.Name()]
	if w == nil || !w.gone {
		return nil, false
	}
	w.gone = false
	x.trace(swim.Trace{Kind: TraceRestartBack, Level: swim.LevelInfo, Node: r.Name(), Addr: r.Addr()})
	return &w.before, true
}

// holds reports whether a failure of a member is held back.
func (x *restarts) holds(name string) bool {
	w := x.byName[name]
	return w != nil && w.gone
}

// due ends the windows that are over, and returns the members, sorted by name, whose
// failures they held back.
func (x *restarts) due(now time.Time) (failed []string) {
	if !x.timers.due(timerRestarts, now) {
		return nil
	}
	// order-free: sorted below.
	for name, w := range x.byName {
		if w.until.After(now) {
			continue
		}
		if w.gone {
			failed = append(failed, name)
		}
		delete(x.byName, name)
	}
	slices.Sort(failed)
	x.arm()
	return failed
}

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
		m.restarts.end(r.Name())
	case d != m.windowOf(before):
		m.restarts.begin(m.now, r, d)
	}
}

// backInTime reports whether a member that is alive again is one whose failure was held
// back: there is at most an update to tell. (P242)
func (m *Machine) backInTime(r *member) bool {
	before, held := m.restarts.back(r)
	if !held {
		return false
	}
	m.noteRestart(r, before.Meta())
	if !m.sameFace(before, r) {
		m.coalescer.member(m.now, EventMemberUpdate, r, before)
	}
	return true
}

// restartsDue tells the failures that were held back until now.
func (m *Machine) restartsDue() {
	for _, name := range m.restarts.due(m.now) {
		m.changes++
		m.tellMember(EventMemberFailed, TraceMemberFailed, m.members.get(name))
	}
}

// ownTags are the tags that this node is to have with those that it has for itself.
func (m *Machine) ownTags(tags []wire.Tag) []wire.Tag {
	return withOwn(tags, m.cfg.Swim.Cluster, m.window)
}

// withOwn adds what a node says of itself by tags. They take precedence over tags of
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
