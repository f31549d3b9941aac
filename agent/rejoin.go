package agent

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"

	"time"

	"github.com/ibuki-dev/ibuki/agent/logging"
	"github.com/ibuki-dev/ibuki/agent/snapshot"
	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/swim"
)

// seedGrace is how long a start is given to join by itself, before the seeds
// are tried.
const seedGrace = 10 * time.Second

// rejoiner stays in touch with everybody whom this node has ever known and who did
// not leave, and with its seeds (P164). It runs beside the loop; what it
// remembers goes into the snapshot.
type rejoiner struct {
	a       *Agent
	roster  *roster
	tries   *attempts
	seeds   map[string][]netip.AddrPort // what they stood for when last looked up
	order   []string                    // of seeds
	met     map[string]bool             // seeds that have answered
	started time.Time
	behind  bool      // the list has changed since it was looked at
	lookAt  time.Time // not before
	ends    chan attemptEnd
}

type attemptEnd struct {
	contact  contact
	addrs    []netip.AddrPort // of a seed that could be looked up
	answered bool
}

func (a *Agent) newRejoiner(restored *snapshot.Memory) *rejoiner {
	now := time.Now()
	rng := newRand(0)
	if a.cfg.Seed != 0 {
		rng = rand.New(rand.NewPCG(a.cfg.Seed, 1)) // another sequence than the machine's
	}
	k := &rejoiner{
		a: a, roster: newRoster(a.cfg.Name, a.cfg.ReconnectTimeout), tries: newAttempts(rng),
		seeds: make(map[string][]netip.AddrPort), met: make(map[string]bool), started: now, ends: make(chan attemptEnd, attemptsAtOnce),
	}
	k.roster.recall(now, restored.Peers)
	seeds := keptSeeds(a.cfg.Seeds)
	if len(seeds) == 0 {
		seeds = restored.Seeds
	}
	for _, s := range seeds {
		k.order = append(k.order, s)
		k.seeds[s] = nil
		if _, host, port, err := SplitTarget(s, a.transport.Addr().Port()); err == nil {
			if ip, err := netip.ParseAddr(host); err == nil {
				k.seeds[s] = []netip.AddrPort{netip.AddrPortFrom(ip.Unmap(), port)}
			}
		}
	}
	return k
}

// keptSeeds are at most maxSeeds different ones, of a length that can be kept.
func keptSeeds(list []string) (out []string) {
	for _, s := range list {
		if len(out) < snapshot.MaxSeeds && len(s) <= snapshot.MaxSeed && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// run follows the members until the agent ends or leaves.
func (k *rejoiner) run() {
	if s := k.a.snapshot; s != nil {
		s.Seeds(k.order)
	}
	k.look(time.Now())
	k.tries.urge(k.started, func(c contact) bool { return c.seed == "" && !k.roster.known[c.name].Lost })
	timer := time.NewTimer(atLeast(0))
	defer timer.Stop()
	for {
		select {
		case <-k.a.membersChanged:
			k.behind = true
		case e := <-k.ends:
			k.end(time.Now(), &e)
		case <-timer.C:
		case <-k.a.leaves:
			return
		case <-k.a.ctx.Done():
			return
		}
		if next := k.step(time.Now()); next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(atLeast(time.Until(next)))
		}
	}
}

// step does what is due and returns when there is more to do, zero if that is not known.
func (k *rejoiner) step(now time.Time) time.Time {
	if k.behind && !now.Before(k.lookAt) {
		k.look(now)
	}
	for _, c := range k.tries.take(now) {
		k.a.wg.Go(func() { k.try(c) })
	}
	next := k.tries.next()
	if k.behind && (next.IsZero() || k.lookAt.Before(next)) {
		next = k.lookAt
	}
	return next
}

// look compares who is there with who should be. In a large cluster that is some
// work; it takes a tenth of the time at most, however much changes.
func (k *rejoiner) look(now time.Time) {
	k.behind = false
	defer func() {
		end := time.Now()
		k.lookAt = end.Add(9 * end.Sub(now))
	}()
	members := k.a.Members()
	k.roster.update(now, members)
	if s := k.a.snapshot; s != nil {
		s.Peers(k.roster.peers())
	}
	k.want(now)
}

// want says who is to be tried.
func (k *rejoiner) want(now time.Time) {
	present, alive := k.present()
	lost := k.roster.lost(present)
	for _, s := range k.order {
		if len(missing(k.seeds[s], present)) > 0 || len(k.seeds[s]) == 0 {
			lost = append(lost, contact{seed: s})
		}
	}
	k.tries.set(now, lost, alive, k.started.Add(seedGrace))
}

// present are the addresses where nobody needs to be looked for.
func (k *rejoiner) present() (present map[netip.AddrPort]bool, alive int) {
	present = map[netip.AddrPort]bool{k.a.addr: true, k.a.transport.Addr(): true}
	for _, m := range k.a.Members() {
		if m.Status == serf.StatusAlive || m.Status == serf.StatusLeaving {
			present[m.Addr] = true
			alive++
		}
	}
	return present, alive
}

func missing(addrs []netip.AddrPort, present map[netip.AddrPort]bool) []netip.AddrPort {
	return slices.DeleteFunc(slices.Clone(addrs), func(a netip.AddrPort) bool { return present[a] })
}

func (k *rejoiner) end(now time.Time, e *attemptEnd) {
	k.tries.done(now, e.contact, e.answered)
	if e.answered && !k.met[e.contact.seed] {
		k.a.logger.Info("serf: Re-joined to previously known node: " + e.contact.String())
		// At a seed somebody may answer for ever whose address is another.
		k.met[e.contact.seed] = e.contact.seed != ""
	}
	if e.contact.seed != "" && len(e.addrs) > 0 {
		k.seeds[e.contact.seed] = e.addrs
		k.want(now)
	}
}

// try makes one attempt, and says how it ended.
func (k *rejoiner) try(c contact) {
	e := attemptEnd{contact: c}
	if c.seed == "" {
		e.answered = k.reach(target{c.addr, c.name})
	} else {
		e.addrs, e.answered = k.trySeed(c.seed)
	}
	select {
	case k.ends <- e:
	case <-k.a.leaves:
	case <-k.a.ctx.Done():
	}
}

// trySeed looks a seed up again and joins by those of its addresses that no
// live member has, until one answers.
func (k *rejoiner) trySeed(seed string) (addrs []netip.AddrPort, answered bool) {
	targets, err := k.a.resolve(k.a.ctx, seed)
	if err != nil {
		k.a.logger.Debug(fmt.Sprintf("agent: cannot look up %s: %v", seed, err))
		return nil, false
	}
	present, _ := k.present()
	for _, t := range targets {
		addrs = append(addrs, t.addr)
		if !answered && !present[t.addr] {
			answered = k.reach(t)
		}
	}
	return addrs, answered
}

// reach joins by one address.
func (k *rejoiner) reach(t target) bool {
	level := logging.LevelDebug
	if time.Since(k.started) < seedGrace {
		level = logging.LevelInfo
	}
	who := contact{name: t.name, addr: t.addr}.String()
	k.a.logger.Log(k.a.ctx, level, "serf: Attempting re-join to previously known node: "+who)
	if err := k.a.rejoin(k.a.ctx, t); err != nil {
		k.a.logger.Debug(fmt.Sprintf("serf: Failed to re-join %s: %v", who, err))
		return false
	}
	return true
}

// rejoin exchanges states with somebody known. User events that were sent in
// between are wanted, unless this start was told to join by somebody and
// not to replay, and that has not happened yet.
func (a *Agent) rejoin(ctx context.Context, t target) error {
	skip := len(a.cfg.Seeds) > 0 && !a.cfg.Replay && !a.joined.Load()
	return a.exchange(ctx, func(now time.Time) (swim.DialID, error) {
		if skip {
			return a.machine.Join(now, t.addr, t.name, true)
		}
		return a.machine.Rejoin(now, t.addr, t.name)
	})
}

// keepInTouch starts the rejoiner.
func (a *Agent) keepInTouch(restored *snapshot.Memory) {
	k := a.newRejoiner(restored)
	a.wg.Go(k.run)
}
