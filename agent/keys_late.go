package agent

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/ibuki-dev/ibuki/rpc"
	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

const (
	// lateAfter is how long a member may speak another key before something is done about it,
	// and up to as long again, by chance, so that not all nodes do it at once. A
	// rotation under way is over by then.
	lateAfter = 2 * time.Second
	// lateEvery is the time between two looks at it.
	lateEvery = 10 * time.Second
	// lateHeard is how fresh the last word in another key has to be.
	lateHeard = 5 * time.Second
	// lateTries is how often it is told, for packets get lost.
	lateTries = 3
	// lateAtOnce is how many members are helped in one look.
	lateAtOnce = 32
)

// lateMember is a member that speaks another key than this node.
type lateMember struct {
	name string
	key  wire.Key // that it speaks
}

// tendKeys helps members that have slept through a rotation, and this node if it
// is the one. What the majority seals with counts, so that nobody who was away
// turns a rotation back (P182). See docs/adr/0003-late-keys.md.
func (a *Agent) tendKeys() {
	for {
		select {
		case <-a.spoken.news:
		case <-a.ctx.Done():
			return
		}
		a.pause(lateAfter + rand.N(lateAfter))
		if late := a.lateMembers(time.Now()); len(late) > 0 {
			a.settleKeys(a.ctx, late)
			a.pause(lateEvery)
		}
	}
}

// lateMembers are the alive members that were just heard in another key, by name.
func (a *Agent) lateMembers(now time.Time) (late []lateMember) {
	recent := a.spoken.recent(now, lateHeard)
	for _, m := range a.Members() {
		key, ok := recent[m.Addr]
		if ok && m.Status == serf.StatusAlive && m.Name != a.cfg.Name && len(late) < lateAtOnce {
			late = append(late, lateMember{m.Name, key})
		}
	}
	return late
}

// settleKeys asks everybody for the key in use. If it is this node's, the late
// members get it; if it is another one that this node has, this node is the late
// one. If there is no majority, nothing is right or wrong.
func (a *Agent) settleKeys(ctx context.Context, late []lateMember) {
	resp, err := a.askKeys(ctx, rpc.ListKeys, nil)
	if err != nil {
		return
	}
	used := majority(resp.primary, resp.NumNodes)
	raw, err := base64.StdEncoding.DecodeString(used)
	if used == "" || err != nil {
		return
	}
	keys := a.frame.Load().Keys
	if string(keys[0].Bytes()) != string(raw) {
		if err := a.ring.change(serf.UseKey, raw); err == nil {
			a.logger.Warn("agent: this node encrypted with another key than the majority, and uses theirs now")
		}
		return
	}
	for _, m := range late {
		if err := a.handOver(ctx, m, keys); err != nil {
			a.logger.Warn(fmt.Sprintf("agent: %s uses another key and could not be sent the one in use: %v", m.name, err))
			continue
		}
		a.logger.Info("agent: sent the keys in use to a member that had missed a change: " + m.name)
	}
}

// majority returns the key that more than half of n nodes seal with, "" if there is none.
func majority(primary map[string]string, n int) string {
	votes := make(map[string]int)
	for _, key := range primary { // order-free: counted
		votes[key]++
	}
	for key, v := range votes { // order-free: at most one has the majority
		if key != "" && 2*v > n {
			return key
		}
	}
	return ""
}

// handOver installs all keys of the ring on a late member and makes it use the first.
func (a *Agent) handOver(ctx context.Context, m lateMember, keys []wire.Key) error {
	for _, key := range keys {
		if key.Equal(m.key) {
			continue
		}
		if err := a.tellKey(ctx, m.name, serf.InstallKey, key); err != nil {
			return err
		}
	}
	return a.tellKey(ctx, m.name, serf.UseKey, keys[0])
}

// tellKey asks a key query of one member.
func (a *Agent) tellKey(ctx context.Context, name, command string, key wire.Key) error {
	for range lateTries {
		resp := newKeyAnswers([]string{name})
		err := a.askDirectly(ctx, command, key.Bytes(), resp)
		switch {
		case err != nil:
			return err
		case resp.NumErr > 0:
			return fmt.Errorf("%s: %s", command, resp.Messages[name])
		case resp.NumResp > 0:
			return nil
		}
	}
	return fmt.Errorf("%s: no answer", command)
}

// speakTo is the key for a stream to an address; not a valid one for the first.
func (a *Agent) speakTo(to netip.AddrPort) wire.Key {
	key, _ := a.spoken.keyFor(time.Now(), to)
	return key
}
