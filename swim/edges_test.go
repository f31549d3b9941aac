package swim

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// edge is one margin of a native rule: what holds at the last value that is within, and
// does not at the first that is not. Both are written as numbers, not by the constant.
type edge struct {
	constants string // that the rule has, with spaces
	within    func(t *testing.T) bool
	beyond    func(t *testing.T) bool
}

// edges has each named constant of a native rule whose edge can be said in a line; for the
// others their rule's own test says it, with a number (elsewhere).
var edges = []edge{
	{"arrivalsMost arrivalEvery", // P277
		func(*testing.T) bool { return arrive(4096, true) },
		func(*testing.T) bool { return arrive(4097, true) }},
	{"arrivalsOwn", // P277
		func(*testing.T) bool { return arrive(3072, false) },
		func(*testing.T) bool { return arrive(3073, false) }},
	{"arrivalEvery", // P277: one more each millisecond
		func(*testing.T) bool { return arriveAfter(time.Millisecond) },
		func(*testing.T) bool { return arriveAfter(time.Millisecond - 1) }},
	{"freshFor", // P195
		func(*testing.T) bool { return fresh(time.Minute, time.Minute+time.Second) },
		func(*testing.T) bool { return fresh(time.Minute, time.Minute+time.Second+1) }},
	{"refusalGap", // P291
		func(*testing.T) bool { return refusedTwice(20 * time.Millisecond) },
		func(*testing.T) bool { return refusedTwice(20*time.Millisecond - 1) }},
	{"heardExtra", // P198: twice as long, and half a second more
		func(t *testing.T) bool { return heardOnly(t) >= 2*520*time.Millisecond+500*time.Millisecond },
		func(t *testing.T) bool { return heardOnly(t) > 2*520*time.Millisecond+500*time.Millisecond }},
	{"spreadPackets", // P220, P294: so many packets to a target at a time
		func(t *testing.T) bool { return packetsAtATime(t) >= 8 },
		func(t *testing.T) bool { return packetsAtATime(t) > 8 }},
	{"spreadGap", // P220
		func(t *testing.T) bool { return sentAgainAfter(t, time.Millisecond) },
		func(t *testing.T) bool { return sentAgainAfter(t, time.Millisecond-1) }},
	{"asleepNative", // P196
		func(*testing.T) bool { c := LAN(); return c.tolerance() >= 75*time.Millisecond },
		func(*testing.T) bool { c := LAN(); return c.tolerance() > 75*time.Millisecond }},
	{"deafFewest", // P201: in a cluster of six or more
		func(t *testing.T) bool { return deafIn(t, 6) },
		func(t *testing.T) bool { return deafIn(t, 5) }},
	{"deafMost", // P201: for five seconds for each member
		func(t *testing.T) bool { return deafFor(t, 5*8*time.Second-1) },
		func(t *testing.T) bool { return deafFor(t, 5*8*time.Second) }},
	{"deafLong", // P201: a quarter of a second while it asks
		func(t *testing.T) bool { return cutOffAfter(t, 250*time.Millisecond) },
		func(t *testing.T) bool { return cutOffAfter(t, 250*time.Millisecond-1) }},
	{"isolated", // P198: two at least
		func(*testing.T) bool { return silentOnes(2, 1) },
		func(*testing.T) bool { return silentOnes(1, 0) }},
	{"isolated", // P198: and more than are reached
		func(*testing.T) bool { return silentOnes(3, 2) },
		func(*testing.T) bool { return silentOnes(2, 2) }},
	{"companyShare rollSize harkFew companyFor", // P296: a third of 16; see TestP296_Company
		func(*testing.T) bool { return rollOf(16, 6) },
		func(*testing.T) bool { return rollOf(16, 5) }},
	{"wordsKept manyAre manyWithin looksMost", // P292, P294, P295, and their tests
		func(*testing.T) bool {
			return wordsKept == 2*time.Second && manyAre == 3 && manyWithin == 2*time.Second && looksMost == 64
		},
		func(*testing.T) bool { return false }},
	{"hushFirst hushMost", // P194: 50 ms, doubling up to 5 s
		func(t *testing.T) bool {
			return slices.Equal(hushes(t, 8), hushed(50, 100, 200, 400, 800, 1600, 3200, 5000))
		},
		func(*testing.T) bool { return false }},
	{"watchersEach maxPlainWatched ringCount maxPlainTargets maxDoubtedTargets maxPassed", // P192, P220
		func(*testing.T) bool {
			return watchersEach == 3 && maxPlainWatched == 24 && ringCount == 3 && maxPlainTargets == 8 && maxDoubtedTargets == 8 && maxPassed == 64
		},
		func(*testing.T) bool { return false }},
	{"linkRetry linkRetryMax linkLasts", // P199
		func(*testing.T) bool {
			return linkRetry == 250*time.Millisecond && linkRetryMax == 30*time.Second && linkLasts == 10*time.Second
		},
		func(*testing.T) bool { return false }},
	{"silentWithin hungWithin MinDetectWithin", // P197
		func(*testing.T) bool {
			c := LAN()
			tm := newTiming(&c)
			return tm.every+tm.answer+tm.burst+tm.silent.most == 1300*time.Millisecond && tm.every+tm.answer+tm.hang+tm.hung.most == 3*time.Second &&
				MinDetectWithin == 200*time.Millisecond
		},
		func(*testing.T) bool { return false }},
	{"minBuckets maxBuckets bucketSize", // P230
		func(*testing.T) bool {
			return bucketCount(1) == 64 && bucketCount(64*16) == 64 && bucketCount(1<<20) == 1024
		},
		func(*testing.T) bool { return bucketCount(64*16+1) == 64 }},
	{"wholeEvery maxFailedTold", // P230
		func(*testing.T) bool { return wholeEvery == 16 && maxFailedTold == 32 },
		func(*testing.T) bool { return false }},
	{"settleFirst settleFactor settleMost", // P235: after 250 ms, a second and four
		func(*testing.T) bool {
			return settleFirst == 250*time.Millisecond && settleFirst*settleFactor == time.Second && settleMost == 4*time.Second
		},
		func(*testing.T) bool { return false }},
	{"accusedAgain harkEvery lateMost ownLate suspectsAsked", // P193, P194, P201, P203
		func(*testing.T) bool {
			return accusedAgain == 100*time.Millisecond && harkEvery == 100*time.Millisecond && lateMost == 4 && ownLate == 10*time.Millisecond && suspectsAsked == 16
		},
		func(*testing.T) bool { return false }},
	{"farewellMost farewellBatch farewellAgain farewellSlow lingersFor LingersFor", // P238, P239
		func(*testing.T) bool {
			return farewellMost == 1024 && farewellBatch == 64 && farewellAgain == 20*time.Millisecond && farewellSlow == 200*time.Millisecond &&
				lingersFor == 2*time.Second && LingersFor == 2*time.Second
		},
		func(*testing.T) bool { return false }},
	{"introduceEach introduceLeast introduceTries", // P204: 30 a second, three times
		func(*testing.T) bool {
			return introduceEach == time.Second/30 && introduceLeast == time.Second && introduceTries == 3
		},
		func(*testing.T) bool { return false }},
}

// unruled are constants that no rule has: how the work is done, not what is promised.
const unruled = `ownPortEvery streamGrace redialFirst ringSoon deafAgain aroundEvery slotKeep maxUnsorted MaxHeld spareBroadcasts
	digestSums digestDiffer digestPart nativeProbes
	takeoverRounds takeoverTells maxKept maxRecords lingerersMost`

// TestEdges: each margin of a native rule from both sides.
func TestEdges(t *testing.T) {
	for _, e := range edges {
		if !e.within(t) {
			t.Errorf("%s: what is within does not hold", e.constants)
		}
		if e.beyond(t) {
			t.Errorf("%s: what is beyond holds", e.constants)
		}
	}
}

// TestEdgesAreComplete: each named number in the files of the native rules is in the table.
func TestEdgesAreComplete(t *testing.T) {
	native := strings.Fields(`ring.go evidence.go inquiry.go doubt.go deaf.go link.go watch.go timing.go slots.go look.go
		roll.go many.go introduce.go departure.go spread.go spread_ring.go digest.go`)
	listed := make(map[string]bool)
	for _, e := range edges {
		for _, c := range strings.Fields(e.constants) {
			listed[c] = true
		}
	}
	for _, c := range strings.Fields(unruled) {
		listed[c] = true
	}
	for _, name := range native {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				if len(v.Values) == 0 || v.Type != nil {
					continue // of an enumeration
				}
				for _, n := range v.Names {
					if !listed[n.Name] {
						t.Errorf("%s: %s has no edge in the table", name, n.Name)
					}
				}
			}
		}
	}
}

func refusedTwice(apart time.Duration) bool {
	w := &watch{phase: watchInquiry, firstRefused: time.Minute, refused: time.Minute + apart}
	return w.refusedAlone(time.Minute+apart, &ownPort{open: time.Minute})
}

// heardOnly is how long the suspicion of a silent member lasts of which self only heard.
func heardOnly(t *testing.T) time.Duration {
	r := watched(t, 12)
	r.in((&wire.Suspect{Incarnation: 1, Node: nameOf(1), From: nameOf(2), Verdict: wire.VerdictSilent}).AppendTo(nil))
	return r.suspicionOf(1).limit()
}

// packetsAtATime is how many a target gets when very much is to be said.
func packetsAtATime(t *testing.T) int {
	r := watched(t, 3)
	for i := range 400 {
		r.HandlePacket(r.now, other, nativeAlive(nameOf(100+i), 1+i%200, 1, 1))
	}
	r.forgetSent()
	packets := make(map[int]bool)
	r.Machine.spread()
	r.take()
	for _, s := range r.sent {
		if s.to == r.sent[0].to && s.typ() == wire.TypeAlive {
			packets[s.pkt] = true
		}
	}
	return len(packets)
}

// sentAgainAfter reports whether news that comes with the first sending's output goes out after d.
func sentAgainAfter(t *testing.T, d time.Duration) bool {
	r := watched(t, 3)
	r.in(nativeAlive("x", 50, 1, 1))
	r.in(nativeAlive("y", 51, 1, 1))
	r.forgetSent()
	r.run(d)
	return len(r.of(wire.TypeAlive)) > 0
}

func deafIn(t *testing.T, members int) bool {
	r := newNativeRig(t, quiet)
	r.natives(members - 1)
	r.heardAt = r.clock.awake()
	r.clock.real += time.Second
	return r.deaf(r.heardAt)
}

func deafFor(t *testing.T, d time.Duration) bool {
	r := newNativeRig(t, quiet)
	r.natives(7)
	r.heardAt = r.clock.awake()
	r.clock.real += d
	return r.deaf(r.heardAt)
}

func cutOffAfter(t *testing.T, d time.Duration) bool {
	r := watched(t, 12)
	r.watches.list[0].phase = watchInquiry
	r.heardAt = r.clock.awake()
	r.clock.real += d
	return r.cutOff()
}

func silentOnes(silent, reached int) bool {
	var ws watches
	for range silent {
		ws.list = append(ws.list, &watch{phase: watchAccused})
	}
	for range reached {
		ws.list = append(ws.list, &watch{rtt: time.Millisecond})
	}
	ws.list = append(ws.list, &watch{phase: watchInquiry}, &watch{}) // of which nothing is known yet
	return ws.isolated()
}

// arrive reports whether so many members are taken at once.
func arrive(n int, own bool) bool {
	var a arrivals
	for range n - 1 {
		a.take(time.Minute, own)
	}
	return a.take(time.Minute, own)
}

// arriveAfter reports whether one more is taken so long after as many as are taken at once.
func arriveAfter(wait time.Duration) bool {
	var a arrivals
	for a.take(time.Minute, true) {
	}
	return a.take(time.Minute+wait, true)
}

func rollOf(asked, answers int) bool {
	var r roll
	r.call(0, 7, asked)
	for i := range answers {
		r.answer(addrOf(i+1), time.Minute)
	}
	return r.company(time.Minute)
}

// hushes are for how long hints are passed over after each of n that came to nothing.
func hushes(t *testing.T, n int) (all []time.Duration) {
	r := watched(t, 3)
	w := r.watches.list[0]
	for range n {
		r.clock.real = max(r.clock.real, w.hush)
		w.phase = watchIdle
		r.hinted(w)
		all = append(all, w.hushing)
	}
	return all
}

func hushed(ms ...int) (all []time.Duration) {
	for _, m := range ms {
		all = append(all, time.Duration(m)*time.Millisecond)
	}
	return all
}
