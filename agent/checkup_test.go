package agent

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/swim"
)

func TestLedger(t *testing.T) {
	var l ledger
	begin := time.Unix(1_700_000_000, 0)
	from := netip.MustParseAddrPort("192.168.100.53:40000")
	k, ok := unusable("packet", "decrypt", from)
	if !ok || k != (troubleKey{"packet", "decrypt", "192.168.100.53"}) {
		t.Fatalf("%v %v", k, ok)
	}
	for _, kind := range []string{"send", "mdns", "history"} {
		if _, ok := unusable(kind, "x", from); ok {
			t.Errorf("%s is a peer's trouble", kind)
		}
	}
	if _, ok := unusable("packet", "read", netip.AddrPort{}); ok {
		t.Error("nobody is a peer")
	}
	l.add(begin, k, "first")
	l.add(begin.Add(time.Second), k, "second\nline")
	l.trace(begin, &swim.Trace{Kind: swim.TraceClusterRefused, Node: "n", Addr: from, Err: errors.New("it is b's")})
	l.trace(begin, &swim.Trace{Kind: serf.TraceConflict, Node: "m", Addr: from})
	l.trace(begin, &swim.Trace{Kind: swim.TraceJoined, Node: "m", Addr: from})
	l.seed(begin, "node1", []error{errors.New("refused")})
	all, seeds := l.troubles()
	if len(all) != 4 || len(seeds) != 1 || all[0].Kind != "packet" || all[0].Count != 2 || all[0].Last != begin.Add(time.Second).UnixNano() ||
		all[1].Kind != "cluster" || all[1].What != "n" || all[2].Kind != "join" || all[2].Text != "refused" || all[3].Kind != "name" || all[3].Reason != from.String() {
		t.Errorf("%+v %v", all, seeds)
	}
	l.seed(begin, "node1", nil)
	if all, seeds = l.troubles(); len(all) != 3 || len(seeds) != 1 {
		t.Errorf("after the join: %+v %v", all, seeds)
	}
}

// Strangers cannot make it grow, and what is newest stays.
func TestLedgerIsBounded(t *testing.T) {
	var l ledger
	begin := time.Unix(1_700_000_000, 0)
	for i := range 3 * maxTroubles {
		l.add(begin.Add(time.Duration(i)), troubleKey{"packet", "crc", fmt.Sprint(i)}, "")
		l.seed(begin, fmt.Sprint(i), nil)
	}
	all, seeds := l.troubles()
	if len(all) != maxTroubles || len(seeds) != maxSeeds || all[0].What != fmt.Sprint(3*maxTroubles-1) || all[maxTroubles-1].What != fmt.Sprint(2*maxTroubles) {
		t.Errorf("%d troubles, %d seeds, %s to %s", len(all), len(seeds), all[0].What, all[len(all)-1].What)
	}
}
