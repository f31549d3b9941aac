package agent

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/live"
	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

// decoded are members as serf tells of them: each has tags of its own in memory.
func decoded(names []string) []serf.Member {
	members := make([]serf.Member, len(names))
	for i, name := range names {
		members[i] = serf.Member{Name: name, Addr: netip.MustParseAddrPort("10.0.0.1:7946"), Status: serf.StatusAlive,
			Tags: []wire.Tag{{Key: "dc", Value: "east-1"}, {Key: "role", Value: "web"}, {Key: "version", Value: "1.4.2"}}}
	}
	return members
}

func inUse() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// What a member costs in what an agent publishes of it, Members and Live, with the tags that
// others have too; its name is the machine's.
func TestMemoryOfPublishedLists(t *testing.T) {
	const n, most = 10_000, 280
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("node-%05d", i)
	}
	before := inUse()
	var tags sharedTags
	var list live.List
	var members []serf.Member
	for round := range 3 {
		members = decoded(names)
		members[round].Degraded = true
		tags.share(members)
		list.Publish(time.Time{}, entries(members))
	}
	per := (inUse() - before) / n
	t.Logf("%.0f bytes a member", per)
	if per > most {
		t.Errorf("%.0f bytes a member, more than %d", per, most)
	}
	if list.Current().Len() != n || list.Current().Version() != 3 || len(members) != n {
		t.Errorf("%d nodes, version %d", list.Current().Len(), list.Current().Version())
	}
	runtime.KeepAlive(names)
	runtime.KeepAlive(members)
	runtime.KeepAlive(&list)
}
